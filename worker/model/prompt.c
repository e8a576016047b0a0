/* prompt.c - Unicode work by utf8proc, step by step as transformers does it. */
#include "worker/model/prompt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <utf8proc.h>

/* A text as its characters. */
struct characters {
  utf8proc_int32_t *at;
  size_t count;
};

struct range {
  utf8proc_int32_t first, last;
};

static bool in_ranges(const struct range *ranges, size_t count, utf8proc_int32_t c) {
  for (size_t i = 0; i < count; i++) {
    if (c >= ranges[i].first && c <= ranges[i].last) {
      return true;
    }
  }
  return false;
}
#define IN(table, c) in_ranges(table, sizeof(table) / sizeof *(table), c)

/* ---- kinds of characters ---- */

/* Unicode's White_Space property: its list is short and has not changed since 2013. */
static bool is_space(utf8proc_int32_t c) {
  static const struct range spaces[] = {
      {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
      {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
  };
  return IN(spaces, c);
}

/* What BasicTokenizer drops: what cannot be seen, has no meaning yet, or could not be read. */
static bool is_dropped(utf8proc_int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
      return c != '\t' && c != '\n' && c != '\r';
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      return true;
    default:
      return c == 0xfffd;
  }
}

/* The blocks that BasicTokenizer takes for Chinese. */
static bool is_chinese(utf8proc_int32_t c) {
  static const struct range blocks[] = {
      {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
      {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b820, 0x2ceaf}, {0x2f800, 0x2fa1f},
  };
  return IN(blocks, c);
}

/* Unicode's Case_Ignorable and Cased, as the rule of the final sigma asks for them: of what is
 * cased only what is not ignorable as well. */
static bool is_case_ignorable(utf8proc_int32_t c) {
  static const struct range marks[] = {
      {'\'', '\''},     {'.', '.'},       {':', ':'},       {0xb7, 0xb7},
      {0x387, 0x387},   {0x55f, 0x55f},   {0x5f4, 0x5f4},   {0x2018, 0x2019},
      {0x2024, 0x2024}, {0x2027, 0x2027}, {0xfe13, 0xfe13}, {0xfe52, 0xfe52},
      {0xfe55, 0xfe55}, {0xff07, 0xff07}, {0xff0e, 0xff0e}, {0xff1a, 0xff1a},
  };
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return IN(marks, c);
  }
}

static bool is_cased(utf8proc_int32_t c) {
  static const struct range others[] = {{0xaa, 0xaa},      {0xba, 0xba},       {0x2160, 0x217f},
                                        {0x24b6, 0x24e9},  {0x1f130, 0x1f149}, {0x1f150, 0x1f169},
                                        {0x1f170, 0x1f189}};
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return true;
    default:
      return IN(others, c);
  }
}

/* ---- lower case ---- */

static enum status append_character(struct bytes *out, utf8proc_int32_t c) {
  utf8proc_uint8_t text[4];
  return bytes_append(out, text, (size_t)utf8proc_encode_char(c, text));
}

/* A capital sigma behind a letter and before none is written as at the end of a word. Python asks
 * within the word between two white spaces. */
static bool sigma_is_final(const struct characters *text, size_t at) {
  size_t before = at, after = at + 1;
  while (before > 0 && is_case_ignorable(text->at[before - 1])) {
    before--;
  }
  while (after < text->count && is_case_ignorable(text->at[after])) {
    after++;
  }
  return before > 0 && is_cased(text->at[before - 1]) &&
         (after == text->count || !is_cased(text->at[after]));
}

/* One letter's lower case is one letter, with a single exception in all of Unicode: the dotted
 * capital I becomes i and a combining dot. */
static enum status append_lower(struct bytes *out, enum prompt_rules rules,
                                const struct characters *text, size_t at) {
  utf8proc_int32_t c = text->at[at];
  if (c == 0x130) {
    TRY(append_character(out, 'i'));
    return append_character(out, 0x307);
  }
  if (c == 0x3a3 && rules == PROMPT_PLAIN && sigma_is_final(text, at)) {
    return append_character(out, 0x3c2);
  }
  return append_character(out, utf8proc_tolower(c));
}

static enum status append_all(struct bytes *out, enum prompt_rules rules,
                              const struct characters *text) {
  bool after_space = false;
  for (size_t i = 0; i < text->count; i++) {
    bool space = is_space(text->at[i]);
    if (!space) {
      TRY(append_lower(out, rules, text, i));
    } else if (!after_space) {
      TRY(append_character(out, ' '));
    }
    after_space = space;
  }
  return OK;
}

/* ---- from bytes to characters ---- */

static enum status refuse_bytes(void) {
  return fail_field(BAD_INPUT, "prompt", "the prompt is not UTF-8");
}

/* BasicTokenizer's first two steps. */
static enum status append_plain(struct bytes *out, utf8proc_int32_t c) {
  if (is_dropped(c)) {
    return OK;
  }
  if (!is_chinese(c)) {
    return append_character(out, c);
  }
  TRY(append_character(out, ' '));
  TRY(append_character(out, c));
  return append_character(out, ' ');
}

static enum status make_plain(const char *text, size_t length, struct bytes *out) {
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
  for (size_t done = 0; done < length;) {
    utf8proc_int32_t c = 0;
    utf8proc_ssize_t bytes = utf8proc_iterate(at + done, (utf8proc_ssize_t)(length - done), &c);
    if (bytes <= 0) {
      return refuse_bytes();
    }
    TRY(append_plain(out, c));
    done += (size_t)bytes;
  }
  return OK;
}

/* NFC: taken apart and put together. The caller frees out->at. */
static enum status compose(const char *text, size_t length, struct characters *out) {
  const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
  utf8proc_ssize_t apart = utf8proc_decompose(bytes, (utf8proc_ssize_t)length, NULL, 0, options);
  if (apart < 0) {
    return refuse_bytes();
  }
  utf8proc_int32_t *at = malloc(((size_t)apart + 1) * sizeof *at);
  if (at == NULL) {
    return fail(EXHAUSTED, "no memory for a prompt");
  }
  utf8proc_ssize_t written =
      utf8proc_decompose(bytes, (utf8proc_ssize_t)length, at, apart, options);
  utf8proc_ssize_t count = written == apart ? utf8proc_normalize_utf32(at, apart, options) : -1;
  if (count < 0) {
    free(at);
    return refuse_bytes();
  }
  *out = (struct characters){at, (size_t)count};
  return OK;
}

static enum status clean(enum prompt_rules rules, const char *text, size_t length,
                         struct bytes *out) {
  struct characters characters;
  TRY(compose(text, length, &characters));
  enum status status = append_all(out, rules, &characters);
  free(characters.at);
  return status;
}

enum status prompt_clean(enum prompt_rules rules, const char *text, size_t length,
                         struct bytes *out) {
  if (rules == PROMPT_FAST) {
    return clean(rules, text, length, out);
  }
  struct bytes plain;
  bytes_open(&plain, out->max);
  enum status status = make_plain(text, length, &plain);
  if (status == OK) {
    status = clean(rules, bytes_text(&plain), plain.length, out);
  }
  bytes_close(&plain);
  return status;
}
