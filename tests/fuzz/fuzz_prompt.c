/* fuzz_prompt.c - any text as a prompt, in every mode, with words of textual inversion. */
#include "worker/model/prompt_chunks.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "tests/fuzz/small_vocabulary.h"
#include "worker/model/embeddings.h"
#include "worker/model/prompt_weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct embedding_word words[] = {{"ab", 0, 1}, {"abc", 1, 5}, {"(", 6, 80}};
enum { WORDS = sizeof words / sizeof *words, VECTORS = 86 };
size_t embeddings_count(const struct embeddings *embeddings) {
  (void)embeddings;
  return WORDS;
}
const struct embedding_word *embeddings_at(const struct embeddings *embeddings, size_t index) {
  (void)embeddings;
  return &words[index];
}

/* Marks where they belong, ids that exist, weights that are numbers; nothing is lost. */
static void check(const struct prompt_chunks *chunks, const struct prompt_reader *reader) {
  struct token_marks marks = tokenizer_marks(reader->tokenizer);
  int inside = 0;
  assert(chunks->chunks >= 1 && chunks->chunks <= PROMPT_CHUNKS_MAX);
  for (int c = 0; c < chunks->chunks; c++) {
    const int32_t *id = chunks->id + (size_t)c * TOKENS;
    const float *weight = chunks->weight + (size_t)c * TOKENS;
    assert(id[0] == marks.start);
    for (int i = 0; i < TOKENS; i++) {
      assert(id[i] >= 0 && id[i] < IDS + VECTORS);
      assert(isfinite(weight[i]) && (chunks->weighted[c] || weight[i] == 1));
      inside += i > 0 && id[i] != marks.end && id[i] != marks.pad;
    }
    int end = prompt_chunks_end(chunks, reader, c, marks.end);
    assert(end > 0 && end < TOKENS);
  }
  assert(chunks->cut >= 0 && chunks->cut <= chunks->tokens);
  assert(inside <= chunks->tokens - chunks->cut);
}

/* The first byte chooses the mode, and whether there are words. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct tokenizer *tokenizer;
  if (tokenizer == NULL) {
    tokenizer = usual_tokenizer(PROMPT_PLAIN);
    assert(tokenizer != NULL);
  }
  char text[JOB_PROMPT_BYTES_MAX + 3] = "";
  size_t length = size > sizeof text - 1 ? sizeof text - 1 : size;
  if (length == 0) {
    return 0;
  }
  memcpy(text, data + 1, length - 1);
  struct prompt_reader reader = {tokenizer, IDS, TOKENS};
  struct condition condition = {
      .prompt = text,
      .mode = (enum prompt_mode)(data[0] % 3),
      .embeddings = data[0] / 3 % 2 == 1 ? (const struct embeddings *)words : NULL};
  struct prompt_chunks chunks;
  struct arena *arena = NULL;
  assert(arena_open(NULL, (size_t)1 << 26, &arena) == OK);
  enum status status = prompt_chunks_make(arena, &reader, &condition, &chunks);
  assert(status == OK || status == BAD_INPUT);
  if (status == OK) {
    check(&chunks, &reader);
  }
  arena_close(&arena);
  return 0;
}
