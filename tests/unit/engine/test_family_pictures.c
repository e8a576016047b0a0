/* test_family_pictures.c - jobs of every family through the whole engine, against the pictures of
 * diffusers (families.safetensors, by make_family_goldens.py). In f32: within 1 of 255. */
#include "tests/unit/model/tiny.h"

#include "proto/job.h"
#include "tests/unit/engine/golden_pictures.h"

static const struct run {
  const char *golden, *model, *sampler;
  uint32_t steps;
  bool negative, empty; /* something unwanted, or said to be nothing */
  double rescale;
  bool sizes;
  const char *refiner;
  double strength; /* above 0: it begins with the image */
  bool mask;
} runs[] = {
    {"sd2", "tiny-sd2", "ddim", 8, .negative = true, .rescale = 0.7},
    {"xl", "tiny-xl", "euler", 8, .negative = true, .sizes = true},
    {"xl_no_negative", "tiny-xl", "euler", 8, .negative = false},
    {"xl_empty_negative", "tiny-xl", "euler", 8, .empty = true},
    {"xl_refined", "tiny-xl", "euler", 8, .negative = true, .refiner = "tiny-refiner"},
    {"lcm", "tiny-lcm", "lcm", 4, .negative = false},
    {"img2img_ddim", "tiny-eps", "ddim", 8, .negative = true, .strength = 0.6},
    {"img2img_euler", "tiny-eps", "euler", 8, .negative = true, .strength = 0.6},
    {"img2img_heun", "tiny-eps", "heun", 8, .negative = true, .strength = 0.6},
    {"img2img_dpmpp_2m", "tiny-eps", "dpmpp_2m", 8, .negative = true, .strength = 0.6},
    {"img2img_pndm", "tiny-eps", "pndm", 8, .negative = true, .strength = 0.6},
    {"img2img_whole", "tiny-eps", "euler", 8, .negative = true, .strength = 1.0},
    {"xl_img2img", "tiny-xl", "euler", 8, .negative = true, .strength = 0.7},
    {"inpaint_blend", "tiny-eps", "euler", 8, .negative = true, .strength = 0.6, .mask = true},
    {"inpaint_blend_whole", "tiny-eps", "euler", 8, .negative = true, .strength = 1.0,
     .mask = true},
    {"inpaint_blend_ddim", "tiny-eps", "ddim", 8, .negative = true, .strength = 0.8, .mask = true},
    {"inpaint", "tiny-inpaint", "ddim", 8, .negative = true, .strength = 1.0, .mask = true},
    {"inpaint_part", "tiny-inpaint", "ddim", 8, .negative = true, .strength = 0.6, .mask = true},
    {"xl_inpaint", "tiny-xl", "euler", 8, .negative = true, .strength = 0.7, .mask = true},
};
static const char *const names[] = {"tiny-sd2", "tiny-xl",  "tiny-refiner",
                                    "tiny-lcm", "tiny-eps", "tiny-inpaint"};
enum { RUNS = sizeof runs / sizeof runs[0], MODELS = sizeof names / sizeof names[0] };

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
  struct goldens goldens;
};

static int setup(void **state) {
  static char folders[MODELS][256];
  static struct engine_model models[MODELS];
  static struct fixture fixture;
  for (int i = 0; i < MODELS; i++) {
    snprintf(folders[i], sizeof folders[i], "%s", tiny_folder(names[i]));
    models[i] = (struct engine_model){.id = names[i], .source.folder = folders[i]};
  }
  const struct device_settings settings = {.threads = 1, .force_f32 = true};
  assert_ok(device_open("cpu", &settings, &fixture.device));
  struct engine_settings engine = {.device = fixture.device,
                                   .models = models,
                                   .model_count = MODELS,
                                   .slots = RUNS,
                                   .batch_rows = 16,
                                   .max_side = 128,
                                   .memory_max = TINY_ARENA_BYTES};
  struct engine_listener listener = book_listener(&fixture.book);
  assert_ok(engine_open(&engine, &listener, &fixture.engine));
  goldens_open_file(&fixture.goldens, "families.safetensors");
  *state = &fixture;
  return 0;
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  goldens_close(&fixture->goldens);
  engine_close(&fixture->engine);
  device_close(&fixture->device);
  book_close(&fixture->book);
  return 0;
}

/* What the job begins with: the image of the goldens, and their mask. */
struct brought {
  Darkroom__V1__Blob image, mask;
  struct engine_input input[2];
  struct engine_inputs inputs;
};
static void bring(const struct fixture *fixture, const struct run *run, struct brought *brought,
                  Darkroom__V1__Job *job) {
  *brought = (struct brought){.image = DARKROOM__V1__BLOB__INIT, .mask = DARKROOM__V1__BLOB__INIT};
  brought->inputs.input = brought->input;
  if (run->strength == 0.0) {
    return;
  }
  job->image = &brought->image;
  job->has_strength = 1;
  job->strength = run->strength;
  brought->input[brought->inputs.count++] =
      (struct engine_input){.kind = INPUT_IMAGE,
                            .width = SIDE,
                            .height = SIDE,
                            .channels = 3,
                            .data = golden(&fixture->goldens, "input.image"),
                            .bytes = PIXEL_BYTES};
  if (run->mask) {
    job->mask = &brought->mask;
    brought->input[brought->inputs.count++] =
        (struct engine_input){.kind = INPUT_MASK,
                              .width = SIDE,
                              .height = SIDE,
                              .channels = 1,
                              .data = golden(&fixture->goldens, "input.mask"),
                              .bytes = SIDE * SIDE};
  }
}

static void admit(struct fixture *fixture, const struct run *run) {
  Darkroom__V1__Job job = job_of(run->golden, "a red house by the lake at night", 1234);
  Darkroom__V1__Refiner refiner = DARKROOM__V1__REFINER__INIT;
  Darkroom__V1__Sizes sizes = DARKROOM__V1__SIZES__INIT;
  job.model = (char *)run->model;
  job.negative_prompt = (char *)(run->negative ? "snow and rain" : run->empty ? "" : NULL);
  job.steps = run->steps;
  job.has_guidance_scale = job.has_noise_schedule = job.has_guidance_rescale = 1;
  job.guidance_scale = 7.5;
  job.guidance_rescale = run->rescale;
  assert_ok(job_sampler_parse(run->sampler, &job.sampler, &job.noise_schedule, NULL));
  if (run->refiner != NULL) {
    refiner.model = (char *)run->refiner;
    refiner.has_start = 1;
    refiner.start = 0.7;
    job.refiner = &refiner;
  }
  if (run->sizes) { /* diffusers says height before width */
    sizes.has_original_height = sizes.has_original_width = 1;
    sizes.original_height = 64;
    sizes.original_width = 48;
    sizes.has_crop_top = sizes.has_crop_left = 1;
    sizes.crop_top = 8;
    sizes.crop_left = 4;
    sizes.has_target_height = sizes.has_target_width = 1;
    sizes.target_height = sizes.target_width = 64;
    job.sizes = &sizes;
  }
  struct brought brought;
  bring(fixture, run, &brought, &job);
  assert_ok(engine_admit(fixture->engine, &job, 1, &brought.inputs));
}

/* All at once: they share turns where their models are the same. */
static void every_family_draws_what_diffusers_draws(void **state) {
  struct fixture *fixture = *state;
  int wrong = 0;
  for (int i = 0; i < RUNS; i++) {
    admit(fixture, &runs[i]);
  }
  while (engine_busy(fixture->engine)) {
    assert_ok(engine_turn(fixture->engine));
  }
  for (int i = 0; i < RUNS; i++) {
    wrong += picture_is_off(&fixture->book, &fixture->goldens, runs[i].golden);
  }
  assert_int_equal(wrong, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_family_draws_what_diffusers_draws),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
