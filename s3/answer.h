/* answer.h - what a store says when it refuses: read from whatever document it sent, and what it
 * means for who asked.
 */
#ifndef DARKROOM_S3_ANSWER_H
#define DARKROOM_S3_ANSWER_H

#include <stddef.h>

#include "base/status.h"

#define S3_CODE_BYTES_MAX 64
#define S3_MESSAGE_BYTES_MAX 200
#define S3_REGION_BYTES_MAX 64

/* Texts are printable ASCII, cut where they are too long, "" when the document has none. */
struct s3_words {
  char code[S3_CODE_BYTES_MAX];       /* "NoSuchKey" */
  char message[S3_MESSAGE_BYTES_MAX]; /* the store's own sentence */
  char region[S3_REGION_BYTES_MAX];   /* where it says the bucket is */
};

/* Reads a refusal's document: XML under any root, prefix, indentation or CDATA; JSON with a code
 * and a message; of anything else its title or its text becomes the message. Never fails. */
void s3_words_read(const char *document, struct s3_words *out);

/* What a refusal means:
 *   UNAVAILABLE  passes by itself: busy, throttled, a fault of the server, a clock;
 *   EXHAUSTED    the store says no, and may say yes later: a quota, a permission, a lock, a key of
 *                the encryption, a token that has expired, a disk that is full;
 *   BAD_INPUT    what was asked for is not there, or the settings are wrong: a bucket or an access
 *                key that the store does not know, a signature that it does not accept.
 * http is the status, code the store's word ("" when it sent none). */
enum status s3_refusal(long http, const char *code);

/* Whether text can be a region: it becomes part of a host's name. */
int s3_region_valid(const char *text);

#endif
