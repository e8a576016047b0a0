/* fake_words.h - words of textual inversion as a number made of their first bytes. */
#ifndef DARKROOM_TESTS_UNIT_ENGINE_FAKE_WORDS_H
#define DARKROOM_TESTS_UNIT_ENGINE_FAKE_WORDS_H

#include <stdlib.h>

#include "tests/unit/engine/fake_knobs.h"
#include "worker/model/embeddings.h"

struct embeddings {
  float number;
};

enum status embeddings_open(struct model *model, const struct embedding_source *sources,
                            size_t count, struct embeddings **out) {
  (void)model;
  struct embeddings *embeddings = calloc(1, sizeof *embeddings);
  for (size_t i = 0; i < count; i++) {
    embeddings->number += (float)sources[i].data[0] / 500.0f;
  }
  fake.embeddings++;
  *out = embeddings;
  return OK;
}
void embeddings_close(struct embeddings **embeddings) {
  fake.embeddings -= *embeddings != NULL;
  free(*embeddings);
  *embeddings = NULL;
}
size_t embeddings_bytes(const struct embeddings *embeddings) {
  (void)embeddings;
  return 64;
}

#endif
