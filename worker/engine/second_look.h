/* second_look.h - a picture that came out infinite or of one colour is decoded once more, in f32:
 * 16 bits may have overflowed where 32 do not. Private to this folder. */
#ifndef DARKROOM_WORKER_ENGINE_SECOND_LOOK_H
#define DARKROOM_WORKER_ENGINE_SECOND_LOOK_H

#include "worker/engine/state.h"

/* Decodes the sample anew into rgb by the model's own decoder, with weights loaded for that alone
 * and given back; nothing else happens meanwhile. BAD_INPUT when the picture is no better, or has
 * come from that decoder in f32 already; EXHAUSTED when there is no memory for it. */
enum status second_look(struct engine *engine, const struct sample *sample, uint8_t *rgb);

#endif
