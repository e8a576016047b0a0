/* fuzz_tokenizer.c - any text as a prompt, and any bytes as a vocabulary. */
#include "worker/model/tokenizer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define TOKENS 77
#define IDS 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(const struct tokenizer *tokenizer, const char *prompt) {
  int32_t ids[TOKENS + 1];
  ids[TOKENS] = -7;
  if (tokenizer_encode(tokenizer, prompt, ids) == OK) {
    for (int i = 0; i < TOKENS; i++) {
      assert(ids[i] >= 0 && ids[i] < IDS);
    }
  }
  assert(ids[TOKENS] == -7);
}

static struct tokenizer *make(const char *vocabulary, const char *merges, enum prompt_rules rules) {
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
static struct tokenizer *usual(enum prompt_rules rules) {
  struct bytes vocabulary;
  bytes_open(&vocabulary, 65536);
  bytes_append_text(&vocabulary,
                    "{\"<s>\":0,\"<e>\":1,\"ab\":2,\"ab</w>\":3,\"abab</w>\":4,\"aa\":5");
  for (int c = '!', id = 6; c <= '~'; c++, id += 2) {
    const char *escape = c == '"' || c == '\\' ? "\\" : "";
    bytes_printf(&vocabulary, ",\"%s%c\":%d,\"%s%c</w>\":%d", escape, c, id, escape, c, id + 1);
  }
  bytes_append_text(&vocabulary, "}");
  struct tokenizer *tokenizer =
      make(bytes_text(&vocabulary), "#version: 0.2\na b\na b</w>\nab ab</w>\na a\n", rules);
  bytes_close(&vocabulary);
  return tokenizer;
}

/* An odd first byte: the rest is a prompt. An even one: a vocabulary, merges and a prompt, NUL
 * between. Its next bit chooses the rules. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct tokenizer *tokenizers[2]; /* by rules */
  for (int i = 0; i < 2 && tokenizers[i] == NULL; i++) {
    tokenizers[i] = usual(i == 0 ? PROMPT_PLAIN : PROMPT_FAST);
    assert(tokenizers[i] != NULL);
  }
  char text[8192 + 3] = "";
  size_t length = size > sizeof text - 3 ? sizeof text - 3 : size;
  if (length == 0) {
    return 0;
  }
  memcpy(text, data + 1, length - 1);
  if (data[0] % 2 == 1) {
    encode(tokenizers[data[0] / 2 % 2], text);
    return 0;
  }
  const char *merges = text + strlen(text) + (strlen(text) < length - 1);
  const char *prompt = merges + strlen(merges) + (merges + strlen(merges) < text + length - 1);
  struct tokenizer *made = make(text, merges, data[0] / 2 % 2 == 0 ? PROMPT_PLAIN : PROMPT_FAST);
  if (made != NULL) {
    encode(made, prompt);
  }
  tokenizer_close(&made);
  return 0;
}
