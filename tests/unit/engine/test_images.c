/* test_images.c - pictures that begin from an image: how much of it stays, and where. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */

#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"

enum { SIDE = VARIED_SIDE };

static struct varied plain(const char *id) {
  struct varied one = {0};
  snprintf(one.id, sizeof one.id, "%s", id);
  one.job = job_of(id, "a lake", 5);
  return one;
}

static struct entry *draw(struct fixture *fixture, struct varied *one) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  if (one->job.image != NULL) {
    one->job.image = &one->blob;
  }
  struct entry *entry = book_find(&fixture->book, one->id);
  if (engine_admit(fixture->engine, &one->job, 7, &one->inputs) != OK) {
    fail_msg("%s: %s", one->id, fail_reason());
  }
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry;
}

/* Whether two pictures are the same bytes in the columns from `from` to `to`. */
static bool same_columns(const struct entry *a, const struct entry *b, int from, int to) {
  for (int y = 0; y < SIDE; y++) {
    if (memcmp(a->rgb + (y * SIDE + from) * 3, b->rgb + (y * SIDE + from) * 3,
               (size_t)(to - from) * 3) != 0) {
      return false;
    }
  }
  return true;
}

static void strength_says_how_much_stays(void **state) {
  static const uint32_t steps[] = {0, 1, 2, 3, 4};
  struct fixture *fixture = *state;
  uint64_t hashes[5];
  for (int i = 0; i < 5; i++) {
    char id[32];
    snprintf(id, sizeof id, "strength-%d", i);
    struct varied one = plain(id);
    varied_picture(&one, 0.25 * i, -1);
    struct entry *entry = draw(fixture, &one);
    assert_int_equal(entry->steps, steps[i]);
    hashes[i] = entry->hash[0];
    for (int k = 0; k < i; k++) {
      assert_true(hashes[k] != hashes[i]);
    }
  }
  assert_int_equal(fake.encoded, 5);
}

/* Strength 0 is the image, encoded and decoded: no step is made. */
static void strength_0_returns_the_picture(void **state) {
  struct fixture *fixture = *state;
  struct varied one = plain("still");
  varied_picture(&one, 0, -1);
  struct entry *entry = draw(fixture, &one);
  assert_int_equal(fake.calls, 0);
  const uint8_t *rgb = one.input[0].data;
  for (int y = 0; y < SIDE; y += 8) { /* the fake shows a value of -1..1 as 40 of 255 around 128 */
    for (int x = 0; x < SIDE; x += 8) {
      float value = ((float)rgb[(y * SIDE + x) * 3] / 127.5f - 1.0f) * 40.0f + 128.0f;
      assert_true(fabsf((float)entry->rgb[(y * SIDE + x) * 3] - value) < 4.0f);
    }
  }
}

/* Where nothing may change, the picture ends as its clean latents; elsewhere it is another. */
static void a_mask_keeps_the_rest(void **state) {
  struct fixture *fixture = *state;
  for (int full = 0; full < 2; full++) {
    struct varied still = plain(full ? "still-1" : "still-0"),
                  none = plain(full ? "none-1" : "none-0"),
                  half = plain(full ? "half-1" : "half-0");
    varied_picture(&still, 0, -1);
    varied_picture(&none, full ? 1 : 0.5, 0);
    varied_picture(&half, full ? 1 : 0.5, 255);
    const struct entry *kept = draw(fixture, &still), *unchanged = draw(fixture, &none),
                       *filled = draw(fixture, &half);
    assert_true(same_columns(kept, unchanged, 0, SIDE));
    assert_true(same_columns(kept, filled, 0, SIDE / 2));
    assert_false(same_columns(kept, filled, SIDE / 2, SIDE));
  }
}

/* Everything may change: the image alone says where it begins. */
static void a_mask_of_everything_is_none(void **state) {
  static uint8_t all[SIDE * SIDE];
  struct fixture *fixture = *state;
  struct varied without = plain("without"), with = plain("with");
  varied_picture(&without, 0.5, -1);
  varied_picture(&with, 0.5, 255);
  memset(all, 255, sizeof all);
  with.input[1].data = all;
  with.job.mask = &with.blob;
  const struct entry *one = draw(fixture, &without), *two = draw(fixture, &with);
  assert_true(same_columns(one, two, 0, SIDE));
}

/* A soft mask lies between. */
static void a_soft_mask_blends(void **state) {
  struct fixture *fixture = *state;
  struct varied hard = plain("hard"), soft = plain("soft"), none = plain("none");
  varied_picture(&hard, 0.75, 255);
  varied_picture(&soft, 0.75, 100);
  varied_picture(&none, 0.75, 0);
  const struct entry *one = draw(fixture, &hard), *two = draw(fixture, &soft),
                     *three = draw(fixture, &none);
  assert_true(same_columns(one, two, 0, SIDE / 2));
  assert_false(same_columns(one, two, SIDE / 2, SIDE));
  assert_false(same_columns(three, two, SIDE / 2, SIDE));
}

/* ---- a model that is told ---- */

static void open_with_filler(struct fixture *fixture) {
  struct engine_settings settings = standard(fixture);
  settings.model_count = 3;
  open_engine(fixture, &settings);
}

static void a_model_that_fills_sees_the_mask(void **state) {
  struct fixture *fixture = *state;
  open_with_filler(fixture);
  struct varied full = plain("full"), again = plain("again"), part = plain("part"),
                other = plain("other");
  struct varied *const all[] = {&full, &again, &part, &other};
  varied_picture(&full, 1, 255);
  varied_picture(&again, 1, 255);
  varied_picture(&part, 0.5, 255);
  varied_picture(&other, 1, 0);
  uint64_t hashes[4];
  fake.encoded = 0;
  for (int i = 0; i < 4; i++) {
    all[i]->job.model = (char *)"fills";
    hashes[i] = draw(fixture, all[i])->hash[0];
  }
  assert_true(hashes[0] == hashes[1] && hashes[0] != hashes[2] && hashes[0] != hashes[3]);
  assert_int_equal(fake.encoded, 1 + 1 + 2 + 1); /* what is masked, and below 1 the image */
}

/* Its second pass looks at the larger picture and at what of that the mask leaves. */
static void a_model_that_fills_goes_on_larger(void **state) {
  struct fixture *fixture = *state;
  open_with_filler(fixture);
  struct varied full = plain("full"), again = plain("again"), other = plain("other"),
                small = plain("small");
  struct varied *const all[] = {&full, &again, &other, &small};
  uint64_t hashes[4];
  varied_picture(&full, 1, 255);
  varied_picture(&again, 1, 255);
  varied_picture(&other, 1, 0);
  varied_picture(&small, 1, 255);
  fake.encoded = 0;
  for (int i = 0; i < 4; i++) {
    all[i]->job.model = (char *)"fills";
    if (i < 3) {
      varied_upscale(all[i], DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL, 96, 0.6);
      all[i]->job.upscale = &all[i]->upscale;
    }
    hashes[i] = draw(fixture, all[i])->hash[0];
    assert_int_equal(fake.encoded, i < 3 ? 3 * (i + 1) : 10); /* masked; the larger one, masked */
    assert_int_equal(fake.cells[(fake.calls - 1) % FAKE_CALLS_MAX], i < 3 ? 12 * 12 : 8 * 8);
  }
  assert_true(hashes[0] == hashes[1] && hashes[0] != hashes[2] && hashes[0] != hashes[3]);
}

/* ---- refusals ---- */

static void refused(struct fixture *fixture, struct varied *one, const char *field) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  assert_int_equal(engine_admit(fixture->engine, &one->job, 7, &one->inputs), BAD_INPUT);
  assert_string_equal(book_find(&fixture->book, one->id)->field, field);
  assert_false(engine_busy(fixture->engine));
}

static void what_does_not_go_together_is_refused(void **state) {
  struct fixture *fixture = *state;
  open_with_filler(fixture);
  struct varied small = plain("small"), grey = plain("grey"), alone = plain("alone"),
                empty = plain("empty"), fills = plain("fills"), short_one = plain("short"),
                blind = plain("blind");
  varied_picture(&small, 0.5, -1);
  small.job.width = 128;
  varied_picture(&grey, 0.5, -1);
  grey.input[0].channels = 1;
  varied_picture(&alone, 0.5, 255);
  alone.job.image = NULL;
  alone.inputs.count = 0;
  varied_picture(&empty, 0.5, -1);
  empty.inputs.count = 0;
  fills.job.model = (char *)"fills";
  varied_picture(&short_one, 0.5, 255);
  short_one.input[1].bytes--;
  varied_picture(&blind, 0.5, -1);
  refused(fixture, &small, "image");
  refused(fixture, &grey, "image");
  refused(fixture, &alone, "mask");
  refused(fixture, &empty, "image");
  refused(fixture, &fills, "mask");
  refused(fixture, &short_one, "mask");
  fake.blind = true;
  refused(fixture, &blind, "image");
}

/* What one stage is told of a mask the other must be, too: a sample has the planes of its first. */
static void stages_that_do_not_fit_are_refused(void **state) {
  struct fixture *fixture = *state;
  open_with_filler(fixture);
  struct varied told = plain("told"), untold = plain("untold"), still = plain("still"),
                none = plain("none"), tiny = plain("tiny"), latent = plain("latent");
  varied_picture(&told, 0.5, 255);
  varied_refine(&told, "fills", 0.7);
  varied_picture(&untold, 0.5, 255);
  untold.job.model = (char *)"fills";
  varied_refine(&untold, "fake", 0.7);
  varied_picture(&still, 0, -1);
  varied_refine(&still, "other", 0.5);
  varied_refine(&none, "other", 0.0001);
  varied_upscale(&tiny, DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT, 96, 0.01);
  varied_picture(&latent, 1, 255);
  latent.job.model = (char *)"fills";
  varied_upscale(&latent, DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT, 96, 0.5);
  struct varied *const all[] = {&told, &untold, &still, &none, &tiny, &latent};
  static const char *const fields[] = {"refiner", "refiner", "strength",
                                       "refiner", "upscale", "upscale"};
  for (int i = 0; i < 6; i++) {
    all[i]->job.refiner = all[i]->job.refiner != NULL ? &all[i]->refiner : NULL;
    all[i]->job.upscale = all[i]->job.upscale != NULL ? &all[i]->upscale : NULL;
    refused(fixture, all[i], fields[i]);
  }
}

static void an_encode_that_is_not_finite_fails_alone(void **state) {
  struct fixture *fixture = *state;
  struct varied bad = plain("bad"), good = plain("good");
  varied_picture(&bad, 0.5, -1);
  fake.encode_overflows = true;
  bad.job.id = bad.id;
  bad.job.image = &bad.blob;
  struct entry *other = admit(fixture, &good.job);
  assert_int_equal(engine_admit(fixture->engine, &bad.job, 7, &bad.inputs), OK);
  run_all(fixture);
  assert_int_equal(other->finished, 1);
  assert_int_equal(book_find(&fixture->book, "bad")->failed, 1);
  assert_int_equal(book_find(&fixture->book, "bad")->code, DARKROOM__V1__ERROR_CODE__ERROR_NUMERIC);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(strength_says_how_much_stays),
      TEST(strength_0_returns_the_picture),
      TEST(a_mask_keeps_the_rest),
      TEST(a_mask_of_everything_is_none),
      TEST(a_soft_mask_blends),
      TEST(a_model_that_fills_sees_the_mask),
      TEST(a_model_that_fills_goes_on_larger),
      TEST(what_does_not_go_together_is_refused),
      TEST(stages_that_do_not_fit_are_refused),
      TEST(an_encode_that_is_not_finite_fails_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
