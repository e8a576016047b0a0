/* metadata.h - texts as EXIF and XMP carry them. */
#ifndef DARKROOM_IMAGES_METADATA_H
#define DARKROOM_IMAGES_METADATA_H

#include "base/bytes.h"
#include "base/status.h"

/* Appends TIFF (EXIF without "Exif\0\0") with the text as UserComment: "UNICODE\0" and UTF-16, big
 * endian, as AUTOMATIC1111's files have it. BAD_INPUT for what is not UTF-8. */
enum status metadata_exif(const char *text, struct bytes *out);
/* Appends an XMP packet whose darkroom:parameters is the text, escaped for XML. */
enum status metadata_xmp(const char *text, struct bytes *out);

#endif
