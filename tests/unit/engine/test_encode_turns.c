/* test_encode_turns.c - pictures whose encode would be long or large become latents some tiles a
 * turn: between them the steps of others go, and every picture is the one encoded at once. */
#include "tests/unit/engine/held_clock.h"
#include "tests/unit/engine/varied.h"
#include "worker/engine/state.h"

enum { TILES = 12, KIB = 1024, MIB = 1024 * 1024 };
#define LONG_US UINT64_C(1000000000000000)

/* As if encodes at once had been seen to be very long. */
static void open_slow(struct fixture *fixture) {
  struct engine_settings settings = standard(fixture);
  settings.models = models;
  settings.model_count = 3; /* one of them is told the mask */
  fake.encode_turns = TILES;
  fake.tile_ms = 1500; /* one a turn */
  open_engine(fixture, &settings);
  for (size_t i = 0; i < fixture->engine->residence.count; i++) {
    const struct pace_work work = {
        .model = &fixture->engine->residence.rows[i], .kind = PACE_ENCODE, .cells = 64, .rows = 1};
    pace_note(&fixture->engine->pace, &work, LONG_US);
  }
  fake.encode_tiles = fake.encoded = 0;
}

/* A picture, with a mask or none, and a second pass over its pixels, or none. */
static void fill(struct varied *one, const char *id, bool masked, bool upscaled) {
  *one = (struct varied){0};
  snprintf(one->id, sizeof one->id, "%s", id);
  one->job = job_of(one->id, "a lake", 3);
  one->job.steps = 4;
  varied_picture(one, 0.5, masked ? 255 : -1);
  if (upscaled) {
    varied_upscale(one, DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL, 128, 0.5);
  }
}

static uint64_t draw(struct fixture *fixture, struct varied *one) {
  assert_int_equal(varied_admit(fixture->engine, one), OK);
  run_all(fixture);
  struct entry *entry = book_find(&fixture->book, one->id);
  assert_int_equal(entry->failed, 0);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

static void the_picture_is_the_same(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  settings.model_count = 3;
  open_engine(fixture, &settings);
  fake.encoded = 0;
  uint64_t hash[3];
  static struct varied all[3];
  fill(&all[0], "plain", false, false);
  fill(&all[1], "upscaled", false, true);
  fill(&all[2], "fills", true, false);
  all[2].job.model = (char *)"fills";
  for (int i = 0; i < 3; i++) {
    hash[i] = draw(fixture, &all[i]);
  }
  int encodes = fake.encoded;
  open_slow(fixture);
  for (int i = 0; i < 3; i++) {
    assert_true(draw(fixture, &all[i]) == hash[i]);
  }
  assert_int_equal(fake.encode_tiles, TILES * encodes);
  assert_int_equal(encodes, 1 + 2 + 2); /* the upscaled once more, the masked with and without */
}

/* A job that comes in the middle of a long encode is done before its end. */
static void others_go_between(void **state) {
  struct fixture *fixture = *state;
  open_slow(fixture);
  struct varied slow;
  fill(&slow, "slow", false, true);
  slow.upscale.width = slow.upscale.height = 256; /* a tile of it is as much work as a step */
  Darkroom__V1__Job quick = job_of("quick", "a house", 1);
  quick.steps = 1;
  assert_int_equal(varied_admit(fixture->engine, &slow), OK);
  while (fake.encode_tiles < TILES + 2) {
    run_turns(fixture, 1);
  }
  struct entry *entry = admit(fixture, &quick);
  while (entry->finished == 0) {
    run_turns(fixture, 1);
  }
  assert_true(fake.encode_tiles < 2 * TILES);
  run_all(fixture);
  assert_int_equal(book_find(&fixture->book, "slow")->finished, 1);
}

/* One block: who comes second waits for it, and neither is lost; one that leaves frees it. */
static void pictures_share_the_block(void **state) {
  struct fixture *fixture = *state;
  open_slow(fixture);
  struct varied one, two, gone;
  fill(&one, "one", false, false);
  fill(&two, "two", false, false);
  fill(&gone, "gone", false, false);
  assert_int_equal(varied_admit(fixture->engine, &gone), OK);
  run_turns(fixture, 3);
  assert_int_equal(varied_admit(fixture->engine, &one), OK);
  assert_int_equal(varied_admit(fixture->engine, &two), OK);
  run_turns(fixture, 3);
  engine_stop(fixture->engine, "gone", 7);
  run_all(fixture);
  assert_int_equal(book_find(&fixture->book, "one")->finished, 1);
  assert_int_equal(book_find(&fixture->book, "two")->finished, 1);
  assert_true(book_find(&fixture->book, "one")->hash[0] ==
              book_find(&fixture->book, "two")->hash[0]);
}

/* By the sizes alone: at once would take more than half of all the memory, so nothing need be known
 * of the pace. */
static void a_large_encode_goes_in_turns(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  fake.encode_bytes = 12 * MIB / 64; /* of 64 cells: 12 of 16 MiB */
  fake.encode_turns = TILES;
  open_engine(fixture, &settings);
  fake.encode_tiles = 0;
  struct varied one;
  fill(&one, "one", false, false);
  assert_int_equal(varied_admit(fixture->engine, &one), OK);
  assert_true(fixture->engine->scratch[0].bytes + fixture->engine->scratch[1].bytes < 2 * MIB);
  run_all(fixture);
  assert_int_equal(fake.encode_tiles, TILES);
  fake.encode_turns = 0; /* a model that cannot: at once, as long as there is room */
  struct varied two;
  fill(&two, "two", false, false);
  draw(fixture, &two);
  assert_true(fixture->engine->scratch[0].bytes + fixture->engine->scratch[1].bytes >= 12 * MIB);
}

/* Advertised is what can be done with a picture to begin from, encoded in turns. */
static void the_largest_side_is_that_of_turns(void **state) {
  struct fixture *fixture = *state;
  struct engine_settings settings = standard(fixture);
  Darkroom__V1__ModelInfo at_once, in_turns;
  fake.encode_bytes = 32 * KIB;
  open_engine(fixture, &settings);
  engine_model_info(fixture->engine, 0, &at_once);
  fake.encode_turns = TILES;
  open_engine(fixture, &settings);
  engine_model_info(fixture->engine, 0, &in_turns);
  assert_true(at_once.max_side < in_turns.max_side);
}

static void latents_that_are_no_numbers_fail_the_job(void **state) {
  struct fixture *fixture = *state;
  open_slow(fixture);
  fake.encode_overflows = true;
  struct varied one;
  fill(&one, "one", false, false);
  assert_int_equal(varied_admit(fixture->engine, &one), OK);
  run_all(fixture);
  struct entry *entry = book_find(&fixture->book, "one");
  assert_int_equal(entry->failed, 1);
  assert_int_equal(entry->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
  fake.encode_overflows = false;
  struct varied two;
  fill(&two, "two", false, false);
  draw(fixture, &two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      HELD_TEST(the_picture_is_the_same),
      HELD_TEST(others_go_between),
      HELD_TEST(pictures_share_the_block),
      HELD_TEST(a_large_encode_goes_in_turns),
      HELD_TEST(the_largest_side_is_that_of_turns),
      HELD_TEST(latents_that_are_no_numbers_fail_the_job),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
