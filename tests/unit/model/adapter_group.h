/* adapter_group.h - the tiny model that a group of tests of adapters or embeddings shares. */
#ifndef DARKROOM_TESTS_UNIT_MODEL_ADAPTER_GROUP_H
#define DARKROOM_TESTS_UNIT_MODEL_ADAPTER_GROUP_H

#include "tests/unit/model/adapter_files.h"

static struct tiny tiny;

static inline int open_ref(void **state) {
  (void)state;
  tiny_open(&tiny, "ref", "tiny-eps");
  return 0;
}
static inline int open_cpu(void **state) {
  (void)state;
  tiny_open(&tiny, "cpu", "tiny-eps");
  return 0;
}
static inline int close_tiny(void **state) {
  (void)state;
  tiny_close(&tiny);
  return 0;
}

#endif
