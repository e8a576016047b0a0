/* heads.c - the engine's check of safetensors files as a filter, for models/safetensors_compare.py.
 *
 *   heads <files >answers
 *
 * A line is a whole file in hexadecimal; its answer is OK or the reason of the refusal.
 */
#include <stdio.h>
#include <stdlib.h>

#include "worker/model/weights.h"

enum { FILE_BYTES_MAX = 1 << 16 };

int main(void) {
  static char line[2 * FILE_BYTES_MAX + 8];
  static uint8_t file[FILE_BYTES_MAX];
  while (fgets(line, sizeof line, stdin) != NULL) {
    size_t bytes = 0;
    for (unsigned byte = 0; sscanf(line + 2 * bytes, "%2x", &byte) == 1; bytes++) {
      file[bytes] = (uint8_t)byte;
    }
    printf("%s\n", weights_check(file, bytes) == OK ? "OK" : fail_reason());
  }
  return 0;
}
