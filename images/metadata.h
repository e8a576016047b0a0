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
/* The same in two parts, where a packet must be small (XMP part 3, 1.1.3.1): the property, to be
 * cut into pieces, and the packet that says by its GUID (32 capital hex digits of the extension's
 * MD5) that there are such. */
enum status metadata_xmp_extension(const char *text, struct bytes *out);
enum status metadata_xmp_pointer(const char *guid, struct bytes *out);

#endif
