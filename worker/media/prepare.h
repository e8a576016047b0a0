/* prepare.h - a job's file as its engine wants it: pictures decoded and made to the job's size,
 * other files as they are. */
#ifndef DARKROOM_WORKER_MEDIA_PREPARE_H
#define DARKROOM_WORKER_MEDIA_PREPARE_H

#include "base/bytes.h"
#include "base/status.h"
#include "images/image.h"
#include "proto/darkroom.pb-c.h"

/* An image: RGB, Lanczos to the job's size less its padding, the padding drawn out from its edge. A
 * mask: the same size and canvas, then grey, not thresholded (a soft mask stays soft), 255 in the
 * padding. A control net's: RGB, Lanczos to the job's size. BAD_INPUT for what is no picture. */
enum status prepare_picture(const Darkroom__V1__Job *job, Darkroom__V1__BlobKind kind,
                            const struct bytes *file, struct image *out);
/* The mask that padding is, where a job has no other: 255 in the padding, 0 in the image. */
enum status prepare_padding_mask(const Darkroom__V1__Job *job, struct image *out);
/* Whether an adapter's or embedding's file is of the kind that is read: safetensors. What is inside
 * is for the engine. BAD_INPUT says what it is instead. */
enum status prepare_check_tensors(const struct bytes *file);

#endif
