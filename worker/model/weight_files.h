/* weight_files.h - which file of a model's folder holds a network's weights.
 *
 * A folder of the hub has them several times: in full and in half precision, as pickles, for other
 * frameworks, before averaging. One of them is loaded; the engine and who prints a row for the
 * model table choose by the same rule.
 */
#ifndef DARKROOM_WORKER_MODEL_WEIGHT_FILES_H
#define DARKROOM_WORKER_MODEL_WEIGHT_FILES_H

#include <stddef.h>

#include "base/status.h"
#include "worker/model/source.h"

/* What a network is called in messages, "unet", and where a folder has it: the beginning of its
 * files' names, "unet/diffusion_pytorch_model". */
extern const char *const network_names[NETWORKS];
extern const char *const network_stems[NETWORKS];

/* The path within the folder, of at most max bytes, of the file that is loaded for a network. Where
 * the source gives hashes, they decide: the file that has one; else full precision before half.
 * BAD_INPUT (field "weights") says what is there instead: nothing, a pickle, several parts. */
enum status weight_file_choose(const struct model_source *source, enum network network, char *path,
                               size_t max);

/* Why a file beside the one that is loaded is not: "a pickle: ..."; NULL for one that holds no
 * weights. `file` and `chosen` are names without folders, `stem` likewise. */
const char *weight_file_left_out(const char *file, const char *stem, const char *chosen);

#endif
