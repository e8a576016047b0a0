/* lone.c - opening, loading and asking a network of its own. */
#include "worker/model/lone.h"

#include "worker/model/checkpoint.h"

#define HOST_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define ANY_BYTES ((size_t)1 << 44) /* the device has its own limit */

enum status lone_open(struct device *device, struct lone *out) {
  struct lone lone = {.device = device};
  TRY(arena_open(NULL, HOST_BYTES_MAX, &lone.host));
  enum status status = device_arena(device, ANY_BYTES, &lone.on_device);
  if (status != OK) {
    arena_close(&lone.host);
    return status;
  }
  *out = lone;
  return OK;
}

void lone_close(struct lone *lone) {
  packed_close(&lone->packed);
  arena_close(&lone->on_device);
  arena_close(&lone->host);
}

/* ---- loading ---- */

static enum status load_all(struct loader *loader, const struct lone_load *load) {
  TRY(load->load(loader, load->context));
  return weights_all_used(loader->file);
}

static enum status load_from(struct lone *lone, struct checkpoint *checkpoint, enum network kind,
                             const struct lone_load *load) {
  struct loader loader = {.device = lone->device,
                          .element = device_element(lone->device),
                          .host = lone->host,
                          .on_device = lone->on_device};
  TRY(weights_open_network(checkpoint, kind, &loader.file));
  enum status status = arena_open(NULL, ANY_BYTES, &loader.scratch);
  if (status == OK) {
    status = load_all(&loader, load);
    arena_close(&loader.scratch);
  }
  lone->packed = loader.packed;
  weights_close(&loader.file);
  return status;
}

enum status lone_load(struct lone *lone, const struct model_source *source, enum network kind,
                      const struct lone_load *load) {
  struct checkpoint *checkpoint = NULL;
  size_t before = device_memory_used(lone->device);
  TRY(checkpoint_open(source, &checkpoint));
  enum status status = load_from(lone, checkpoint, kind, load);
  if (status == OK) {
    status = checkpoint_all_used(checkpoint);
  }
  checkpoint_close(&checkpoint);
  lone->bytes = device_memory_used(lone->device) - before;
  return status;
}

/* ---- passes ---- */

struct pass lone_pass(const struct lone *lone, struct arena *turn) {
  return (struct pass){
      .device = lone->device, .arena = turn, .element = device_element(lone->device)};
}

size_t lone_dry_bytes(const struct lone *lone, lone_dry_run run, const void *context,
                      const struct tensor *input) {
  struct arena *arena = NULL;
  if (pass_dry_arena(&arena) != OK) {
    return SIZE_MAX;
  }
  struct pass pass = lone_pass(lone, arena);
  pass.dry = true;
  size_t bytes = run(&pass, context, input) == OK ? arena_peak(arena) : SIZE_MAX;
  arena_close(&arena);
  return bytes;
}
