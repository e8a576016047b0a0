/* caption.h - what is written in and beside a picture: how it was made, for people, tools and
 * machines.
 *
 * In the PNG stands only what determines the picture (prompt, seed, size, steps, model hash, ...),
 * no job id: the same request gives the same bytes. The sidecar beside it has the rest.
 */
#ifndef DARKROOM_WORKER_MEDIA_CAPTION_H
#define DARKROOM_WORKER_MEDIA_CAPTION_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "proto/darkroom.pb-c.h"

/* Of each text: JSON writes a control character as six. */
#define CAPTION_BYTES_MAX (512 * 1024)

/* By what a picture was computed, as far as it decides its last bits; "": not known. */
struct caption_means {
  char device[8];      /* the kind: "cpu", "cuda" */
  char element[8];     /* what most of the model was held in: "f16" */
  char determinism[8]; /* "strict" or "fast" */
};

struct caption {
  const Darkroom__V1__Job *job; /* as assigned: with all defaults */
  uint64_t fence;
  uint32_t index;
  const char *model_sha256; /* "" when not known */
  struct caption_means means;
  const char *worker;
  const char *version; /* of darkroom */
};

/* The image's own seed: the job's plus its index. */
uint64_t caption_seed(const struct caption *caption);

/* Appends AUTOMATIC1111's infotext, which its "PNG info" and many tools read: the chunk
 * "parameters". */
enum status caption_infotext(const struct caption *caption, struct bytes *out);
/* Appends one JSON object with the exact parameters: the chunk "darkroom". */
enum status caption_parameters(const struct caption *caption, struct bytes *out);
/* Appends the sidecar's JSON: the whole job, where it was made, and the picture's size and
 * checksum. */
enum status caption_sidecar(const struct caption *caption, const Darkroom__V1__Artifact *image,
                            struct bytes *out);

#endif
