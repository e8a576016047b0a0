/* test_memory.c - what an engine says it can do it has the memory for: the largest side follows the
 * memory, and the device, which would refuse a byte too many, never has to. */
#include "tests/unit/engine/fake_engine.h"

/* The device is held to what the engine may promise: no more can be had than was counted. */
static void open_held(struct fixture *fixture, size_t memory) {
  struct device_settings device = {.memory_max = memory};
  engine_close(&fixture->engine);
  book_close(&fixture->book);
  device_close(&fixture->device);
  assert_int_equal(device_open("ref", &device, &fixture->device), OK);
  struct engine_settings settings = standard(fixture);
  settings.memory_max = memory;
  struct engine_listener listener = book_listener(&fixture->book);
  assert_int_equal(engine_open(&settings, &listener, &fixture->engine), OK);
}

static uint32_t side_of(struct fixture *fixture) {
  Darkroom__V1__ModelInfo info;
  engine_model_info(fixture->engine, 0, &info);
  return info.max_side;
}

static Darkroom__V1__Job square(const char *id, uint32_t side) {
  Darkroom__V1__Job job = job_of(id, "a lake", 1);
  job.width = job.height = side;
  return job;
}

static void the_largest_side_follows_the_memory(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true; /* pictures that are encoded would be the largest turns here */
  uint32_t before = 0;
  for (size_t memory = 20 * 1024; memory <= 1024 * 1024; memory = memory * 5 / 4) {
    open_held(fixture, memory);
    uint32_t side = side_of(fixture);
    assert_true(side >= before && side >= 8 && side <= 256);
    before = side;
    Darkroom__V1__Job most = square("most", side), more = square("more", side + 8);
    most.sampler = DARKROOM__V1__SAMPLER__SAMPLER_DPMPP_2M;
    struct entry *entry = admit(fixture, &most);
    run_all(fixture);
    assert_int_equal(entry->finished, 1);
    /* what is advertised is what is taken */
    assert_int_equal(engine_admit(fixture->engine, &more, 7, NULL), BAD_INPUT);
    struct entry *told = book_find(&fixture->book, "more");
    assert_int_equal(told->code, DARKROOM__V1__ERROR_CODE__ERROR_FIELD);
    assert_string_equal(told->field, "width");
  }
  assert_int_equal(before, 256); /* with enough of it, it is what was set */
}

static void without_room_for_any_picture_it_does_not_open(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  struct engine_listener listener = book_listener(&fixture->book);
  settings.memory_max = 1024;
  engine_close(&fixture->engine);
  assert_int_equal(engine_open(&settings, &listener, &fixture->engine), EXHAUSTED);
  assert_non_null(strstr(fail_reason(), "fake"));
  settings.memory_max = 0;
  settings.memory_total = 1024;
  assert_int_equal(engine_open(&settings, &listener, &fixture->engine), EXHAUSTED);
}

/* Scratch grows while others are under way: the old and the new are never there at once, though
 * together they would not fit, and whoever is under way is not disturbed. */
static void scratch_grows_within_the_memory(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true; /* pictures that are encoded would be the largest turns here */
  static char ids[8][32];
  open_held(fixture, 512 * 1024);
  assert_int_equal(side_of(fixture), 256);
  struct entry *entries[8];
  for (int k = 0; k < 8; k++) {
    snprintf(ids[k], sizeof ids[k], "grows-%d", k);
    Darkroom__V1__Job job = square(ids[k], 32 * (uint32_t)(k + 1));
    job.steps = 20;
    enum status status = engine_admit(fixture->engine, &job, 7, NULL);
    while (status == EXHAUSTED) { /* it waits until others have left */
      run_turns(fixture, 1);
      status = engine_admit(fixture->engine, &job, 7, NULL);
    }
    assert_int_equal(status, OK);
    entries[k] = book_find(&fixture->book, ids[k]);
    run_turns(fixture, 2);
  }
  run_all(fixture);
  for (int k = 0; k < 8; k++) {
    assert_int_equal(entries[k]->finished, 1);
  }
  assert_true(device_memory_peak(fixture->device) <= 512 * 1024);
}

/* Any mixture: whatever is admitted ends, for the device never has to refuse. */
static void what_is_admitted_has_its_memory(void **state) {
  struct fixture *fixture = *state;
  fake.blind = true; /* pictures that are encoded would be the largest turns here */
  for (size_t memory = 64 * 1024; memory <= 1024 * 1024; memory *= 2) {
    open_held(fixture, memory);
    int begun = 0;
    for (int k = 0; begun < 48; k++) {
      Darkroom__V1__Job job = stranger(k);
      uint32_t side = side_of(fixture);
      job.width = 8 * (2 + (uint32_t)(k * 7) % (side / 8 - 1)); /* few cells may be of one colour */
      job.height = k % 5 == 0 ? side : 32;
      begun += engine_admit(fixture->engine, &job, 7, NULL) == OK;
      run_turns(fixture, 1);
    }
    run_all(fixture);
    for (int i = 0; i < fixture->book.jobs; i++) {
      assert_int_equal(fixture->book.entries[i].failed, 0);
    }
    assert_true(device_memory_peak(fixture->device) <= memory);
  }
}

/* A model that takes pictures is offered for sides at which there is room to encode them, too. */
static void the_largest_picture_can_be_encoded(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__ModelInfo seeing, blind;
  settings.memory_max = 1 << 20;
  open_engine(fixture, &settings);
  engine_model_info(fixture->engine, 0, &seeing);
  uint32_t side = seeing.max_side;
  size_t pixels = (size_t)side * side;
  uint8_t *rgb = calloc(pixels, 3);
  Darkroom__V1__Blob blob = DARKROOM__V1__BLOB__INIT;
  Darkroom__V1__Job job = job_of("largest", "a lake", 1);
  struct engine_input input = {INPUT_IMAGE, 0, side, side, 3, rgb, 3 * pixels};
  job.width = job.height = side;
  job.image = &blob;
  assert_int_equal(engine_admit(fixture->engine, &job, 7, &(struct engine_inputs){&input, 1}), OK);
  run_all(fixture);
  assert_int_equal(book_find(&fixture->book, "largest")->finished, 1);
  fake.blind = true;
  open_engine(fixture, &settings);
  engine_model_info(fixture->engine, 0, &blind);
  assert_true(blind.max_side > side);
  free(rgb);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_largest_side_follows_the_memory),
      TEST(without_room_for_any_picture_it_does_not_open),
      TEST(scratch_grows_within_the_memory),
      TEST(what_is_admitted_has_its_memory),
      TEST(the_largest_picture_can_be_encoded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
