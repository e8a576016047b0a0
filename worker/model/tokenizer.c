/* tokenizer.c - special tokens, words by one regular expression, byte pairs joined within each.
 *
 * Step by step what transformers' two classes do (tokenization_clip.py, and the tokenizers library
 * as CLIPConverter sets it up), also where it is odd: models/tokenizer_fuzz.py compares.
 */
#include "worker/model/tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

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

/* CLIPTokenizer's pattern knows two tokens by name, and ignores case: "'ſ" is an 's. The fast
 * class leaves special tokens to the splitting before it. The space stands for all white space, as
 * it does in a clean text: PCRE2's own \s knows U+180E as well. */
#define WORDS "'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^ \\p{L}\\p{N}]+"
#define START_TEXT "<|startoftext|>"
#define END_TEXT "<|endoftext|>"
static const struct pattern {
  const char *text;
  uint32_t options;
} patterns[] = {
    [PROMPT_PLAIN] = {"<\\|startoftext\\|>|<\\|endoftext\\|>|" WORDS, PCRE2_CASELESS},
    [PROMPT_FAST] = {WORDS, 0},
};

#define SPECIALS 4

/* A text that stands for one token wherever it is found. */
struct special {
  const char *text;
  size_t length;
  int32_t id;
};

struct tokenizer {
  struct arena *arena; /* holds this struct as well */
  struct tokenizer_shape shape;
  struct vocabulary vocabulary;
  pcre2_code *words;
  struct special special[SPECIALS]; /* start, end, pad, unknown */
  int32_t start_text, end_text;     /* of the two texts in the pattern */
};
enum { START, END, PAD, UNKNOWN };

/* ---- opening ---- */

static enum status find_special(struct arena *arena, const json_t *tokens, const char *text,
                                struct special *out) {
  int32_t id = vocabulary_id(tokens, text);
  if (id == SYMBOL_NONE || text[0] == '\0') {
    return fail_field(BAD_INPUT, "config", "vocab.json: special token %s is missing", text);
  }
  const char *copy = arena_copy_text(arena, text, strlen(text));
  if (copy == NULL) {
    return EXHAUSTED;
  }
  *out = (struct special){copy, strlen(copy), id};
  return OK;
}

static enum status find_specials(struct tokenizer *tokenizer, const struct tokenizer_texts *texts,
                                 const json_t *tokens) {
  const char *const text[SPECIALS] = {texts->start, texts->end, texts->pad, texts->unknown};
  for (int i = 0; i < SPECIALS; i++) {
    TRY(find_special(tokenizer->arena, tokens, text[i], &tokenizer->special[i]));
  }
  int32_t start = vocabulary_id(tokens, START_TEXT), end = vocabulary_id(tokens, END_TEXT);
  int32_t unknown = tokenizer->special[UNKNOWN].id;
  tokenizer->start_text = start != SYMBOL_NONE ? start : unknown;
  tokenizer->end_text = end != SYMBOL_NONE ? end : unknown;
  return OK;
}

static enum status compile_words(enum prompt_rules rules, pcre2_code **out) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  const struct pattern *pattern = &patterns[rules];
  pcre2_code *words =
      pcre2_compile((PCRE2_SPTR)pattern->text, PCRE2_ZERO_TERMINATED,
                    PCRE2_UTF | PCRE2_UCP | pattern->options, &error, &offset, NULL);
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
  TRY(find_specials(tokenizer, texts, tokens));
  return compile_words(tokenizer->shape.rules, &tokenizer->words);
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

/* The place before which the pair of the lowest rank begins; -1 when no two neighbours join. */
static int lowest_pair(const struct symbol *symbols) {
  int best = -1;
  for (int at = 0; at >= 0; at = symbols[at].next) {
    const struct merge *merge = symbols[at].merge;
    if (merge != NULL && (best < 0 || merge->rank < symbols[best].merge->rank)) {
      best = at;
    }
  }
  return best;
}

/* Joins what has this merge: the first such pair, or all from left to right. */
static void join_pairs(const struct vocabulary *vocabulary, struct symbol *symbols, int first,
                       bool all) {
  const struct merge *merge = symbols[first].merge;
  for (int at = 0, before = -1; at >= 0; before = at, at = symbols[at].next) {
    int next = symbols[at].next;
    if (at < first || next < 0 || symbols[at].id != merge->left ||
        symbols[next].id != merge->right) {
      continue;
    }
    symbols[at].id = merge->result;
    symbols[at].next = symbols[next].next;
    find_merge(vocabulary, symbols, at);
    if (before >= 0) {
      find_merge(vocabulary, symbols, before);
    }
    if (!all) {
      return;
    }
  }
}

/* The pair of the lowest rank again and again (Sennrich et al. 2016). CLIPTokenizer joins it
 * everywhere before it looks again; the fast class at its first place. They differ only for merges
 * that are not in the order in which they were learnt. */
static void symbols_join(const struct tokenizer *tokenizer, struct symbol *symbols) {
  for (int best = lowest_pair(symbols); best >= 0; best = lowest_pair(symbols)) {
    join_pairs(&tokenizer->vocabulary, symbols, best, tokenizer->shape.rules == PROMPT_PLAIN);
  }
}

/* ---- a prompt ---- */

/* Bytes that need not end with a NUL. */
struct text {
  const char *at;
  size_t length;
};

static void emit(struct token_list *output, int32_t id) {
  if (output->count < output->max) {
    output->id[output->count++] = id;
  }
}

static bool is_word(const char *word, size_t length, const char *text) {
  return length == strlen(text) && memcmp(word, text, length) == 0;
}

static void encode_word(const struct tokenizer *tokenizer, const char *word, size_t length,
                        struct symbol *symbols, struct token_list *output) {
  bool plain = tokenizer->shape.rules == PROMPT_PLAIN;
  if (plain && is_word(word, length, START_TEXT)) {
    emit(output, tokenizer->start_text);
    return;
  }
  if (plain && is_word(word, length, END_TEXT)) {
    emit(output, tokenizer->end_text);
    return;
  }
  symbols_start(&tokenizer->vocabulary, (const uint8_t *)word, (int)length, symbols);
  symbols_join(tokenizer, symbols);
  for (int at = 0; at >= 0; at = symbols[at].next) {
    emit(output, symbols[at].id == SYMBOL_NONE ? tokenizer->special[UNKNOWN].id : symbols[at].id);
  }
}

/* Once the output is full, what follows cannot change it. */
static bool is_full(const struct token_list *output) { return output->count == output->max; }

static enum status match_words(const struct tokenizer *tokenizer, struct text text,
                               struct symbol *symbols, struct token_list *output,
                               pcre2_match_data *match) {
  PCRE2_SIZE at = 0;
  while (!is_full(output)) {
    int found = pcre2_match(tokenizer->words, (PCRE2_SPTR)text.at, text.length, at, 0, match, NULL);
    if (found < 0) {
      return found == PCRE2_ERROR_NOMATCH
                 ? OK
                 : fail_field(BAD_INPUT, "prompt", "the prompt cannot be split: %d", found);
    }
    const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(match);
    encode_word(tokenizer, text.at + bounds[0], bounds[1] - bounds[0], symbols, output);
    at = bounds[1];
  }
  return OK;
}

/* Text that is clean and has no special token in it. */
static enum status encode_words(const struct tokenizer *tokenizer, struct text text,
                                struct arena *scratch, struct token_list *output) {
  struct arena_mark mark = arena_mark(scratch);
  struct symbol *symbols = arena_take(scratch, (text.length + 1) * sizeof *symbols);
  pcre2_match_data *match = pcre2_match_data_create_from_pattern(tokenizer->words, NULL);
  enum status status = symbols != NULL && match != NULL
                           ? match_words(tokenizer, text, symbols, output, match)
                           : fail(EXHAUSTED, "no memory for a prompt");
  pcre2_match_data_free(match);
  arena_release(scratch, mark);
  return status;
}

/* Text without a special token in it. */
static enum status encode_plain(const struct tokenizer *tokenizer, struct text text,
                                struct arena *scratch, struct token_list *output) {
  if (tokenizer->shape.rules == PROMPT_FAST) {
    return encode_words(tokenizer, text, scratch, output); /* it is clean already */
  }
  struct bytes clean;
  bytes_open(&clean, CLEAN_BYTES_MAX);
  enum status status = prompt_clean(PROMPT_PLAIN, text.at, text.length, &clean);
  if (status == OK) {
    struct text whole = {bytes_text(&clean), clean.length};
    status = encode_words(tokenizer, whole, scratch, output);
  }
  bytes_close(&clean);
  return status;
}

/* The first special token in a text, of several at one place the longest; NULL for none. */
static const struct special *find_first(const struct tokenizer *tokenizer, struct text text,
                                        size_t *place) {
  const struct special *first = NULL;
  for (int i = 0; i < SPECIALS; i++) {
    const struct special *special = &tokenizer->special[i];
    const char *found = memmem(text.at, text.length, special->text, special->length);
    size_t at = found != NULL ? (size_t)(found - text.at) : 0;
    bool better = first == NULL || at < *place || (at == *place && special->length > first->length);
    if (found != NULL && better) {
      first = special;
      *place = at;
    }
  }
  return first;
}

/* The special tokens stand in text as themselves, whatever they are glued to. */
static enum status encode_text(const struct tokenizer *tokenizer, struct text text,
                               struct arena *scratch, struct token_list *output) {
  while (text.length > 0 && !is_full(output)) {
    size_t place = text.length;
    const struct special *special = find_first(tokenizer, text, &place);
    TRY(encode_plain(tokenizer, (struct text){text.at, place}, scratch, output));
    if (special != NULL) {
      emit(output, special->id);
      place += special->length;
    }
    text = (struct text){text.at + place, text.length - place};
  }
  return OK;
}

/* CLIPTokenizer looks for special tokens before it cleans, the fast class in the cleaned text. */
static enum status encode_prompt(const struct tokenizer *tokenizer, struct text prompt,
                                 struct arena *scratch, struct token_list *output) {
  if (tokenizer->shape.rules == PROMPT_PLAIN) {
    return encode_text(tokenizer, prompt, scratch, output);
  }
  struct bytes clean;
  bytes_open(&clean, CLEAN_BYTES_MAX);
  enum status status = prompt_clean(PROMPT_FAST, prompt.at, prompt.length, &clean);
  if (status == OK) {
    struct text whole = {bytes_text(&clean), clean.length};
    status = encode_text(tokenizer, whole, scratch, output);
  }
  bytes_close(&clean);
  return status;
}

/* A prompt is checked whole, also behind the place where the output is full. */
static enum status check_prompt(struct text prompt) {
  if (prompt.length > JOB_PROMPT_BYTES_MAX) {
    return fail_field(BAD_INPUT, "prompt", "the prompt has %zu bytes, at most %d are allowed",
                      prompt.length, JOB_PROMPT_BYTES_MAX);
  }
  for (size_t at = 0; at < prompt.length;) {
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t bytes = utf8proc_iterate((const utf8proc_uint8_t *)prompt.at + at,
                                              (utf8proc_ssize_t)(prompt.length - at), &c);
    if (bytes <= 0) {
      return fail_field(BAD_INPUT, "prompt", "the prompt is not UTF-8");
    }
    at += (size_t)bytes;
  }
  return OK;
}

static enum status encode(const struct tokenizer *tokenizer, struct text prompt,
                          struct arena *scratch, int32_t *ids) {
  int tokens = tokenizer->shape.tokens;
  struct token_list output = {arena_take(scratch, (size_t)tokens * sizeof *ids), 0, tokens - 1};
  if (output.id == NULL) {
    return EXHAUSTED;
  }
  emit(&output, tokenizer->special[START].id);
  TRY(encode_prompt(tokenizer, prompt, scratch, &output));
  output.id[output.count++] = tokenizer->special[END].id;
  while (output.count < tokens) {
    output.id[output.count++] = tokenizer->special[PAD].id;
  }
  memcpy(ids, output.id, (size_t)tokens * sizeof *ids);
  return OK;
}

enum status tokenizer_encode(const struct tokenizer *tokenizer, const char *prompt, int32_t *ids) {
  struct text text = {prompt, strlen(prompt)};
  TRY(check_prompt(text));
  struct arena *scratch = NULL;
  TRY(arena_open(NULL, SCRATCH_BYTES_MAX, &scratch));
  enum status status = encode(tokenizer, text, scratch, ids);
  arena_close(&scratch);
  return status;
}

enum status tokenizer_append(const struct tokenizer *tokenizer, const char *text, size_t length,
                             struct token_list *list) {
  struct text whole = {text, length};
  TRY(check_prompt(whole));
  struct arena *scratch = NULL;
  TRY(arena_open(NULL, SCRATCH_BYTES_MAX, &scratch));
  enum status status = encode_prompt(tokenizer, whole, scratch, list);
  arena_close(&scratch);
  return status;
}

struct token_marks tokenizer_marks(const struct tokenizer *tokenizer) {
  const struct special *special = tokenizer->special;
  return (struct token_marks){special[START].id, special[END].id, special[PAD].id};
}
