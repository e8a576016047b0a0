/* loops.h - the libraries' work as plain loops, done when the stream gets there. */
#ifndef DARKROOM_EMULATION_LOOPS_H
#define DARKROOM_EMULATION_LOOPS_H

#include "kernels/cuda/library.h"

struct product_work {
  struct product_problem problem;
  struct product_run run;
};
struct convolution_work {
  struct convolution_problem problem;
  struct convolution_run run;
};
struct attention_work {
  struct attention_problem problem;
  struct attention_run run;
};

/* Each takes its struct above. */
void run_product(const void *arguments);
void run_convolution(const void *arguments);
void run_attention(const void *arguments);

#endif
