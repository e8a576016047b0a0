/* vocabulary.c - reads vocab.json and merges.txt; merges go into an open-addressed hash table. */
#include "worker/model/vocabulary.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* transformers' CLIPTokenizer reads this many merges and no more: those of the original CLIP. */
#define MERGES_MAX (49152 - 256 - 2)
#define TOKEN_BYTES_MAX 1024
#define WORD_END "</w>"
#define BLANKS " \t\r\n"

#define REFUSE(...) fail_field(BAD_INPUT, "config", __VA_ARGS__)

int32_t vocabulary_id(const json_t *tokens, const char *text) {
  const json_t *id = json_object_get(tokens, text);
  return json_is_integer(id) ? (int32_t)json_integer_value(id) : SYMBOL_NONE;
}

static enum status check_ids(const json_t *tokens, int size) {
  const char *token = NULL;
  json_t *id = NULL;
  json_object_foreach((json_t *)tokens, token, id) {
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= size) {
      return REFUSE("vocab.json: the id of a token must be 0 to %d (vocab_size)", size - 1);
    }
  }
  return OK;
}

/* ---- bytes ---- */

/* GPT-2's way to write any byte as a printable character: printable Latin-1 as itself, the others
 * from U+0100 on in their order. All are below U+0800: one or two bytes of UTF-8. */
static void byte_text(int byte, char *text) {
  static const int printable[][2] = {{'!', '~'}, {0xa1, 0xac}, {0xae, 0xff}};
  int others = 0, character = -1;
  for (int b = 0; b <= byte; b++) {
    bool as_itself = false;
    for (int i = 0; i < 3; i++) {
      as_itself = as_itself || (b >= printable[i][0] && b <= printable[i][1]);
    }
    character = as_itself ? b : 0x100 + others;
    others += !as_itself;
  }
  if (character < 0x80) {
    snprintf(text, 8, "%c", character);
  } else {
    snprintf(text, 8, "%c%c", 0xc0 | character >> 6, 0x80 | (character & 0x3f));
  }
}

static void fill_bytes(const json_t *tokens, struct vocabulary *out) {
  for (int b = 0; b < 256; b++) {
    char text[8], last[16];
    byte_text(b, text);
    snprintf(last, sizeof last, "%s" WORD_END, text);
    out->byte[b] = vocabulary_id(tokens, text);
    out->last_byte[b] = vocabulary_id(tokens, last);
  }
}

/* ---- merges ---- */

/* Fibonacci hashing of the pair; the table is at most half full, so runs are short. */
static struct merge *place_of(const struct vocabulary *vocabulary, int32_t left, int32_t right) {
  uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  size_t at = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & vocabulary->mask;
  for (;; at = (at + 1) & vocabulary->mask) {
    struct merge *merge = &vocabulary->merges[at];
    if (merge->left == SYMBOL_NONE || (merge->left == left && merge->right == right)) {
      return merge;
    }
  }
}

const struct merge *vocabulary_merge(const struct vocabulary *vocabulary, int32_t left,
                                     int32_t right) {
  if (left == SYMBOL_NONE || right == SYMBOL_NONE) {
    return NULL;
  }
  const struct merge *merge = place_of(vocabulary, left, right);
  return merge->left == SYMBOL_NONE ? NULL : merge;
}

static void copy_text(char *to, const char *from, size_t length) {
  memcpy(to, from, length);
  to[length] = '\0';
}

/* The next run of anything but blanks and line ends, as Python's split() gives them. */
static const char *next_symbol(const char *at, size_t *length) {
  at += strspn(at, " \t");
  *length = strcspn(at, BLANKS);
  return at;
}

/* One line "left right"; tools that rewrite the file leave blanks at its end, or two between. */
static enum status add_merge(const json_t *tokens, const char *line, int rank,
                             struct vocabulary *out) {
  char left[TOKEN_BYTES_MAX], result[TOKEN_BYTES_MAX];
  size_t left_length = 0, right_length = 0, more = 0;
  const char *first = next_symbol(line, &left_length);
  const char *second = next_symbol(first + left_length, &right_length);
  next_symbol(second + right_length, &more);
  if (right_length == 0 || more > 0 || left_length + right_length >= TOKEN_BYTES_MAX) {
    return REFUSE("merges.txt: line %d is not two symbols", rank + 2);
  }
  copy_text(left, first, left_length);
  copy_text(result, first, left_length);
  copy_text(result + left_length, second, right_length);
  struct merge merge = {.left = vocabulary_id(tokens, left),
                        .right = vocabulary_id(tokens, result + left_length),
                        .rank = rank,
                        .result = vocabulary_id(tokens, result)};
  if (merge.left == SYMBOL_NONE || merge.right == SYMBOL_NONE || merge.result == SYMBOL_NONE) {
    return REFUSE("merges.txt: a symbol of line %d is not in vocab.json", rank + 2);
  }
  struct merge *place = place_of(out, merge.left, merge.right);
  if (place->left != SYMBOL_NONE) {
    return REFUSE("merges.txt: line %d repeats line %d", rank + 2, place->rank + 2);
  }
  *place = merge;
  return OK;
}

static size_t count_lines(const char *text) {
  size_t lines = 1;
  for (const char *at = strchr(text, '\n'); at != NULL; at = strchr(at + 1, '\n')) {
    lines++;
  }
  return lines;
}

static enum status open_table(struct arena *arena, size_t merges, struct vocabulary *out) {
  size_t places = 16;
  while (places < 2 * merges) {
    places *= 2;
  }
  out->mask = places - 1;
  out->merges = arena_take(arena, places * sizeof *out->merges);
  if (out->merges == NULL) {
    return EXHAUSTED;
  }
  for (size_t i = 0; i < places; i++) {
    out->merges[i] = (struct merge){.left = SYMBOL_NONE};
  }
  return OK;
}

static enum status read_merges(struct arena *arena, const json_t *tokens, const char *text,
                               struct vocabulary *out) {
  /* transformers drops the first line whatever it is, tokenizers only one with #version: without
   * it, the first merge is there for one and not for the other, so nobody knows what is meant. */
  if (strncmp(text, "#version", 8) != 0) {
    return REFUSE("merges.txt must begin with a line #version (put \"#version: 0.2\" in front)");
  }
  TRY(open_table(arena, count_lines(text), out));
  int rank = 0;
  for (const char *line = strchr(text, '\n'); line != NULL && rank < MERGES_MAX;
       line = strchr(line, '\n')) {
    line++;
    if (strchr("\r\n", line[strspn(line, " \t")]) == NULL) { /* no empty line, nor the end */
      TRY(add_merge(tokens, line, rank++, out));
    }
  }
  return OK;
}

enum status vocabulary_make(struct arena *arena, const json_t *tokens, int size, const char *merges,
                            struct vocabulary *out) {
  TRY(check_ids(tokens, size));
  fill_bytes(tokens, out);
  return read_merges(arena, tokens, merges, out);
}
