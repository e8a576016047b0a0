/* small_vocabulary.h - a tokenizer that fuzzers make of a few texts.
 */
#ifndef DARKROOM_TESTS_FUZZ_SMALL_VOCABULARY_H
#define DARKROOM_TESTS_FUZZ_SMALL_VOCABULARY_H

#include <string.h>

#include "base/bytes.h"
#include "worker/model/tokenizer.h"

#define TOKENS 77
#define IDS 600

/* NULL when it is refused. */
static inline struct tokenizer *make_tokenizer(const char *vocabulary, const char *merges,
                                               enum prompt_rules rules) {
  struct tokenizer_texts texts = {.vocabulary = vocabulary,
                                  .vocabulary_bytes = strlen(vocabulary),
                                  .merges = merges,
                                  .start = "<s>",
                                  .end = "<e>",
                                  .pad = "<e>",
                                  .unknown = "<e>"};
  struct tokenizer *tokenizer = NULL;
  enum status status =
      tokenizer_make(&texts, (struct tokenizer_shape){IDS, TOKENS, rules}, &tokenizer);
  return status == OK ? tokenizer : NULL;
}

/* Printable ASCII inside and at the end of words, and a few merges. */
static inline struct tokenizer *usual_tokenizer(enum prompt_rules rules) {
  struct bytes vocabulary;
  bytes_open(&vocabulary, 65536);
  bytes_append_text(&vocabulary,
                    "{\"<s>\":0,\"<e>\":1,\"ab\":2,\"ab</w>\":3,\"abab</w>\":4,\"aa\":5");
  for (int c = '!', id = 6; c <= '~'; c++, id += 2) {
    const char *escape = c == '"' || c == '\\' ? "\\" : "";
    bytes_printf(&vocabulary, ",\"%s%c\":%d,\"%s%c</w>\":%d", escape, c, id, escape, c, id + 1);
  }
  bytes_append_text(&vocabulary, "}");
  struct tokenizer *tokenizer = make_tokenizer(
      bytes_text(&vocabulary), "#version: 0.2\na b\na b</w>\nab ab</w>\na a\n", rules);
  bytes_close(&vocabulary);
  return tokenizer;
}

#endif
