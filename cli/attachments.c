/* attachments.c - each flag taken apart; what it names becomes a field of the job. */
#include "cli/attachments.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cli/blobs.h"
#include "proto/job.h"

#define FIELD DARKROOM__V1__ERROR_CODE__ERROR_FIELD
#define KIND(name) DARKROOM__V1__BLOB_KIND__BLOB_##name
enum { TAIL_NUMBERS_MAX = 3 };

typedef Darkroom__V1__Job Job;

/* What the parts of a job are added with. */
struct adding {
  struct luggage *luggage;
  Job *job;
  struct refusal *why;
};

static void *take(struct adding *adding, size_t bytes) {
  void *memory = arena_take_zeroed(adding->luggage->arena, bytes);
  if (memory == NULL) {
    (void)refuse(adding->why, FIELD, NULL, NULL, "no memory for the job");
  }
  return memory;
}

/* texts taken apart ------------------------------------------------------------------------- */

/* The numbers behind the last colons: "a:b:0.5:1" ends with 0.5 and 1, and is cut before them. */
static size_t take_tail(char *text, double numbers[TAIL_NUMBERS_MAX], size_t max) {
  size_t count = 0;
  while (count < max) {
    char *colon = strrchr(text, ':');
    char *end = NULL;
    double value = colon != NULL ? strtod(colon + 1, &end) : 0;
    bool plain = colon != NULL && colon[1] != '\0' && *end == '\0' && isfinite(value) &&
                 strspn(colon + 1, "0123456789+-.eE") == strlen(colon + 1);
    if (!plain || colon == text) {
      break;
    }
    memmove(numbers + 1, numbers, count * sizeof numbers[0]);
    numbers[0] = value;
    *colon = '\0';
    count++;
  }
  return count;
}

/* "1,2,3,4" into count numbers, exactly. */
static bool take_numbers(const char *text, uint32_t *numbers, size_t count) {
  for (size_t i = 0; i < count; i++) {
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || value > UINT32_MAX ||
        *end != (i + 1 < count ? ',' : '\0')) {
      return false;
    }
    numbers[i] = (uint32_t)value;
    text = end + 1;
  }
  return true;
}

/* The next text of a list, copied; *list is NULL behind the last. */
static char *next_item(struct adding *adding, const char **list) {
  size_t bytes = strcspn(*list, "\n");
  char *item = arena_copy_text(adding->luggage->arena, *list, bytes);
  *list = (*list)[bytes] == '\n' ? *list + bytes + 1 : NULL;
  return item;
}

static size_t items_of(const char *list) {
  size_t count = list != NULL ? 1 : 0;
  for (; list != NULL && (list = strchr(list, '\n')) != NULL; list++) {
    count++;
  }
  return count;
}

/* How large a file of a kind may be. */
static size_t bytes_max_of(Darkroom__V1__BlobKind kind) {
  return kind == KIND(ADAPTER)     ? INPUT_ADAPTER_BYTES_MAX
         : kind == KIND(EMBEDDING) ? INPUT_EMBEDDING_BYTES_MAX
                                   : INPUT_PICTURE_BYTES_MAX;
}

static enum status make_blob(struct adding *adding, const char *flag, const char *name,
                             Darkroom__V1__BlobKind kind, Darkroom__V1__Blob **out) {
  const struct naming naming = {flag, name, kind, bytes_max_of(kind)};
  return blob_make(adding->luggage, &naming, out, adding->why);
}

/* images -------------------------------------------------------------------------------------- */

static enum status add_padding(struct adding *adding, const char *pad) {
  uint32_t sides[4];
  Darkroom__V1__Padding *padding = take(adding, sizeof *padding);
  if (padding == NULL) {
    return EXHAUSTED;
  }
  if (!take_numbers(pad, sides, 4)) {
    return refuse(adding->why, FIELD, "pad", "LEFT,TOP,RIGHT,BOTTOM, like 64,0,64,0",
                  "--pad \"%.40s\" cannot be read", pad);
  }
  darkroom__v1__padding__init(padding);
  padding->has_left = padding->has_top = padding->has_right = padding->has_bottom = 1;
  padding->left = sides[0];
  padding->top = sides[1];
  padding->right = sides[2];
  padding->bottom = sides[3];
  adding->job->padding = padding;
  return OK;
}

static enum status add_images(struct adding *adding, const struct options *options) {
  Job *job = adding->job;
  if (options->image != NULL) {
    TRY(make_blob(adding, "--image", options->image, KIND(IMAGE), &job->image));
  }
  if (options->mask != NULL) {
    TRY(make_blob(adding, "--mask", options->mask, KIND(MASK), &job->mask));
  }
  job->has_strength = !isnan(options->strength);
  job->strength = job->has_strength ? options->strength : 0;
  return options->pad != NULL ? add_padding(adding, options->pad) : OK;
}

/* lists --------------------------------------------------------------------------------------- */

static enum status add_control(struct adding *adding, char *item, bool guess,
                               Darkroom__V1__Control *control) {
  double numbers[TAIL_NUMBERS_MAX] = {0};
  size_t count = take_tail(item, numbers, 3);
  char *equals = strchr(item, '=');
  if (equals == NULL || equals == item || equals[1] == '\0') {
    return refuse(adding->why, FIELD, "control", "NAME=FILE[:SCALE[:START[:END]]]",
                  "--control \"%.60s\" cannot be read", item);
  }
  *equals = '\0';
  darkroom__v1__control__init(control);
  control->model = item;
  control->has_scale = count > 0;
  control->scale = count > 0 ? numbers[0] : 1;
  control->has_start = count > 1;
  control->start = count > 1 ? numbers[1] : 0;
  control->has_end = count > 2;
  control->end = count > 2 ? numbers[2] : 1;
  control->has_guess = control->guess = guess;
  return make_blob(adding, "--control", equals + 1, KIND(CONTROL), &control->image);
}

static enum status add_lora(struct adding *adding, char *item, Darkroom__V1__Adapter *adapter) {
  double numbers[TAIL_NUMBERS_MAX] = {0};
  size_t count = take_tail(item, numbers, 2);
  darkroom__v1__adapter__init(adapter);
  adapter->has_weight = count > 0;
  adapter->weight = count > 0 ? numbers[0] : 1;
  adapter->has_text_weight = count > 1;
  adapter->text_weight = numbers[1];
  if (names_a_file(item)) {
    return make_blob(adding, "--lora", item, KIND(ADAPTER), &adapter->blob);
  }
  adapter->name = item;
  return strchr(item, ':') == NULL
             ? OK
             : refuse(adding->why, FIELD, "lora", "NAME or FILE.safetensors[:WEIGHT[:TEXT_WEIGHT]]",
                      "--lora \"%.60s\" cannot be read", item);
}

static enum status add_embedding(struct adding *adding, char *item,
                                 Darkroom__V1__Embedding *embedding) {
  char *equals = strchr(item, '=');
  if (equals == NULL || equals == item || equals[1] == '\0') {
    return refuse(adding->why, FIELD, "embedding", "TOKEN=NAME or TOKEN=FILE.safetensors",
                  "--embedding \"%.60s\" cannot be read", item);
  }
  *equals = '\0';
  darkroom__v1__embedding__init(embedding);
  embedding->token = item;
  if (names_a_file(equals + 1)) {
    return make_blob(adding, "--embedding", equals + 1, KIND(EMBEDDING), &embedding->blob);
  }
  embedding->name = equals + 1;
  return OK;
}

static enum status check_count(struct adding *adding, const char *flag, size_t count, size_t max) {
  char limit[32];
  snprintf(limit, sizeof limit, "at most %zu", max);
  return count <= max ? OK
                      : refuse(adding->why, FIELD, flag + 2, limit, "%zu times %s", count, flag);
}

/* One message a text of the list. */
#define ADD_LIST(adding, flag, list, max, type, field, add) \
  do {                                                      \
    const char *left = (list);                              \
    size_t count = items_of(left);                          \
    TRY(check_count(adding, flag, count, max));             \
    type **rows = take(adding, (count + 1) * sizeof *rows); \
    type *row = take(adding, (count + 1) * sizeof *row);    \
    if (rows == NULL || row == NULL) {                      \
      return EXHAUSTED;                                     \
    }                                                       \
    for (size_t i = 0; i < count; i++) {                    \
      char *item = next_item(adding, &left);                \
      rows[i] = &row[i];                                    \
      TRY(item != NULL ? (add) : EXHAUSTED);                \
    }                                                       \
    (adding)->job->n_##field = count;                       \
    (adding)->job->field = rows;                            \
  } while (0)

static enum status add_lists(struct adding *adding, const struct options *options) {
  ADD_LIST(adding, "--control", options->controls, CONTROLS_MAX, Darkroom__V1__Control, control,
           add_control(adding, item, options->guess, &row[i]));
  ADD_LIST(adding, "--lora", options->loras, JOB_ADAPTERS_MAX, Darkroom__V1__Adapter, adapter,
           add_lora(adding, item, &row[i]));
  ADD_LIST(adding, "--embedding", options->embeddings, JOB_EMBEDDINGS_MAX, Darkroom__V1__Embedding,
           embedding, add_embedding(adding, item, &row[i]));
  return OK;
}

/* second stages -------------------------------------------------------------------------------- */

/* "1024x768", or "2x" of a size that is known. */
static bool upscaled_size(const char *text, const Job *job, Darkroom__V1__Upscale *upscale) {
  char *end = NULL;
  double first = strtod(text, &end);
  bool number = isdigit((unsigned char)text[0]) && *end == 'x';
  if (number && end[1] == '\0' && job->has_width && first >= 1 && first <= 16) {
    upscale->width =
        (uint32_t)(first * job->width) / JOB_SIDE_PIXELS_MULTIPLE * JOB_SIDE_PIXELS_MULTIPLE;
    upscale->height =
        (uint32_t)(first * job->height) / JOB_SIDE_PIXELS_MULTIPLE * JOB_SIDE_PIXELS_MULTIPLE;
    return true;
  }
  char *last = NULL;
  unsigned long height = number && isdigit((unsigned char)end[1]) ? strtoul(end + 1, &last, 10) : 0;
  bool whole = first <= JOB_SIDE_PIXELS_MAX && first == floor(first);
  upscale->width = whole ? (uint32_t)first : 0;
  upscale->height = (uint32_t)height;
  return last != NULL && *last == '\0' && whole && height <= JOB_SIDE_PIXELS_MAX;
}

static enum status add_upscale(struct adding *adding, const struct options *options) {
  Darkroom__V1__Upscale *upscale = take(adding, sizeof *upscale);
  if (upscale == NULL) {
    return EXHAUSTED;
  }
  darkroom__v1__upscale__init(upscale);
  if (!upscaled_size(options->upscale, adding->job, upscale)) {
    return refuse(adding->why, FIELD, "upscale", "WIDTHxHEIGHT, or 2x with --size",
                  "--upscale \"%.16s\" cannot be read", options->upscale);
  }
  upscale->has_width = upscale->has_height = 1;
  upscale->has_kind = options->upscale_kind >= 0;
  upscale->kind = (Darkroom__V1__UpscaleKind)(upscale->has_kind ? options->upscale_kind + 1 : 1);
  upscale->has_strength = !isnan(options->upscale_strength);
  upscale->strength = upscale->has_strength ? options->upscale_strength : upscale->strength;
  upscale->has_steps = options->upscale_steps != SETTING_UNSET;
  upscale->steps = upscale->has_steps ? (uint32_t)options->upscale_steps : 0;
  adding->job->upscale = upscale;
  return OK;
}

static enum status add_refiner(struct adding *adding, const char *text) {
  double numbers[TAIL_NUMBERS_MAX] = {0};
  Darkroom__V1__Refiner *refiner = take(adding, sizeof *refiner);
  char *name = arena_copy_text(adding->luggage->arena, text, strlen(text));
  if (refiner == NULL || name == NULL) {
    return EXHAUSTED;
  }
  darkroom__v1__refiner__init(refiner);
  refiner->has_start = take_tail(name, numbers, 1) > 0;
  refiner->start = refiner->has_start ? numbers[0] : refiner->start;
  refiner->model = name;
  adding->job->refiner = refiner;
  return strchr(name, ':') == NULL ? OK
                                   : refuse(adding->why, FIELD, "refiner", "NAME[:START]",
                                            "--refiner \"%.60s\" cannot be read", text);
}

static enum status add_sizes(struct adding *adding, const char *text) {
  uint32_t numbers[6];
  Darkroom__V1__Sizes *sizes = take(adding, sizeof *sizes);
  if (sizes == NULL) {
    return EXHAUSTED;
  }
  if (!take_numbers(text, numbers, 6)) {
    return refuse(adding->why, FIELD, "sizes", "six numbers, like 1024,1024,0,0,1024,1024",
                  "--sizes \"%.48s\" cannot be read", text);
  }
  darkroom__v1__sizes__init(sizes);
  sizes->has_original_width = sizes->has_original_height = sizes->has_crop_left = 1;
  sizes->has_crop_top = sizes->has_target_width = sizes->has_target_height = 1;
  sizes->original_width = numbers[0];
  sizes->original_height = numbers[1];
  sizes->crop_left = numbers[2];
  sizes->crop_top = numbers[3];
  sizes->target_width = numbers[4];
  sizes->target_height = numbers[5];
  adding->job->sizes = sizes;
  return OK;
}

/* Flags that say nothing without another. */
static enum status check_company(const struct options *options, struct refusal *why) {
  const struct {
    bool given, fine;
    const char *flag, *other;
  } rows[] = {
      {options->upscale_kind >= 0, options->upscale != NULL, "--upscale-kind", "--upscale"},
      {!isnan(options->upscale_strength), options->upscale != NULL, "--upscale-strength",
       "--upscale"},
      {options->upscale_steps != SETTING_UNSET, options->upscale != NULL, "--upscale-steps",
       "--upscale"},
      {options->guess, options->controls != NULL, "--guess", "--control"},
      {options->previews != NULL, options->preview_every != SETTING_UNSET, "--previews",
       "--preview-every"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (rows[i].given && !rows[i].fine) {
      char limit[48];
      snprintf(limit, sizeof limit, "given with %s", rows[i].other);
      return refuse(why, FIELD, rows[i].flag + 2, limit, "%s goes with %s", rows[i].flag,
                    rows[i].other);
    }
  }
  return OK;
}

static enum status add_all(struct adding *adding, const struct options *options) {
  TRY(check_company(options, adding->why));
  TRY(add_images(adding, options));
  TRY(add_lists(adding, options));
  TRY(options->upscale != NULL ? add_upscale(adding, options) : OK);
  TRY(options->refiner != NULL ? add_refiner(adding, options->refiner) : OK);
  TRY(options->sizes != NULL ? add_sizes(adding, options->sizes) : OK);
  return job_check(adding->job, adding->why);
}

/* What is said of the store is wrong whether or not it is needed. */
static enum status check_store(const struct options *options, struct refusal *why) {
  const char *store = options->store;
  bool fine = store == NULL || strncmp(store, "file:///", 8) == 0 ||
              (strncmp(store, "s3://", 5) == 0 && isalnum((unsigned char)store[5]));
  return fine ? OK
              : refuse(why, FIELD, "store", "file:///FOLDER or s3://BUCKET/PREFIX",
                       "--store \"%.64s\" cannot be read", store);
}

enum status attachments_add(struct luggage *luggage, Job *job, struct refusal *why) {
  struct adding adding = {luggage, job, why};
  TRY(check_store(luggage->options, why));
  return add_all(&adding, luggage->options);
}
