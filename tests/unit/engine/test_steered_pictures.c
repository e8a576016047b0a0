/* test_steered_pictures.c - jobs with control nets, adapters and words of their own through the
 * whole engine, all at once, against the pictures of diffusers (families.safetensors, by
 * make_family_goldens.py). In f32: within 1 of 255. */
#include "tests/unit/model/tiny.h"

#include "proto/job.h"
#include "tests/unit/engine/golden_pictures.h"
#include "tests/unit/engine/varied_parts.h"

struct said {
  const char *name, *image; /* of a net: the golden of its picture */
  double weight, start, end;
};
static const struct run {
  const char *golden, *model;
  bool guess;
  const char *token;
  struct said control[2], adapter[2];
} runs[] = {
    {"control", "tiny-eps", .control = {{"net", "input.control", 0.7, 0, 1}}},
    {"control_window", "tiny-eps", .control = {{"net", "input.control", 1.0, 0.2, 0.7}}},
    {"control_guess", "tiny-eps", true, .control = {{"net", "input.control", 1.0, 0, 1}}},
    {"control_two", "tiny-eps",
     .control = {{"net", "input.control", 0.5, 0, 1}, {"net", "input.image", 0.9, 0.4, 1}}},
    {"xl_control", "tiny-xl", .control = {{"net-xl", "input.control", 0.6, 0, 1}}},
    {"lora_kohya", "tiny-eps", .adapter = {{"kohya", .weight = 0.8}}},
    {"lora_locon", "tiny-eps", .adapter = {{"locon", .weight = 1.0}}},
    {"lora_kohya-xl", "tiny-xl", .adapter = {{"kohya-xl", .weight = 0.8}}},
    {"lora_two", "tiny-eps", .adapter = {{"kohya", .weight = 0.5}, {"locon", .weight = 0.7}}},
    {"embedding", "tiny-eps", .token = "house"},
};
enum { RUNS = sizeof runs / sizeof runs[0], EXTRAS = 6 };

struct fixture {
  struct device *device;
  struct engine *engine;
  struct book book;
  struct goldens goldens;
};

static struct engine_extra extra_of(enum extra_kind kind, const char *id, const char *folder,
                                    const char *file) {
  static char folders[EXTRAS][256];
  static int count;
  char *text = folders[count++];
  snprintf(text, sizeof folders[0], "%s", tiny_folder(folder));
  return (struct engine_extra){.kind = kind, .id = id, .source = {.folder = text, .file = file}};
}

static int setup(void **state) {
  static char folders[2][256];
  static struct engine_model models[2];
  static struct engine_extra extras[EXTRAS];
  static struct fixture fixture;
  static const char *const names[] = {"tiny-eps", "tiny-xl"};
  for (int i = 0; i < 2; i++) {
    snprintf(folders[i], sizeof folders[i], "%s", tiny_folder(names[i]));
    models[i] = (struct engine_model){.id = names[i], .source.folder = folders[i]};
  }
  extras[0] = extra_of(EXTRA_CONTROL, "net", "tiny-control", NULL);
  extras[1] = extra_of(EXTRA_CONTROL, "net-xl", "tiny-control-xl", NULL);
  extras[2] = extra_of(EXTRA_LORA, "kohya", "lora", "kohya.safetensors");
  extras[3] = extra_of(EXTRA_LORA, "locon", "lora", "locon.safetensors");
  extras[4] = extra_of(EXTRA_LORA, "kohya-xl", "lora", "kohya-xl.safetensors");
  extras[5] = extra_of(EXTRA_EMBEDDING, "a1111", "embedding", "a1111.safetensors");
  const struct device_settings settings = {.threads = 1, .force_f32 = true};
  assert_ok(device_open("cpu", &settings, &fixture.device));
  struct engine_settings engine = {.device = fixture.device,
                                   .models = models,
                                   .model_count = 2,
                                   .extras = extras,
                                   .extra_count = EXTRAS,
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

static void add_control(struct fixture *fixture, const struct run *run, int i, struct varied *one) {
  const struct said *said = &run->control[i];
  if (said->name == NULL) {
    return;
  }
  varied_control(one, said->name, said->start, said->end);
  one->control[i].scale = said->weight;
  one->control[i].guess = run->guess;
  one->input[one->inputs.count - 1].data = golden(&fixture->goldens, said->image);
}

static void add_adapter(const struct run *run, int i, struct varied *one) {
  if (run->adapter[i].name == NULL) {
    return;
  }
  varied_adapt(one, "", run->adapter[i].weight);
  one->adapter[i].blob = NULL;
  one->adapter[i].name = (char *)run->adapter[i].name;
  one->inputs.count--; /* by its name */
}

static void admit(struct fixture *fixture, const struct run *run) {
  struct varied one = {.job = job_of(run->golden, "a red house by the lake at night", 1234)};
  one.job.model = (char *)run->model;
  one.job.negative_prompt = (char *)"snow and rain";
  one.job.steps = 8;
  one.job.has_guidance_scale = 1;
  one.job.guidance_scale = 7.5;
  for (int i = 0; i < 2; i++) {
    add_control(fixture, run, i, &one);
    add_adapter(run, i, &one);
  }
  if (run->token != NULL) {
    varied_word(&one, run->token, "");
    one.embedding.blob = NULL;
    one.embedding.name = (char *)"a1111";
    one.inputs.count--;
  }
  enum status status = engine_admit(fixture->engine, &one.job, 1, &one.inputs);
  while (status == EXHAUSTED && engine_busy(fixture->engine)) { /* weights are made for it */
    assert_ok(engine_turn(fixture->engine));
    status = engine_admit(fixture->engine, &one.job, 1, &one.inputs);
  }
  if (status != OK) {
    fail_msg("%s: %s", run->golden, fail_reason());
  }
}

static void they_are_what_diffusers_draws(void **state) {
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(they_are_what_diffusers_draws)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
