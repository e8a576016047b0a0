/* prompt_chunks.c - a text is cut at words of textual inversion and where its weight changes; what
 * is between is tokenized; the tokens are dealt out to chunks. */
#include "worker/model/prompt_chunks.h"

#include <assert.h>
#include <string.h>

#include "worker/model/embeddings.h"
#include "worker/model/prompt_weights.h"

#define MARKS 2 /* of a chunk: its begin and its end */
/* A prompt may grow to four times its bytes when it is cleaned, and no token has less than one. */
#define TOKENS_MAX (4 * JOB_PROMPT_BYTES_MAX)
#define CHUNK_TOKENS_MAX (PROMPT_CHUNKS_MAX * TOKENS_PER_CHUNK)
#define END_IS_HIGHEST 2

struct text {
  const char *at;
  size_t length;
};

/* Chunks being filled. */
struct dealing {
  const struct prompt_reader *reader;
  const struct condition *condition;
  struct token_list found; /* of the text at hand */
  struct prompt_chunks *to;
  int used; /* tokens in the last chunk */
};

static int room_of(const struct prompt_reader *reader) { return reader->positions - MARKS; }

/* ---- chunks ---- */

static enum status refuse_long(void) {
  return fail_field(BAD_INPUT, "prompt", "the prompt has more than %d chunks of tokens",
                    PROMPT_CHUNKS_MAX);
}

/* An empty one behind the others: marks and filling. */
static enum status begin_chunk(const struct prompt_reader *reader, struct prompt_chunks *to) {
  if (to->chunks == PROMPT_CHUNKS_MAX) {
    return refuse_long();
  }
  struct token_marks marks = tokenizer_marks(reader->tokenizer);
  int first = to->chunks * reader->positions;
  for (int i = 0; i < reader->positions; i++) {
    to->id[first + i] = i == 0 ? marks.start : i == 1 ? marks.end : marks.pad;
    to->weight[first + i] = 1;
  }
  to->weighted[to->chunks++] = false;
  return OK;
}

/* One token more in the last chunk, which has room: the end mark moves. */
static void put_token(struct dealing *dealing, int32_t id, float weight) {
  struct prompt_chunks *to = dealing->to;
  int32_t end = tokenizer_marks(dealing->reader->tokenizer).end;
  int at = (to->chunks - 1) * dealing->reader->positions + 1 + dealing->used++;
  to->id[at] = id;
  to->id[at + 1] = end;
  to->weight[at] = weight;
  to->weighted[to->chunks - 1] = to->weighted[to->chunks - 1] || weight != 1;
}

/* Tokens that belong together, `count` of them from id on. */
static enum status deal(struct dealing *dealing, const int32_t *ids, int count, float weight) {
  struct prompt_chunks *to = dealing->to;
  int room = room_of(dealing->reader);
  bool plain = dealing->condition->mode == PROMPT_MODE_PLAIN;
  to->tokens += count;
  if (!plain && dealing->used + count > room && dealing->used > 0 && count <= room) {
    TRY(begin_chunk(dealing->reader, to));
    dealing->used = 0;
  }
  for (int i = 0; i < count; i++) {
    if (dealing->used == room && plain) {
      to->cut += count - i;
      return OK;
    }
    if (dealing->used == room) {
      TRY(begin_chunk(dealing->reader, to));
      dealing->used = 0;
    }
    put_token(dealing, ids[i], weight);
  }
  return OK;
}

static enum status deal_break(struct dealing *dealing) {
  TRY(begin_chunk(dealing->reader, dealing->to));
  dealing->used = 0;
  return OK;
}

/* ---- words of textual inversion ---- */

/* The first such word in a text, of several at one place the longest; NULL for none. */
static const struct embedding_word *find_word(const struct embeddings *embeddings, struct text text,
                                              size_t *place) {
  const struct embedding_word *first = NULL;
  size_t count = embeddings != NULL ? embeddings_count(embeddings) : 0;
  for (size_t i = 0; i < count; i++) {
    const struct embedding_word *word = embeddings_at(embeddings, i);
    const char *found = memmem(text.at, text.length, word->token, strlen(word->token));
    size_t at = found != NULL ? (size_t)(found - text.at) : 0;
    bool longer = first != NULL && at == *place && strlen(word->token) > strlen(first->token);
    if (found != NULL && (first == NULL || at < *place || longer)) {
      first = word;
      *place = at;
    }
  }
  return first;
}

static enum status deal_word(struct dealing *dealing, const struct embedding_word *word,
                             float weight) {
  int32_t ids[EMBEDDING_VECTORS_MAX];
  assert(word->vectors <= EMBEDDING_VECTORS_MAX);
  for (int i = 0; i < word->vectors; i++) {
    ids[i] = dealing->reader->vocabulary + word->first + i;
  }
  return deal(dealing, ids, word->vectors, weight);
}

static enum status deal_plain(struct dealing *dealing, struct text text, float weight) {
  struct token_list *found = &dealing->found;
  found->count = 0;
  TRY(tokenizer_append(dealing->reader->tokenizer, text.at, text.length, found));
  for (int i = 0; i < found->count; i++) {
    TRY(deal(dealing, &found->id[i], 1, weight));
  }
  return OK;
}

static enum status deal_text(struct dealing *dealing, struct text text, float weight) {
  while (text.length > 0) {
    size_t place = text.length;
    const struct embedding_word *word = find_word(dealing->condition->embeddings, text, &place);
    TRY(deal_plain(dealing, (struct text){text.at, place}, weight));
    if (word != NULL) {
      TRY(deal_word(dealing, word, weight));
      place += strlen(word->token);
    }
    text = (struct text){text.at + place, text.length - place};
  }
  return OK;
}

/* ---- modes ---- */

/* Runs of one weight, from break to break. A break at the very end begins nothing. */
static enum status deal_weighted(struct dealing *dealing, const struct weighted_text *text) {
  for (size_t at = 0; at <= text->length;) {
    int breaks = text->breaks[at] - (at == text->length && text->breaks[at] > 0);
    for (int i = 0; i < breaks; i++) {
      TRY(deal_break(dealing));
    }
    size_t end = at;
    while (end < text->length && text->weight[end] == text->weight[at] &&
           (end == at || text->breaks[end] == 0)) {
      end++;
    }
    struct text run = {text->text + at, end - at};
    TRY(deal_text(dealing, run, at < text->length ? (float)text->weight[at] : 1));
    at = end > at ? end : at + 1;
  }
  return OK;
}

static enum status deal_prompt(struct arena *arena, struct dealing *dealing) {
  const char *prompt = dealing->condition->prompt;
  if (dealing->condition->mode != PROMPT_MODE_WEIGHTED) {
    return deal_text(dealing, (struct text){prompt, strlen(prompt)}, 1);
  }
  struct weighted_text text;
  TRY(prompt_weights_read(arena, prompt, &text));
  return deal_weighted(dealing, &text);
}

static enum status check_length(const char *prompt) {
  size_t bytes = strlen(prompt);
  return bytes <= JOB_PROMPT_BYTES_MAX
             ? OK
             : fail_field(BAD_INPUT, "prompt", "the prompt has %zu bytes, at most %d are allowed",
                          bytes, JOB_PROMPT_BYTES_MAX);
}

enum status prompt_chunks_make(struct arena *arena, const struct prompt_reader *reader,
                               const struct condition *condition, struct prompt_chunks *out) {
  struct prompt_chunks chunks = {
      .id = arena_take(arena, CHUNK_TOKENS_MAX * sizeof *chunks.id),
      .weight = arena_take(arena, CHUNK_TOKENS_MAX * sizeof *chunks.weight),
      .weighted = arena_take(arena, PROMPT_CHUNKS_MAX * sizeof *chunks.weighted)};
  struct dealing dealing = {.reader = reader, .condition = condition, .to = &chunks};
  dealing.found =
      (struct token_list){arena_take(arena, TOKENS_MAX * sizeof(int32_t)), 0, TOKENS_MAX};
  if (chunks.id == NULL || chunks.weight == NULL || chunks.weighted == NULL ||
      dealing.found.id == NULL) {
    return EXHAUSTED;
  }
  assert(reader->positions > MARKS && reader->positions <= TOKENS_PER_CHUNK);
  TRY(check_length(condition->prompt));
  TRY(begin_chunk(reader, &chunks));
  TRY(deal_prompt(arena, &dealing));
  *out = chunks;
  return OK;
}

enum status prompt_chunks_fill(const struct prompt_reader *reader, int chunks,
                               struct prompt_chunks *out) {
  while (out->chunks < chunks) {
    TRY(begin_chunk(reader, out));
  }
  return OK;
}

int prompt_chunks_end(const struct prompt_chunks *chunks, const struct prompt_reader *reader,
                      int chunk, int end) {
  const int32_t *id = chunks->id + (size_t)chunk * (size_t)reader->positions;
  int best = 0;
  for (int i = 0; i < reader->positions; i++) {
    if (end != END_IS_HIGHEST && id[i] == end) {
      return i;
    }
    if (end == END_IS_HIGHEST && id[i] < reader->vocabulary && id[i] > id[best]) {
      best = i;
    }
  }
  return best;
}
