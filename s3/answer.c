/* answer.c - a refusal's document, and the table of what refusals mean.
 *
 * No XML parser: the document comes from whoever answers, is at most 64 KiB, and two or three words
 * of it are wanted. A scan for elements by their local name reads what S3, Ceph, MinIO, Swift, B2,
 * R2, GCS and proxies before them send, and reads nothing out of what it does not know.
 */
#include "s3/answer.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is shown to people and put on the wire: one line of printable ASCII, blanks folded. */
struct line {
  char *text;
  size_t length, room;
};

static void line_add(struct line *line, unsigned long letter) {
  bool blank = letter == ' ' || (letter >= '\t' && letter <= '\r');
  if (blank && (line->length == 0 || line->text[line->length - 1] == ' ')) {
    return;
  }
  if (line->length + 1 < line->room) {
    line->text[line->length++] = blank ? ' ' : letter > 0x20 && letter < 0x7f ? (char)letter : '?';
  }
}

static void line_end(struct line *line) {
  while (line->length > 0 && line->text[line->length - 1] == ' ') {
    line->length--;
  }
  line->text[line->length] = '\0';
}

/* XML --------------------------------------------------------------------------------------- */

/* "&amp;" and the like at *at: the letter, with *at behind it. A lone '&' is itself. */
static unsigned long entity(const char **at) {
  static const struct {
    const char *text;
    char letter;
  } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strncmp(*at, known[i].text, strlen(known[i].text)) == 0) {
      *at += strlen(known[i].text);
      return (unsigned char)known[i].letter;
    }
  }
  if (strncmp(*at, "&#", 2) == 0) {
    bool hex = (*at)[2] == 'x' || (*at)[2] == 'X';
    char *end = NULL;
    unsigned long letter = strtoul(*at + (hex ? 3 : 2), &end, hex ? 16 : 10);
    if (*end == ';') {
      *at = end + 1;
      return letter;
    }
  }
  (*at)++;
  return '&';
}

#define CDATA "<![CDATA["

/* The text of an element up to the next tag. */
static void copy_text(const char *at, struct line *line) {
  while (*at != '\0') {
    if (strncmp(at, CDATA, strlen(CDATA)) == 0) {
      at += strlen(CDATA);
      for (; *at != '\0' && strncmp(at, "]]>", 3) != 0; at++) {
        line_add(line, (unsigned char)*at);
      }
      at += *at != '\0' ? 3 : 0;
    } else if (*at == '<') {
      break;
    } else if (*at == '&') {
      line_add(line, entity(&at));
    } else {
      line_add(line, (unsigned char)*at++);
    }
  }
  line_end(line);
}

/* Behind "<prefix:name attributes>" when at stands at such a tag, else NULL. */
static const char *behind_tag(const char *at, const char *name) {
  size_t length = strcspn(++at, " \t\r\n/>");
  const char *colon = memchr(at, ':', length);
  const char *local = colon != NULL ? colon + 1 : at;
  bool same =
      length == (size_t)(local - at) + strlen(name) && strncasecmp(local, name, strlen(name)) == 0;
  const char *end = same ? strchr(at + length, '>') : NULL;
  return end != NULL && end[-1] != '/' ? end + 1 : NULL;
}

/* The first element of that name that has a text; comments are passed over. */
static void read_element(const char *document, const char *name, struct line line) {
  line_end(&line);
  for (const char *at = strchr(document, '<'); at != NULL && line.length == 0;
       at = strchr(at + 1, '<')) {
    if (strncmp(at, "<!--", 4) == 0) {
      at = strstr(at + 4, "-->");
      if (at == NULL) {
        return;
      }
      continue;
    }
    const char *text = behind_tag(at, name);
    if (text != NULL) {
      copy_text(text, &line);
    }
  }
}

/* JSON -------------------------------------------------------------------------------------- */

/* The string behind "name": ..., names without regard to case. */
static void read_member(const char *document, const char *name, struct line line) {
  line_end(&line);
  for (const char *at = strchr(document, '"'); at != NULL && line.length == 0;
       at = strchr(at + 1, '"')) {
    size_t length = strlen(name);
    if (strncasecmp(at + 1, name, length) != 0 || at[1 + length] != '"') {
      continue;
    }
    const char *value = at + 2 + length;
    value += strspn(value, " \t\r\n");
    if (*value != ':') {
      continue;
    }
    value += 1 + strspn(value + 1, " \t\r\n");
    const char *end = *value == '"' ? "\"" : " \t\r\n,{}[]"; /* a number has no quotes */
    for (value += *value == '"'; *value != '\0' && strchr(end, *value) == NULL; value++) {
      value += value[0] == '\\' && value[1] != '\0' ? 1 : 0;
      line_add(&line, (unsigned char)*value);
    }
    line_end(&line);
  }
}

/* the document ------------------------------------------------------------------------------ */

void s3_words_read(const char *document, struct s3_words *out) {
  *out = (struct s3_words){0};
  document += strncmp(document, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  document += strspn(document, " \t\r\n");
  if (*document == '{' || *document == '[') {
    read_member(document, "code", (struct line){out->code, 0, sizeof out->code});
    read_member(document, "message", (struct line){out->message, 0, sizeof out->message});
    return;
  }
  read_element(document, "Code", (struct line){out->code, 0, sizeof out->code});
  read_element(document, "Message", (struct line){out->message, 0, sizeof out->message});
  read_element(document, "Region", (struct line){out->region, 0, sizeof out->region});
  if (out->code[0] != '\0' || out->message[0] != '\0') {
    return;
  }
  /* no document of S3: what stands before the store says something, too */
  read_element(document, "title", (struct line){out->message, 0, sizeof out->message});
  if (out->message[0] == '\0' && *document != '<') {
    struct line line = {out->message, 0, sizeof out->message};
    copy_text(document, &line);
  }
}

/* what refusals mean ------------------------------------------------------------------------ */

/* By the store's word, which says more than the status does. */
static const struct {
  const char *code;
  enum status meaning;
} by_code[] = {
    {"SlowDown", UNAVAILABLE},
    {"SlowDownRead", UNAVAILABLE},
    {"SlowDownWrite", UNAVAILABLE},
    {"Busy", UNAVAILABLE},
    {"ServiceUnavailable", UNAVAILABLE},
    {"RequestTimeout", UNAVAILABLE},
    {"RequestTimeTooSkewed", UNAVAILABLE},
    {"InternalError", UNAVAILABLE},
    {"OperationAborted", UNAVAILABLE},
    {"ConditionalRequestConflict", UNAVAILABLE},
    {"BadDigest", UNAVAILABLE}, /* it was damaged on the way */
    {"XAmzContentSHA256Mismatch", UNAVAILABLE},
    {"IncompleteBody", UNAVAILABLE},
    {"TooManyRequests", UNAVAILABLE},
    {"RequestLimitExceeded", UNAVAILABLE},
    {"NoSuchBucket", BAD_INPUT},
    {"InvalidBucketName", BAD_INPUT},
    {"NoSuchKey", BAD_INPUT},
    {"InvalidAccessKeyId", BAD_INPUT},
    {"SignatureDoesNotMatch", BAD_INPUT},
};

/* By the status, where the word is missing or not known. Not listed: a 5xx passes, all else is a
 * no of today. */
static const struct {
  long http;
  enum status meaning;
} by_status[] = {
    {404, BAD_INPUT},   {410, BAD_INPUT},   {408, UNAVAILABLE}, {409, UNAVAILABLE},
    {425, UNAVAILABLE}, {429, UNAVAILABLE}, {501, EXHAUSTED},   {507, EXHAUSTED},
};

enum status s3_refusal(long http, const char *code) {
  for (size_t i = 0; i < sizeof by_code / sizeof by_code[0]; i++) {
    if (strcmp(by_code[i].code, code) == 0) {
      return by_code[i].meaning;
    }
  }
  if (strncmp(code, "Throttl", 7) == 0) {
    return UNAVAILABLE;
  }
  for (size_t i = 0; i < sizeof by_status / sizeof by_status[0]; i++) {
    if (by_status[i].http == http) {
      return by_status[i].meaning;
    }
  }
  return http >= 500 ? UNAVAILABLE : EXHAUSTED;
}

int s3_region_valid(const char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i < length; i++) {
    if (!islower((unsigned char)text[i]) && !isdigit((unsigned char)text[i]) && text[i] != '-') {
      return 0;
    }
  }
  return length > 0 && length < S3_REGION_BYTES_MAX;
}
