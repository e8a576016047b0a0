/* tokenize.c - the engine's tokenizer as a filter, for models/tokenizer_fuzz.py to compare.
 *
 *   tokenize FOLDER plain|fast <prompts >ids
 *
 * A line is a prompt in hexadecimal, since prompts may hold line ends; its answer a line of ids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "worker/model/family.h"
#include "worker/model/tokenizer.h"

#define LINE_BYTES_MAX (2 * JOB_PROMPT_BYTES_MAX + 8)

static int complain(void) {
  fprintf(stderr, "tokenize: %s\n", fail_reason());
  return 1;
}

static void answer(const struct tokenizer *tokenizer, const char *hex) {
  static char prompt[LINE_BYTES_MAX / 2];
  int32_t ids[TOKENS_PER_CHUNK];
  size_t bytes = 0;
  for (unsigned byte = 0; sscanf(hex + 2 * bytes, "%2x", &byte) == 1; bytes++) {
    prompt[bytes] = (char)byte;
  }
  prompt[bytes] = '\0';
  if (tokenizer_encode(tokenizer, prompt, ids) != OK) {
    printf("refused: %s\n", fail_reason());
    return;
  }
  for (int i = 0; i < TOKENS_PER_CHUNK; i++) {
    printf(i > 0 ? " %d" : "%d", ids[i]);
  }
  printf("\n");
}

int main(int count, char **words) {
  static char line[LINE_BYTES_MAX];
  struct family family;
  struct tokenizer *tokenizer = NULL;
  if (count != 3) {
    fprintf(stderr, "usage: tokenize FOLDER plain|fast\n");
    return 64;
  }
  if (family_read(words[1], &family) != OK) {
    return complain();
  }
  enum prompt_rules rules = strcmp(words[2], "fast") == 0 ? PROMPT_FAST : PROMPT_PLAIN;
  struct tokenizer_shape shape = {family.clip[0].vocabulary, TOKENS_PER_CHUNK, rules};
  if (tokenizer_open(words[1], "tokenizer", shape, &tokenizer) != OK) {
    return complain();
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    answer(tokenizer, line);
  }
  tokenizer_close(&tokenizer);
  return 0;
}
