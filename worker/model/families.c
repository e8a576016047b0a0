/* families.c - the model lines that are known. */
#include <string.h>

#include "worker/model/family.h"

#define FIRST \
  { "text_encoder", "tokenizer", NETWORK_TEXT }
#define SECOND \
  { "text_encoder_2", "tokenizer_2", NETWORK_TEXT_2 }

const struct family_row families[FAMILY_COUNT] = {
    {"sd1", 1, {FIRST}, .normed = true},
    {"sd2", 1, {FIRST}, .normed = true},
    {"sdxl", 2, {FIRST, SECOND}, .layers_back = 1, .sizes = 6},
    {"sdxl-refiner", 1, {SECOND}, .layers_back = 1, .sizes = 5, .scored = true},
};

const struct family_row *family_find(const char *name) {
  for (int i = 0; i < FAMILY_COUNT; i++) {
    if (strcmp(families[i].name, name) == 0) {
      return &families[i];
    }
  }
  return NULL;
}
