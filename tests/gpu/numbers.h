/* numbers.h - what is wanted of a run on a GPU, each beside what the same run measured. */
#ifndef DARKROOM_TESTS_GPU_NUMBERS_H
#define DARKROOM_TESTS_GPU_NUMBERS_H

#include <jansson.h>

/* An array of {"what", "ratio", "wanted", "reached"} from the parts' rows; ratio null where one of
 * its figures is missing. */
json_t *numbers_of(const json_t *parts);
void numbers_print(const json_t *numbers);

#endif
