/* metadata.c - EXIF 2.3 (JEITA CP-3451C) with one entry, XMP (ISO 16684-1) with one property. */
#include "images/metadata.h"

#include <stdbool.h>
#include <string.h>
#include <utf8proc.h>

/* EXIF -------------------------------------------------------------------------------------- */

#define COMMENT_CODE "UNICODE\0" /* eight bytes */
enum {
  COMMENT_CODE_BYTES = 8,
  TYPE_LONG = 4,
  TYPE_UNDEFINED = 7,
  TAG_EXIF_FOLDER = 0x8769,
  TAG_USER_COMMENT = 0x9286,
  HEADER_BYTES = 8,
  FOLDER_BYTES = 2 + 12 + 4, /* of one entry: how many, the entry, no next folder */
};

static enum status put16(struct bytes *out, unsigned value) {
  uint8_t two[] = {(uint8_t)(value >> 8), (uint8_t)value};
  return bytes_append(out, two, sizeof two);
}

static enum status put32(struct bytes *out, uint32_t value) {
  TRY(put16(out, value >> 16));
  return put16(out, value & 0xffff);
}

struct entry {
  unsigned tag, type;
  uint32_t count, value;
};

static enum status put_folder(struct bytes *out, const struct entry *entry) {
  TRY(put16(out, 1));
  TRY(put16(out, entry->tag));
  TRY(put16(out, entry->type));
  TRY(put32(out, entry->count));
  TRY(put32(out, entry->value));
  return put32(out, 0);
}

static enum status put_utf16(const char *text, struct bytes *out) {
  const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
  for (utf8proc_ssize_t left = (utf8proc_ssize_t)strlen(text); left > 0;) {
    utf8proc_int32_t point = 0;
    utf8proc_ssize_t took = utf8proc_iterate(at, left, &point);
    if (took <= 0) {
      return fail(BAD_INPUT, "a picture's text is not UTF-8");
    }
    if (point >= 0x10000) { /* a pair of surrogates */
      TRY(put16(out, 0xd800u + (unsigned)((point - 0x10000) >> 10)));
      TRY(put16(out, 0xdc00u + (unsigned)((point - 0x10000) & 0x3ff)));
    } else {
      TRY(put16(out, (unsigned)point));
    }
    at += took;
    left -= took;
  }
  return OK;
}

enum status metadata_exif(const char *text, struct bytes *out) {
  struct bytes comment;
  bytes_open(&comment, out->max);
  enum status status = bytes_append(&comment, COMMENT_CODE, COMMENT_CODE_BYTES);
  status = status == OK ? put_utf16(text, &comment) : status;
  const struct entry first = {TAG_EXIF_FOLDER, TYPE_LONG, 1, HEADER_BYTES + FOLDER_BYTES};
  const struct entry second = {TAG_USER_COMMENT, TYPE_UNDEFINED, (uint32_t)comment.length,
                               HEADER_BYTES + 2 * FOLDER_BYTES};
  status = status == OK ? bytes_append(out, "MM\0*\0\0\0\x08", HEADER_BYTES) : status;
  status = status == OK ? put_folder(out, &first) : status;
  status = status == OK ? put_folder(out, &second) : status;
  status = status == OK ? bytes_append(out, comment.data, comment.length) : status;
  bytes_close(&comment);
  return status;
}

/* XMP --------------------------------------------------------------------------------------- */

static const char *escape(char c) {
  static const struct {
    char c;
    const char *text;
  } rows[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].c == c) {
      return rows[i].text;
    }
  }
  return NULL;
}

/* How many bytes the text begins with that no XML may hold, not even escaped (XML 1.0, 2.2):
 * controls, and U+FFFE and U+FFFF. */
static size_t forbidden(const char *text) {
  bool control = (unsigned char)text[0] < 0x20 && strchr("\t\n\r", text[0]) == NULL;
  bool nobody = strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0;
  return control ? 1 : nobody ? 3 : 0;
}

static enum status put_escaped(const char *text, struct bytes *out) {
  while (*text != '\0') {
    const char *other = escape(*text);
    size_t none = forbidden(text);
    other = none > 0 ? "\xef\xbf\xbd" : other; /* U+FFFD: what could not be written */
    TRY(other != NULL ? bytes_append_text(out, other) : bytes_append(out, text, 1));
    text += none > 0 ? none : 1;
  }
  return OK;
}

#define PACKET_BEGIN "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>"
#define PACKET_END "<?xpacket end=\"r\"?>"
#define META_BEGIN                         \
  "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">" \
  "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
#define META_END "</rdf:RDF></x:xmpmeta>"

enum status metadata_xmp_extension(const char *text, struct bytes *out) {
  TRY(bytes_append_text(out, META_BEGIN
                        "<rdf:Description rdf:about=\"\" xmlns:darkroom=\"urn:darkroom:1\">"
                        "<darkroom:parameters>"));
  TRY(put_escaped(text, out));
  return bytes_append_text(out, "</darkroom:parameters></rdf:Description>" META_END);
}

enum status metadata_xmp(const char *text, struct bytes *out) {
  TRY(bytes_append_text(out, PACKET_BEGIN));
  TRY(metadata_xmp_extension(text, out));
  return bytes_append_text(out, PACKET_END);
}

enum status metadata_xmp_pointer(const char *guid, struct bytes *out) {
  return bytes_printf(
      out,
      PACKET_BEGIN META_BEGIN
      "<rdf:Description rdf:about=\"\" xmlns:xmpNote=\"http://ns.adobe.com/xmp/note/\""
      " xmpNote:HasExtendedXMP=\"%s\"/>" META_END PACKET_END,
      guid);
}
