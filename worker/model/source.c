/* source.c - a source that outlives who named it. */
#include "worker/model/source.h"

enum status model_source_keep(struct arena *arena, const struct model_source *source,
                              struct model_source *out) {
  struct model_source kept = *source;
  struct weight_hash *hashes = arena_take(arena, source->hash_count * sizeof *hashes);
  if (hashes == NULL) {
    return EXHAUSTED;
  }
  const char **const texts[] = {&kept.folder,     &kept.file,      &kept.variant, &kept.family,
                                &kept.prediction, &kept.tokenizer, &kept.configs};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    TRY(arena_keep_text(arena, *texts[i], texts[i]));
  }
  for (size_t i = 0; i < source->hash_count; i++) {
    TRY(arena_keep_text(arena, source->hashes[i].path, &hashes[i].path));
    TRY(arena_keep_text(arena, source->hashes[i].sha256, &hashes[i].sha256));
  }
  kept.hashes = hashes;
  *out = kept;
  return OK;
}
