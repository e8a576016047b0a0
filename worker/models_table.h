/* models_table.h - models.conf: which models this worker offers, on which devices, and what their
 * weights must hash to.
 *
 *   [demo]                      the id jobs name
 *   kind = model                what it is: model, control (a control net), lora, embedding
 *                               (textual inversion), tiny (a tiny decoder); left out: model
 *   path = models/demo          a folder (diffusers layout) or one .safetensors file; relative to
 *                               the table's own folder
 *   devices = cpu, cuda:0       where it is pinned; left out or *: on every device; cuda or
 *                               cuda:all: on every GPU; cuda:GPU-8f3a: by its UUID
 *   pinned = no                 loaded when a job asks for it, and gone when others need the room;
 *                               left out: loaded at the start, and stays
 *   default = yes               taken when a job names no model
 *   variant = fp16              of a folder: which of its weights; left out: those without a
 *                               variant, else fp16
 *   family = sd2                left out: found from what the files hold; of a tiny decoder: whose
 *                               latents it decodes, left out: all with as many channels
 *   prediction = epsilon        or v_prediction or sample; left out: as the configs say, or what
 *                               the family usually has
 *   tokenizer = sd/tokenizer    folder with vocab.json and merges.txt, or with "tokenizer" (and
 *                               "tokenizer_2") in it; left out: where the weights are
 *   configs = sd                of a single file: folder whose config.json files are taken in place
 *                               of the family's usual facts
 *   ema = yes                   of a single file: the averaged copy of the U-Net's weights
 *   sha256 unet/diffusion_pytorch_model.safetensors = 64 hex digits, one line per weight file
 *
 * Trust comes from this file: weights that it does not name with a hash are not loaded. Pickles are
 * refused by content.
 */
#ifndef DARKROOM_WORKER_MODELS_TABLE_H
#define DARKROOM_WORKER_MODELS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/status.h"
#include "worker/model/source.h"

enum models_kind { MODELS_MODEL, MODELS_CONTROL, MODELS_LORA, MODELS_EMBEDDING, MODELS_TINY };

struct models_row {
  const char *id;
  enum models_kind kind;
  const char *devices; /* "*" or a comma-separated list */
  bool standard;       /* default = yes */
  bool on_demand;      /* pinned = no */
  const char *sha256;  /* one for all its weights: of what sha256sum prints for them, by path */
  struct model_source source; /* its hashes are those below */
  struct weight_hash *hashes; /* in the table's arena, room for WEIGHT_FILES_MAX */
  uint32_t keys;              /* which were given, a bit each (models_keys.c) */
};

struct models_table {
  struct arena *arena;
  struct models_row row[MODELS_ROWS_MAX];
  size_t count;
};

/* BAD_INPUT says file, line and what is wrong; UNAVAILABLE when it cannot be read. */
enum status models_table_read(const char *path, struct models_table *out);
void models_table_close(struct models_table *table);

/* Whether every weight file is there and looks like safetensors, and single files are of a known
 * family: before an engine is started. The hash itself is checked by the engine, where the file is
 * read anyway. */
enum status models_table_check(const struct models_table *table);

/* The row marked default, or the only model; NULL when no model is the default. */
const struct models_row *models_table_standard(const struct models_table *table);

/* Whether the row is pinned to this device: by its name, or by the one that it is opened by
 * (devices.h says what an item may be). */
bool models_row_on(const struct models_row *row, const char *name, const char *open);

/* Prints a row for a folder or a file, ready to paste: which kind it is, of each network the files
 * that are loaded, and in comments what lies beside them and why it is not, and what a single file
 * still lacks. BAD_INPUT and nothing printed for what would be refused. */
enum status models_print_row(const char *path, FILE *out);

#endif
