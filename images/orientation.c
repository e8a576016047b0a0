/* orientation.c - libexif reads what a camera wrote; nothing else of it is used. */
#include "images/orientation.h"

#include <libexif/exif-data.h>
#include <stdlib.h>
#include <string.h>

#define EXIF_HEADER "Exif\0"
enum { EXIF_HEADER_BYTES = 6, EXIF_BYTES_MAX = 65535 };

/* libexif wants the header that JPEG puts before it. */
static uint8_t *with_header(const uint8_t *data, size_t *bytes) {
  uint8_t *whole = malloc(*bytes + EXIF_HEADER_BYTES);
  if (whole != NULL) {
    memcpy(whole, EXIF_HEADER, EXIF_HEADER_BYTES);
    memcpy(whole + EXIF_HEADER_BYTES, data, *bytes);
    *bytes += EXIF_HEADER_BYTES;
  }
  return whole;
}

static int read_orientation(const uint8_t *data, size_t bytes) {
  ExifData *exif = exif_data_new();
  if (exif == NULL) {
    return 1;
  }
  /* repairs of what cameras wrote are none of ours, and makers' notes are nobody's format */
  exif_data_unset_option(exif, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  exif_data_set_option(exif, EXIF_DATA_OPTION_DONT_CHANGE_MAKER_NOTE);
  exif_data_load_data(exif, data, (unsigned)bytes);
  ExifEntry *entry = exif_content_get_entry(exif->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  int value = 1;
  if (entry != NULL && entry->format == EXIF_FORMAT_SHORT && entry->components == 1 &&
      entry->size >= 2) {
    value = exif_get_short(entry->data, exif_data_get_byte_order(exif));
  }
  exif_data_unref(exif);
  return value >= 1 && value <= 8 ? value : 1;
}

int orientation_of(const uint8_t *data, size_t bytes) {
  if (bytes < EXIF_HEADER_BYTES || bytes > EXIF_BYTES_MAX) {
    return 1;
  }
  if (memcmp(data, EXIF_HEADER, EXIF_HEADER_BYTES) == 0) {
    return read_orientation(data, bytes);
  }
  uint8_t *whole = with_header(data, &bytes);
  int value = whole != NULL ? read_orientation(whole, bytes) : 1;
  free(whole);
  return value;
}
