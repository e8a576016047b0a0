/* family_guess.h - the facts of a source: a folder's from its configs, a single file's from what
 * its tensors are and what its family usually is.
 *
 * Which family: told by what the file calls its text encoder (key_layout.c), which is how diffusers
 * tells them apart, too; all else that a shape says is read from shapes. What no shape says (heads,
 * scaling, noise) are the family's values, those of its configs on the hub.
 *
 * What a network predicts no shape says either. The rule: `prediction` of the source decides; else
 * a tensor named "v_pred" means v (and one named "ztsnr" zero terminal SNR); else SD 2.x is taken
 * for v, as its 768-pixel models and diffusers have it, all others for noise. The 512-pixel models
 * of SD 2.x predict noise: for those it must be said, and family.prediction_assumed asks to say so.
 */
#ifndef DARKROOM_WORKER_MODEL_FAMILY_GUESS_H
#define DARKROOM_WORKER_MODEL_FAMILY_GUESS_H

#include "base/status.h"
#include "worker/model/checkpoint.h"
#include "worker/model/family.h"

/* BAD_INPUT (field "config" or "weights") says what is missing, unknown or contradicts the source's
 * `family`. */
enum status family_open(struct checkpoint *files, struct family *out);
/* The same without a hash being looked at: what the source would be taken for. */
enum status family_look(const struct model_source *source, struct family *out);

#endif
