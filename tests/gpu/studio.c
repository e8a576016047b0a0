/* studio.c - see studio.h. */
#include "tests/gpu/studio.h"

#include "kernels/backend.h"

/* The device keeps no sequences from here on: all is queued op by op. */
static void make_plain(struct device *device) {
  static struct backend plain;
  static struct queues queues;
  if (device->backend->queues != NULL) {
    plain = *device->backend;
    queues = *plain.queues;
    queues.sequence = NULL;
    queues.forget = NULL;
    plain.queues = &queues;
    device->backend = &plain;
  }
}

/* Beside ours there may be PyTorch on the card: not all is taken. */
static size_t memory_for(const struct gpu_settings *settings) {
  return settings->tiny ? (size_t)512 << 20 : (size_t)24 << 30;
}

static void find_folder(const struct gpu_settings *settings, const char *model, char *out,
                        size_t bytes) {
  if (strcmp(model, "demo") == 0) {
    snprintf(out, bytes, "%s", settings->demo);
  } else {
    snprintf(out, bytes, "%s/%s%s", settings->scratch,
             strcmp(model, "sd15") == 0 ? "" : "fixtures/", model);
  }
}

void studio_open(struct studio *studio, const struct gpu_settings *settings,
                 const struct studio_wish *wish, struct report *report) {
  struct engine_model models[STUDIO_MODELS_MAX] = {0};
  struct device_settings device = wish->device;
  *studio = (struct studio){.report = report, .settings = settings};
  size_t count = 0;
  while (count < STUDIO_MODELS_MAX && wish->models[count] != NULL) {
    find_folder(settings, wish->models[count], studio->folder[count], sizeof studio->folder[0]);
    models[count].id = wish->models[count];
    models[count].source.folder = studio->folder[count];
    count++;
  }
  device.memory_max = device.memory_max == 0 ? memory_for(settings) : device.memory_max;
  report_must(report, settings->device, device_open(settings->device, &device, &studio->device));
  if (wish->plain || getenv("DARKROOM_GPU_PLAIN") != NULL) {
    make_plain(studio->device);
  }
  const struct engine_settings engine = {.device = studio->device,
                                         .models = models,
                                         .model_count = count,
                                         .slots = settings->tiny ? 8 : 16,
                                         .batch_rows = settings->tiny ? 4 : 32,
                                         .max_side = settings->tiny ? 128 : 512,
                                         .memory_max = wish->memory_max,
                                         .memory_total = device.memory_max};
  const struct engine_listener listener = book_listener(&studio->book);
  report_must(report, "the engine opens", engine_open(&engine, &listener, &studio->engine));
}

void studio_close(struct studio *studio) {
  engine_close(&studio->engine);
  device_close(&studio->device);
  book_close(&studio->book);
}

void studio_admit(struct studio *studio, const Darkroom__V1__Job *job) {
  report_must(studio->report, job->id, engine_admit(studio->engine, job, 1, NULL));
}

void studio_finish(struct studio *studio) {
  while (engine_busy(studio->engine)) {
    report_must(studio->report, "a turn", engine_turn(studio->engine));
  }
}

const struct entry *studio_entry(struct studio *studio, const char *id) {
  return book_find(&studio->book, id);
}

const struct entry *studio_do(struct studio *studio, const Darkroom__V1__Job *job) {
  studio_admit(studio, job);
  studio_finish(studio);
  const struct entry *entry = book_find(&studio->book, job->id);
  if (entry->finished != 1) {
    char why[160];
    snprintf(why, sizeof why, "%s was not finished: field \"%s\"", job->id, entry->field);
    report_must(studio->report, "a job", fail(BAD_INPUT, "%s", why));
  }
  return entry;
}

Darkroom__V1__Job studio_job(const char *model, const char *id, uint64_t seed, int side,
                             uint32_t steps) {
  Darkroom__V1__Job job = job_of(id, "a red house by the lake at night", seed);
  job.model = (char *)model;
  job.width = job.height = (uint32_t)side;
  job.steps = steps;
  job.has_guidance_scale = 1;
  job.guidance_scale = 7.5;
  return job;
}
