/* cases.h - the rows of cases.def made runnable: for the case test and the bench, on any device.
 *
 * A row of a batch is filled by its identity, so the same row can be asked for alone and among
 * others. All values can be held in bf16, so every device starts from the same numbers.
 */
#ifndef DARKROOM_TESTS_CASES_CASES_H
#define DARKROOM_TESTS_CASES_CASES_H

#include "kernels/ops.h"

enum case_place { CASE_TEST, CASE_BENCH }; /* small enough for every test run, or timed only */
enum case_residual { RESIDUAL_NONE, RESIDUAL_APART, RESIDUAL_IN_PLACE };

/* Images have height and width, sequences have height tokens (width 0: no such dimension). Zero
 * means "not there". */
struct op_case {
  const char *op, *name;
  enum case_place place;
  int batch, height, width, inputs, outputs;
  int kernel, stride, pad_before, pad_after;
  int heads, context, groups;
  int planes; /* gather: channels beside those of the latents */
  int rank;   /* adapt: of the smallest adapter; heads: modules */
  int extra;  /* embed: words behind the table's */
  enum activation activation;
  enum case_residual residual;
  bool channel_add, f32_out, silu, causal, no_bias;
  bool masked, rescaled;    /* advance: of the rows that can be */
  enum precision precision; /* of the activations; PRECISION_FAST when it is not given */
  double f32_error,
      bf16_error; /* largest normalised mean squared error against ref; 0 = the default; f16 is held
                     to bf16's */
};
extern const struct op_case op_cases[];
extern const int op_case_count;

/* A case with its inputs and output on a device. */
struct case_run;
enum status case_open(struct device *device, const struct op_case *op_case, int batch,
                      const int *identities, struct case_run **out);
void case_close(struct case_run **run);

/* Runs the op once. With a residual in place the output must be filled anew before each run:
 * case_refill. */
enum status case_execute(struct case_run *run);
enum status case_refill(struct case_run *run);

/* The output: its first dimension is the batch. */
const struct tensor *case_output(const struct case_run *run);

/* Multiplications and additions of one execution; bytes that must be read and written at least. */
double case_operations(const struct op_case *op_case, int batch);
double case_bytes(const struct case_run *run);

#endif
