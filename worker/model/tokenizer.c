/* tokenizer.c - words by one regular expression, then byte pairs joined within each word. */
#include "worker/model/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "worker/model/config.h"
#include "worker/model/prompt.h"
#include "worker/model/vocabulary.h"

#define TABLE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define SCRATCH_BYTES_MAX ((size_t)4 * 1024 * 1024)
/* Composing and lower-casing can make text longer: by 3 at the very worst (Unicode's FAQ on
 * normalisation). */
#define CLEAN_BYTES_MAX ((size_t)JOB_PROMPT_BYTES_MAX * 4)
#define CHECKED_TOKENS_MAX 3 /* start, end, and a word between them */

/* The special tokens stand in text as themselves, as in transformers. */
static const char words_regex[] =
    "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}"
    "]+";

struct tokenizer {
  struct arena *arena; /* holds this struct as well */
  struct tokenizer_shape shape;
  struct vocabulary vocabulary;
  pcre2_code *words;
  int32_t start, end, pad, unknown;
};

/* ---- opening ---- */

static enum status find_special(const json_t *tokens, const char *text, int32_t *out) {
  int32_t id = vocabulary_id(tokens, text);
  if (id == SYMBOL_NONE) {
    return fail_field(BAD_INPUT, "config", "vocab.json: special token %s is missing", text);
  }
  *out = id;
  return OK;
}

static enum status compile_words(pcre2_code **out) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code *words = pcre2_compile((PCRE2_SPTR)words_regex, PCRE2_ZERO_TERMINATED,
                                    PCRE2_UTF | PCRE2_UCP, &error, &offset, NULL);
  if (words == NULL) {
    return fail(BROKEN, "libpcre2 does not accept the word pattern: error %d", error);
  }
  *out = words;
  return OK;
}

static enum status fill(struct tokenizer *tokenizer, const struct tokenizer_texts *texts,
                        const json_t *tokens) {
  TRY(vocabulary_make(tokenizer->arena, tokens, tokenizer->shape.vocabulary, texts->merges,
                      &tokenizer->vocabulary));
  TRY(find_special(tokens, texts->start, &tokenizer->start));
  TRY(find_special(tokens, texts->end, &tokenizer->end));
  TRY(find_special(tokens, texts->pad, &tokenizer->pad));
  TRY(find_special(tokens, texts->unknown, &tokenizer->unknown));
  return compile_words(&tokenizer->words);
}

static enum status make_in(struct arena *arena, const struct tokenizer_texts *texts,
                           struct tokenizer_shape shape, struct tokenizer **out) {
  struct tokenizer *tokenizer = arena_take_zeroed(arena, sizeof *tokenizer);
  if (tokenizer == NULL) {
    return EXHAUSTED;
  }
  tokenizer->arena = arena;
  tokenizer->shape = shape;
  static const struct json_rules flat = {.depth_max = 1};
  json_t *tokens = NULL;
  TRY(config_json("vocab.json", texts->vocabulary, texts->vocabulary_bytes, flat, &tokens));
  enum status status = fill(tokenizer, texts, tokens);
  json_decref(tokens);
  TRY(status);
  *out = tokenizer;
  return OK;
}

enum status tokenizer_make(const struct tokenizer_texts *texts, struct tokenizer_shape shape,
                           struct tokenizer **out) {
  if (shape.tokens < CHECKED_TOKENS_MAX) {
    return fail_field(BAD_INPUT, "config", "a text encoder of %d positions is too short",
                      shape.tokens);
  }
  struct arena *arena = NULL;
  TRY(arena_open(NULL, TABLE_BYTES_MAX, &arena));
  enum status status = make_in(arena, texts, shape, out);
  if (status != OK) {
    arena_close(&arena);
  }
  return status;
}

void tokenizer_close(struct tokenizer **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct arena *arena = (*pointer)->arena;
  pcre2_code_free((*pointer)->words);
  arena_close(&arena); /* the struct itself lies in it */
  *pointer = NULL;
}

/* ---- one word ---- */

/* A word being joined is a list of symbols, each with the merge it would make with the one after.
 */
struct symbol {
  int32_t id;
  int next; /* index of the following symbol, -1 at the end */
  const struct merge *merge;
};

static void find_merge(const struct vocabulary *vocabulary, struct symbol *symbols, int at) {
  int next = symbols[at].next;
  symbols[at].merge =
      next < 0 ? NULL : vocabulary_merge(vocabulary, symbols[at].id, symbols[next].id);
}

static void symbols_start(const struct vocabulary *vocabulary, const uint8_t *word, int length,
                          struct symbol *symbols) {
  for (int i = 0; i < length; i++) {
    bool last = i == length - 1;
    symbols[i].id = last ? vocabulary->last_byte[word[i]] : vocabulary->byte[word[i]];
    symbols[i].next = last ? -1 : i + 1;
  }
  for (int i = 0; i < length; i++) {
    find_merge(vocabulary, symbols, i);
  }
}

/* Joins the first pair of the lowest rank again and again until no two neighbours join (Sennrich et
 * al. 2016). */
static void symbols_join(const struct vocabulary *vocabulary, struct symbol *symbols) {
  for (;;) {
    int best = -1, before_best = -1, before = -1;
    for (int at = 0; at >= 0; before = at, at = symbols[at].next) {
      const struct merge *merge = symbols[at].merge;
      if (merge != NULL && (best < 0 || merge->rank < symbols[best].merge->rank)) {
        best = at;
        before_best = before;
      }
    }
    if (best < 0) {
      return;
    }
    symbols[best].id = symbols[best].merge->result;
    symbols[best].next = symbols[symbols[best].next].next;
    find_merge(vocabulary, symbols, best);
    if (before_best >= 0) {
      find_merge(vocabulary, symbols, before_best);
    }
  }
}

/* ---- a prompt ---- */

struct output {
  int32_t *id;
  int count, max;
};

static void emit(struct output *output, int32_t id) {
  if (output->count < output->max) {
    output->id[output->count++] = id;
  }
}

static bool is_word(const char *word, size_t length, const char *text) {
  return length == strlen(text) && memcmp(word, text, length) == 0;
}

static void encode_word(const struct tokenizer *tokenizer, const char *word, size_t length,
                        struct symbol *symbols, struct output *output) {
  if (is_word(word, length, "<|startoftext|>")) {
    emit(output, tokenizer->start);
    return;
  }
  if (is_word(word, length, "<|endoftext|>")) {
    emit(output, tokenizer->end);
    return;
  }
  symbols_start(&tokenizer->vocabulary, (const uint8_t *)word, (int)length, symbols);
  symbols_join(&tokenizer->vocabulary, symbols);
  for (int at = 0; at >= 0; at = symbols[at].next) {
    emit(output, symbols[at].id == SYMBOL_NONE ? tokenizer->unknown : symbols[at].id);
  }
}

static enum status encode_words(const struct tokenizer *tokenizer, const struct bytes *text,
                                struct symbol *symbols, struct output *output) {
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(tokenizer->words, NULL);
  if (match == NULL) {
    return fail(EXHAUSTED, "no memory for a prompt");
  }
  PCRE2_SIZE at = 0;
  /* Once the output is full, what follows cannot change it. */
  while (output->count < output->max) {
    int found = pcre2_match(tokenizer->words, (PCRE2_SPTR)bytes_text(text), text->length, at, 0,
                            match, NULL);
    if (found < 0) {
      pcre2_match_data_free(match);
      return found == PCRE2_ERROR_NOMATCH
                 ? OK
                 : fail_field(BAD_INPUT, "prompt", "the prompt cannot be split: %d", found);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match);
    encode_word(tokenizer, bytes_text(text) + bounds[0], bounds[1] - bounds[0], symbols, output);
    at = bounds[1];
  }
  pcre2_match_data_free(match);
  return OK;
}

static enum status encode_text(const struct tokenizer *tokenizer, const struct bytes *text,
                               struct output *output) {
  struct arena *scratch = NULL;
  TRY(arena_open(NULL, SCRATCH_BYTES_MAX, &scratch));
  struct symbol *symbols = arena_take(scratch, (text->length + 1) * sizeof *symbols);
  enum status status = symbols != NULL ? encode_words(tokenizer, text, symbols, output) : EXHAUSTED;
  arena_close(&scratch);
  return status;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *prompt, int32_t *ids) {
  if (strlen(prompt) > JOB_PROMPT_BYTES_MAX) {
    return fail_field(BAD_INPUT, "prompt", "the prompt has %zu bytes, at most %d are allowed",
                      strlen(prompt), JOB_PROMPT_BYTES_MAX);
  }
  struct bytes text;
  bytes_open(&text, CLEAN_BYTES_MAX);
  struct output output = {ids, 0, tokenizer->shape.tokens - 1};
  emit(&output, tokenizer->start);
  enum status status = prompt_clean(prompt, &text);
  if (status == OK) {
    status = encode_text(tokenizer, &text, &output);
  }
  bytes_close(&text);
  ids[output.count++] = tokenizer->end;
  while (output.count < tokenizer->shape.tokens) {
    ids[output.count++] = tokenizer->pad;
  }
  return status;
}
