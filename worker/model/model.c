/* model.c - opening a folder, and the three things a model does. */
#include "worker/model/model.h"

#include <assert.h>

#include "base/limits.h"
#include "worker/model/checkpoint.h"
#include "worker/model/clip.h"
#include "worker/model/tokenizer.h"
#include "worker/model/unet.h"
#include "worker/model/vae.h"

#define HOST_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ANY_BYTES ((size_t)1 << 44) /* the device has its own limit */

struct model {
  struct arena *host;      /* this struct and those of the networks */
  struct arena *on_device; /* norms and tables; everything else is packed weights */
  struct device *device;
  struct packed *packed;
  struct model_source source;  /* in the host arena, too */
  size_t bytes, decoder_bytes; /* on the device: all, and of these the decoder's */
  struct family family;
  struct tokenizer *tokenizer;
  struct modules *modules; /* what adapters may change */
  struct clip clip;
  struct unet unet;
  struct vae vae;
};

/* ---- the networks of a source ---- */

struct opening {
  const struct model_source *source;
  struct model *model;
  struct checkpoint *files;
  struct loader loader;
};

static enum status load_clip(struct opening *opening) {
  return clip_load(&opening->loader, &opening->model->family.clip, &opening->model->clip);
}
static enum status load_unet(struct opening *opening) {
  return unet_load(&opening->loader, &opening->model->family.unet, &opening->model->unet);
}
static enum status load_vae(struct opening *opening) {
  return vae_load(&opening->loader, &opening->model->family.vae, &opening->model->vae);
}

/* The networks of a model; all tensors of one are used when it has been loaded. */
enum { MODEL_NETWORKS = NETWORK_TEXT + 1 };
static enum status (*const loads[MODEL_NETWORKS])(struct opening *opening) = {
    [NETWORK_VAE] = load_vae, [NETWORK_UNET] = load_unet, [NETWORK_TEXT] = load_clip};

static enum status open_network(struct opening *opening, enum network network) {
  TRY(weights_open_network(opening->files, network, &opening->loader.file));
  opening->loader.element = device_element_for(
      opening->model->device,
      network == NETWORK_VAE ? opening->model->family.vae.precision : PRECISION_FAST);
  opening->loader.network = network;
  size_t before = device_memory_used(opening->model->device);
  enum status status = loads[network](opening);
  if (network == NETWORK_VAE) {
    opening->model->decoder_bytes = device_memory_used(opening->model->device) - before;
  }
  if (status == OK) {
    status = weights_all_used(opening->loader.file);
  }
  weights_close(&opening->loader.file);
  return status;
}

static enum status open_networks(struct opening *opening) {
  for (int network = NETWORK_VAE; network < MODEL_NETWORKS; network++) {
    TRY(open_network(opening, (enum network)network));
  }
  return checkpoint_all_used(opening->files);
}

/* ---- opening and closing ---- */

/* The tokenizer goes with the text encoder's vocabulary. */
static enum status open_tokenizer(const char *folder, const struct family *family,
                                  struct tokenizer **out) {
  struct tokenizer_shape shape = {family->clip.vocabulary, family->clip.positions, family->prompt};
  return tokenizer_open(folder, shape, out);
}

enum status model_look(const struct model_source *source) {
  struct family family;
  struct tokenizer *tokenizer = NULL;
  TRY(family_read(source->folder, &family));
  TRY(open_tokenizer(source->folder, &family, &tokenizer));
  tokenizer_close(&tokenizer);
  struct model_source unhashed = *source;
  struct checkpoint *files = NULL;
  unhashed.hash_count = 0;
  TRY(checkpoint_open(&unhashed, &files));
  enum status status = OK;
  for (int network = NETWORK_VAE; network < MODEL_NETWORKS && status == OK; network++) {
    struct weights *weights = NULL;
    status = weights_open_network(files, (enum network)network, &weights);
    weights_close(&weights);
  }
  checkpoint_close(&files);
  return status;
}

/* Loads with `load`, into the model's arenas. */
static enum status load_into(struct opening *opening,
                             enum status (*load)(struct opening *opening)) {
  struct model *model = opening->model;
  struct loader *loader = &opening->loader;
  size_t before = device_memory_used(model->device);
  TRY(device_arena(model->device, ANY_BYTES, &model->on_device));
  TRY(arena_open(NULL, ANY_BYTES, &loader->scratch));
  loader->device = model->device;
  loader->host = model->host;
  loader->on_device = model->on_device;
  enum status status = checkpoint_open(opening->source, &opening->files);
  status = status == OK ? load(opening) : status;
  checkpoint_close(&opening->files);
  arena_close(&loader->scratch);
  model->packed = loader->packed;
  model->bytes = device_memory_used(model->device) - before;
  return status;
}

static enum status fill(struct opening *opening) {
  struct model *model = opening->model;
  const char *folder = opening->source->folder;
  /* the decoder may be wanted once more */
  TRY(model_source_keep(model->host, opening->source, &model->source));
  TRY(family_read(folder, &model->family));
  TRY(open_tokenizer(folder, &model->family, &model->tokenizer));
  TRY(modules_open(model->host, &model->modules));
  opening->loader.modules = model->modules;
  TRY(load_into(opening, open_networks));
  return modules_seal(model->modules);
}

/* An empty one. */
static enum status new_model(struct device *device, struct model **out) {
  struct arena *host = NULL;
  TRY(arena_open(NULL, HOST_BYTES_MAX, &host));
  struct model *model = arena_take_zeroed(host, sizeof *model);
  if (model == NULL) {
    arena_close(&host);
    return EXHAUSTED;
  }
  model->host = host;
  model->device = device;
  *out = model;
  return OK;
}

enum status model_open(struct device *device, const struct model_source *source,
                       struct model **out) {
  struct model *model = NULL;
  TRY(new_model(device, &model));
  struct opening opening = {.source = source, .model = model};
  enum status status = fill(&opening);
  if (status != OK) {
    model_close(&model);
    return status;
  }
  *out = model;
  return OK;
}

void model_close(struct model **pointer) {
  if (pointer == NULL || *pointer == NULL) {
    return;
  }
  struct model *model = *pointer;
  struct arena *host = model->host;
  packed_close(&model->packed);
  tokenizer_close(&model->tokenizer);
  arena_close(&model->on_device);
  arena_close(&host); /* the struct itself lies in it */
  *pointer = NULL;
}

const struct family *model_family(const struct model *model) { return &model->family; }

size_t model_bytes(const struct model *model) { return model->bytes; }

const struct modules *model_modules(const struct model *model) { return model->modules; }

/* ---- passes ---- */

static struct pass pass_of(const struct model *model, struct arena *turn,
                           enum precision precision) {
  return (struct pass){.device = model->device,
                       .arena = turn,
                       .element = device_element_for(model->device, precision)};
}

/* ---- scratch, known beforehand ---- */

/* Runs one of the passes dry and gives the most it took. SIZE_MAX when even that fails, so that
 * nothing is admitted. */
static size_t dry_bytes(const struct model *model, const struct tensor *input,
                        enum status (*run)(const struct pass *pass, const struct model *model,
                                           const struct tensor *input)) {
  struct arena *arena = NULL;
  if (pass_dry_arena(&arena) != OK) {
    return SIZE_MAX;
  }
  struct pass pass = pass_of(model, arena, PRECISION_FAST);
  pass.dry = true;
  size_t bytes = run(&pass, model, input) == OK ? arena_peak(arena) : SIZE_MAX;
  arena_close(&arena);
  return bytes;
}

/* ---- conditioning ---- */

static enum status take_conditioning(const struct model *model, struct arena *keep,
                                     struct conditioning *out) {
  const struct clip_facts *facts = &model->family.clip;
  enum element element = device_element(model->device);
  TRY(tensor_take(keep, element, TENSOR_SHAPE(facts->positions, facts->width), &out->embedding));
  return tensor_take(keep, element, TENSOR_SHAPE(facts->positions * model->unet.context_columns),
                     &out->keys_values);
}

static enum status put_ids(const struct model *model, struct arena *turn, const char *prompt,
                           struct tensor *out) {
  int32_t ids[TOKENS_PER_CHUNK];
  assert(model->family.clip.positions <= TOKENS_PER_CHUNK);
  TRY(tokenizer_encode(model->tokenizer, prompt, ids));
  TRY(tensor_take(turn, ELEMENT_I32, TENSOR_SHAPE(1, model->family.clip.positions), out));
  return device_put(model->device, ids, tensor_bytes(out), out);
}

static enum status condition(const struct model *model, struct arena *turn, const char *prompt,
                             const struct conditioning *conditioning) {
  struct tensor ids;
  TRY(put_ids(model, turn, prompt, &ids));
  struct pass pass = pass_of(model, turn, PRECISION_FAST);
  TRY(clip_run(&pass, &model->clip, &ids, &conditioning->embedding));
  return unet_condition(&pass, &model->unet, conditioning);
}

enum status model_condition(struct model *model, struct arena *keep, struct arena *turn,
                            const char *prompt, struct conditioning *out) {
  struct arena_mark kept = arena_mark(keep), mark = arena_mark(turn);
  enum status status = take_conditioning(model, keep, out);
  if (status == OK) {
    status = condition(model, turn, prompt, out);
    arena_release(turn, mark);
  }
  if (status != OK) {
    arena_release(keep, kept);
  }
  return status;
}

/* An arena rounds every piece up to its alignment. */
static size_t bytes_taken(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t model_condition_bytes(const struct model *model) {
  size_t positions = (size_t)model->family.clip.positions;
  size_t value = element_bytes(device_element(model->device));
  return bytes_taken(positions * (size_t)model->family.clip.width * value) +
         bytes_taken(positions * (size_t)model->unet.context_columns * value);
}

static enum status condition_dry(const struct pass *pass, const struct model *model,
                                 const struct tensor *embedding) {
  struct tensor ids;
  TRY(pass_take_as(pass, ELEMENT_I32, TENSOR_SHAPE(1, model->family.clip.positions), &ids));
  return clip_run(pass, &model->clip, NULL, embedding);
}

size_t model_condition_scratch_bytes(const struct model *model) {
  const struct clip_facts *facts = &model->family.clip;
  struct tensor embedding = {.element = device_element(model->device),
                             .rank = 2,
                             .shape = {facts->positions, facts->width, 1, 1}};
  return dry_bytes(model, &embedding, condition_dry);
}

void model_context(const struct conditioning *conditioning, struct batch_row *row) {
  row->context = conditioning->keys_values.data;
  row->tokens = (int32_t)conditioning->embedding.shape[0];
}

/* ---- predicting ---- */

enum status model_predict(struct model *model, struct arena *turn, const struct predict *predict) {
  const struct tensor *input = &predict->input;
  assert(input->rank == 4 && input->shape[0] <= BATCH_ROWS_MAX);
  assert(input->shape[3] == model->family.unet.in_channels);
  struct arena_mark mark = arena_mark(turn);
  struct pass pass = pass_of(model, turn, PRECISION_FAST);
  enum status status = unet_run(&pass, &model->unet, predict);
  arena_release(turn, mark);
  return status;
}

static enum status predict_dry(const struct pass *pass, const struct model *model,
                               const struct tensor *input) {
  return unet_run(pass, &model->unet, &(struct predict){.input = *input});
}

size_t model_predict_bytes(const struct model *model, int rows, int height, int width) {
  struct tensor input = {.rank = 4, .shape = {rows, height, width, model->family.unet.in_channels}};
  return dry_bytes(model, &input, predict_dry);
}

/* ---- decoding ---- */

float model_decode_scale(const struct model *model) {
  return 1.0f / model->family.vae.scaling_factor;
}

/* Latents of height x width -> picture f32 [1, H * f, W * f, 3], taken from the pass's arena. */
static enum status decode(const struct pass *pass, const struct model *model,
                          const struct batch_row *row, const int64_t size[2],
                          struct tensor *picture) {
  int64_t height = size[0], width = size[1], factor = model->family.scale_factor;
  struct tensor scaled;
  TRY(pass_take_as(pass, ELEMENT_F32, TENSOR_SHAPE(1, factor * height, factor * width, 3),
                   picture));
  TRY(pass_take(pass, TENSOR_SHAPE(1, height, width, model->family.vae.latent_channels), &scaled));
  if (!pass->dry) {
    TRY(op_gather(pass->device, row, &scaled));
  }
  return vae_run(pass, &model->vae, &scaled, picture);
}

static enum status decode_to_pixels(const struct model *model, struct arena *turn,
                                    const struct decode *to) {
  struct pass pass = pass_of(model, turn, model->family.vae.precision);
  int64_t factor = model->family.scale_factor;
  const int64_t size[2] = {to->pixels.shape[0] / factor, to->pixels.shape[1] / factor};
  struct tensor picture;
  TRY(decode(&pass, model, to->row, size, &picture));
  TRY(op_finite(model->device, &picture, &to->finite));
  struct tensor batch = tensor_view(&to->pixels, picture.rank, picture.shape);
  return op_pixels(model->device, &picture, &batch);
}

enum status model_decode(struct model *model, struct arena *turn, const struct decode *to) {
  struct arena_mark mark = arena_mark(turn);
  enum status status = decode_to_pixels(model, turn, to);
  arena_release(turn, mark);
  return status;
}

static enum status decode_dry(const struct pass *pass, const struct model *model,
                              const struct tensor *latents) {
  struct pass own = pass_of(model, pass->arena, model->family.vae.precision);
  struct tensor picture;
  own.dry = true;
  return decode(&own, model, NULL, latents->shape, &picture);
}

size_t model_decode_bytes(const struct model *model, int height, int width) {
  struct tensor latents = {.rank = 3,
                           .shape = {height, width, model->family.vae.latent_channels, 1}};
  return dry_bytes(model, &latents, decode_dry);
}

/* ---- decoding in f32 ---- */

bool model_decodes_exactly(const struct model *model) {
  return device_element_for(model->device, model->family.vae.precision) ==
         device_element_for(model->device, PRECISION_EXACT);
}

static enum status decode_exact_dry(const struct pass *pass, const struct model *model,
                                    const struct tensor *latents) {
  struct pass own = pass_of(model, pass->arena, PRECISION_EXACT);
  struct tensor picture;
  own.dry = true;
  return decode(&own, model, NULL, latents->shape, &picture);
}

size_t model_decode_exact_bytes(const struct model *model, int height, int width) {
  struct tensor latents = {.rank = 3,
                           .shape = {height, width, model->family.vae.latent_channels, 1}};
  return dry_bytes(model, &latents, decode_exact_dry);
}

size_t model_exact_weight_bytes(const struct model *model) {
  enum element element = device_element_for(model->device, model->family.vae.precision);
  return model->decoder_bytes * element_bytes(ELEMENT_F32) / element_bytes(element);
}

static enum status open_decoder(struct opening *opening) {
  return open_network(opening, NETWORK_VAE);
}

/* A model of a decoder alone. */
static enum status open_exact(const struct model *model, struct model **out) {
  struct model *exact = NULL;
  TRY(new_model(model->device, &exact));
  exact->family = model->family;
  exact->family.vae.precision = PRECISION_EXACT;
  struct opening opening = {.source = &model->source, .model = exact};
  enum status status = load_into(&opening, open_decoder);
  if (status != OK) {
    model_close(&exact);
    return status;
  }
  *out = exact;
  return OK;
}

enum status model_decode_exact(struct model *model, struct arena *turn,
                               const struct decode *decode) {
  struct model *exact = NULL;
  TRY(open_exact(model, &exact));
  enum status status = model_decode(exact, turn, decode);
  status = device_wait(model->device) == BROKEN ? BROKEN : status; /* it reads the weights */
  model_close(&exact);
  return status;
}
