/* prompt_weights.c - one walk over the prompt; a closing bracket weighs what stands behind the
 * opening one. */
#include "worker/model/prompt_weights.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROUND_WEIGHT 1.1
#define SQUARE_WEIGHT (1 / 1.1)
#define NUMBER_BYTES_MAX 32
#define BREAK_WORD "BREAK"

/* Where brackets of one kind have opened, in the text that is written. */
struct open_brackets {
  size_t *at;
  size_t count;
};
struct reading {
  const char *from; /* the prompt, at the place that is read */
  const char *begin;
  struct weighted_text *to;
  struct open_brackets round, square;
};

static void weigh(struct reading *reading, struct open_brackets *open, double factor) {
  for (size_t i = open->at[--open->count]; i < reading->to->length; i++) {
    reading->to->weight[i] *= factor;
  }
}

static void put(struct reading *reading, char c) {
  struct weighted_text *to = reading->to;
  to->text[to->length] = c;
  to->weight[to->length++] = 1;
}

/* ---- BREAK ---- */

/* Letters beyond ASCII are letters, too. */
static bool is_letter(char c) {
  return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_break(const struct reading *reading) {
  const char *at = reading->from;
  size_t length = strlen(BREAK_WORD);
  return strncmp(at, BREAK_WORD, length) == 0 && !is_letter(at[length]) &&
         (at == reading->begin || !is_letter(at[-1]));
}

static void read_break(struct reading *reading) {
  reading->to->breaks[reading->to->length]++;
  reading->from += strlen(BREAK_WORD);
}

/* ---- brackets ---- */

static const char *skip_spaces(const char *at) {
  while (isspace((unsigned char)*at)) {
    at++;
  }
  return at;
}

/* The end of ":1.3)" behind its bracket, NULL where none stands here. */
static const char *find_number(const char *colon, const char **number, size_t *length) {
  const char *at = skip_spaces(colon + 1), *begin = at;
  at += *at == '+' || *at == '-';
  size_t digits = strspn(at, ".0123456789");
  *number = begin;
  *length = (size_t)(at - begin) + digits;
  at = skip_spaces(at + digits);
  return digits > 0 && *at == ')' ? at + 1 : NULL;
}

static enum status read_number(const char *number, size_t length, double *out) {
  char text[NUMBER_BYTES_MAX + 1] = "", *end = text;
  double value = 0;
  if (length <= NUMBER_BYTES_MAX) {
    memcpy(text, number, length);
    value = strtod(text, &end);
  }
  if (end == text || *end != '\0' || !isfinite(value) || fabs(value) > PROMPT_WEIGHT_MAX) {
    return fail_field(BAD_INPUT, "prompt", "\"%.*s\" is no weight of a prompt: -%g..%g",
                      (int)(length < 64 ? length : 64), number, PROMPT_WEIGHT_MAX,
                      PROMPT_WEIGHT_MAX);
  }
  *out = value;
  return OK;
}

static enum status read_colon(struct reading *reading) {
  const char *number = NULL;
  size_t length = 0;
  const char *end = find_number(reading->from, &number, &length);
  if (end == NULL || reading->round.count == 0) {
    put(reading, *reading->from++);
    return OK;
  }
  double weight = 0;
  TRY(read_number(number, length, &weight));
  weigh(reading, &reading->round, weight);
  reading->from = end;
  return OK;
}

/* A backslash before what is no bracket says nothing. */
static void read_escape(struct reading *reading) {
  reading->from++;
  if (*reading->from != '\0' && strchr("()[]\\", *reading->from) != NULL) {
    put(reading, *reading->from++);
  }
}

static void open_bracket(struct reading *reading, struct open_brackets *open) {
  open->at[open->count++] = reading->to->length;
  reading->from++;
}

static void close_bracket(struct reading *reading, struct open_brackets *open, double factor) {
  if (open->count == 0) {
    put(reading, *reading->from++);
    return;
  }
  weigh(reading, open, factor);
  reading->from++;
}

static enum status read_one(struct reading *reading) {
  switch (*reading->from) {
    case '\\':
      read_escape(reading);
      return OK;
    case '(':
      open_bracket(reading, &reading->round);
      return OK;
    case '[':
      open_bracket(reading, &reading->square);
      return OK;
    case ')':
      close_bracket(reading, &reading->round, ROUND_WEIGHT);
      return OK;
    case ']':
      close_bracket(reading, &reading->square, SQUARE_WEIGHT);
      return OK;
    case ':':
      return read_colon(reading);
    default:
      break;
  }
  if (is_break(reading)) {
    read_break(reading);
  } else {
    put(reading, *reading->from++);
  }
  return OK;
}

static enum status check_weights(const struct weighted_text *text) {
  for (size_t i = 0; i < text->length; i++) {
    if (fabs(text->weight[i]) > PROMPT_WEIGHT_MAX) {
      return fail_field(BAD_INPUT, "prompt", "weights of a prompt multiply to more than %g",
                        PROMPT_WEIGHT_MAX);
    }
  }
  return OK;
}

enum status prompt_weights_read(struct arena *arena, const char *prompt,
                                struct weighted_text *out) {
  size_t room = strlen(prompt) + 1;
  struct weighted_text text = {.text = arena_take(arena, room),
                               .weight = arena_take(arena, room * sizeof *text.weight),
                               .breaks = arena_take_zeroed(arena, room * sizeof *text.breaks)};
  struct reading reading = {.from = prompt,
                            .begin = prompt,
                            .to = &text,
                            .round = {arena_take(arena, room * sizeof(size_t)), 0},
                            .square = {arena_take(arena, room * sizeof(size_t)), 0}};
  if (text.text == NULL || text.weight == NULL || text.breaks == NULL || reading.round.at == NULL ||
      reading.square.at == NULL) {
    return EXHAUSTED;
  }
  while (*reading.from != '\0') {
    TRY(read_one(&reading));
  }
  while (reading.round.count > 0) {
    weigh(&reading, &reading.round, ROUND_WEIGHT);
  }
  while (reading.square.count > 0) {
    weigh(&reading, &reading.square, SQUARE_WEIGHT);
  }
  TRY(check_weights(&text));
  *out = text;
  return OK;
}
