/* numbers.c - see numbers.h. */
#include "tests/gpu/numbers.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A ratio of two rows, "part/row": over / under, and the least or the most that it should be. Of a
 * row whose name ends with '*' the best one counts. */
static const struct wanted {
  const char *what, *over, *under;
  double wanted;
  bool at_most;
} wanted[] = {
    {"one image, 20 Euler steps, beside diffusers eager", "eager/whole.b1", "whole/whole.b1", 2.0,
     false},
    {"one image, 20 Euler steps, beside diffusers compiled", "compiled/whole.b1", "whole/whole.b1",
     1.3, false},
    {"best batch, share of the matrix rate over the denoise", "whole/rate.*", "ceilings/matrix.f16",
     0.5, false},
    {"decode beside diffusers compiled", "compiled/decode", "decode/decode", 1.2, false},
    {"own bandwidth kernels, the least share of copy", "bands/least", NULL, 0.8, false},
    {"strict over fast, time of a step of one image", "strict/step.strict.b1",
     "strict/step.fast.b1", 1.1, true},
    {"strict over fast, time of a step of eight images", "strict/step.strict.b8",
     "strict/step.fast.b8", 1.1, true},
    {"eight jobs together over one after another, pictures a second", "jobs/together",
     "jobs/in_turn", 2.0, false},
};
enum { WANTED = sizeof wanted / sizeof wanted[0] };

static bool row_is(const char *name, const char *pattern) {
  size_t length = strcspn(pattern, "*");
  return pattern[length] == '*' ? strncmp(name, pattern, length) == 0 : strcmp(name, pattern) == 0;
}

/* The value of "part/row", NAN where nobody told it. */
static double value_of(const json_t *parts, const char *path) {
  const char *slash = strchr(path, '/');
  double best = NAN;
  size_t p, r;
  json_t *part, *row;
  json_array_foreach(parts, p, part) {
    const char *name = json_string_value(json_object_get(part, "name"));
    if (strlen(name) != (size_t)(slash - path) || strncmp(name, path, strlen(name)) != 0) {
      continue;
    }
    json_array_foreach(json_object_get(part, "rows"), r, row) {
      const json_t *value = json_object_get(row, "value");
      if (json_is_number(value) &&
          row_is(json_string_value(json_object_get(row, "name")), slash + 1)) {
        best = fmax(best, json_number_value(value));
      }
    }
  }
  return best;
}

json_t *numbers_of(const json_t *parts) {
  json_t *numbers = json_array();
  for (int i = 0; i < WANTED; i++) {
    double under = wanted[i].under == NULL ? 1 : value_of(parts, wanted[i].under);
    double ratio = value_of(parts, wanted[i].over) / under;
    bool known = isfinite(ratio);
    bool reached =
        known && (wanted[i].at_most ? ratio <= wanted[i].wanted : ratio >= wanted[i].wanted);
    json_array_append_new(
        numbers, json_pack("{ss so sf sb sb}", "what", wanted[i].what, "ratio",
                           known ? json_real(ratio) : json_null(), "wanted", wanted[i].wanted,
                           "at_most", wanted[i].at_most, "reached", reached));
  }
  return numbers;
}

void numbers_print(const json_t *numbers) {
  size_t i;
  json_t *number;
  json_array_foreach(numbers, i, number) {
    const json_t *ratio = json_object_get(number, "ratio");
    if (json_is_number(ratio)) {
      printf("%-62s %6.3f  wanted %s %.2f  %s\n",
             json_string_value(json_object_get(number, "what")), json_number_value(ratio),
             json_is_true(json_object_get(number, "at_most")) ? "at most" : "at least",
             json_number_value(json_object_get(number, "wanted")),
             json_is_true(json_object_get(number, "reached")) ? "reached" : "NOT REACHED");
    }
  }
}
