/* fuzz_tokenizer.c - any text as a prompt, and any bytes as a vocabulary. */
#include "worker/model/tokenizer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/small_vocabulary.h"

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

/* An odd first byte: the rest is a prompt. An even one: a vocabulary, merges and a prompt, NUL
 * between. Its next bit chooses the rules. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct tokenizer *tokenizers[2]; /* by rules */
  for (int i = 0; i < 2 && tokenizers[i] == NULL; i++) {
    tokenizers[i] = usual_tokenizer(i == 0 ? PROMPT_PLAIN : PROMPT_FAST);
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
  struct tokenizer *made =
      make_tokenizer(text, merges, data[0] / 2 % 2 == 0 ? PROMPT_PLAIN : PROMPT_FAST);
  if (made != NULL) {
    encode(made, prompt);
  }
  tokenizer_close(&made);
  return 0;
}
