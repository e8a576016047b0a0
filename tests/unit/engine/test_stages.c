/* test_stages.c - a picture in two stages: another model that goes on, another size. */
#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"
#include "worker/engine/handover.h"

static struct varied job_with(const char *id) {
  struct varied one = {0};
  snprintf(one.id, sizeof one.id, "%s", id);
  one.job = job_of(id, "a lake", 5);
  one.job.steps = 6;
  return one;
}

static struct entry *draw(struct fixture *fixture, struct varied *one) {
  one->job.id = one->id;
  one->job.upscale = one->job.upscale != NULL ? &one->upscale : NULL;
  struct entry *entry = admit(fixture, &one->job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry;
}

/* Euler remembers nothing between steps: the same model in two parts is the same model. */
static void a_model_refined_by_itself_is_itself(void **state) {
  struct fixture *fixture = *state;
  struct varied whole = job_with("whole"), parts = job_with("parts");
  varied_refine(&parts, "fake", 0.5);
  struct entry *one = draw(fixture, &whole), *two = draw(fixture, &parts);
  assert_int_equal(one->hash[0], two->hash[0]);
  assert_int_equal(one->steps, 6);
  assert_int_equal(two->steps, 6);
  assert_int_equal(two->denoise_steps, 6);
}

static void a_refiner_draws_its_part(void **state) {
  struct fixture *fixture = *state;
  struct varied whole = job_with("whole"), refined = job_with("refined");
  varied_refine(&refined, "other", 0.5);
  fake.calls = 0;
  struct entry *one = draw(fixture, &whole);
  int of_one = fake.calls;
  struct entry *two = draw(fixture, &refined);
  assert_int_equal(fake.calls, 2 * of_one);
  int others = 0;
  for (int i = of_one; i < fake.calls; i++) {
    others += fake.models[i] != fake.models[0];
  }
  assert_int_equal(others, 3);
  (void)one;
  assert_int_equal(two->steps, 6);
}

static void a_second_pass_is_larger(void **state) {
  struct fixture *fixture = *state;
  struct varied first = job_with("small"), both = job_with("large");
  varied_upscale(&both, DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT, 128, 0.5);
  draw(fixture, &first);
  struct entry *entry = draw(fixture, &both);
  assert_int_equal(entry->width, 128);
  assert_int_equal(entry->height, 128);
  assert_int_equal(entry->steps, 6 + 3);
  assert_int_equal(entry->step, 9);
  assert_int_equal(entry->pictures, 1);
}

/* By pixels the first picture is decoded, made larger and encoded; strength 0 gives just that. */
static void a_second_pass_over_the_picture(void **state) {
  struct fixture *fixture = *state;
  struct varied first = job_with("first"), still = job_with("still"), moved = job_with("moved");
  varied_upscale(&still, DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL, 128, 0);
  varied_upscale(&moved, DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL, 128, 0.5);
  draw(fixture, &first);
  int before = fake.calls, decoded = fake.decoded;
  struct entry *one = draw(fixture, &still);
  assert_int_equal(fake.calls - before, 6);
  assert_int_equal(fake.encoded, 1);
  assert_int_equal(fake.decoded - decoded, 2);
  struct entry *two = draw(fixture, &moved);
  assert_int_equal(two->steps, 6 + 3);
  assert_int_equal(one->width, 128);
  assert_int_equal(two->pictures, 1);
  assert_true(one->hash[0] != two->hash[0]);
}

static void what_cannot_be_a_stage_is_refused(void **state) {
  struct fixture *fixture = *state;
  struct varied unknown = job_with("unknown"), huge = job_with("huge"), nothing = job_with("none");
  varied_refine(&unknown, "no such", 0.5);
  varied_upscale(&huge, DARKROOM__V1__UPSCALE_KIND__UPSCALE_LATENT, 2048, 0.5);
  varied_refine(&nothing, "other", 1.0);
  struct varied *const all[] = {&unknown, &huge, &nothing};
  static const char *const fields[] = {"refiner", "upscale", "refiner"};
  for (int i = 0; i < 3; i++) {
    all[i]->job.id = all[i]->id;
    assert_int_equal(engine_admit(fixture->engine, &all[i]->job, 7, NULL), BAD_INPUT);
    assert_string_equal(book_find(&fixture->book, all[i]->id)->field, fields[i]);
    assert_false(engine_busy(fixture->engine));
  }
}

/* torch.nn.functional.interpolate(mode="bilinear") of the same numbers. */
static void latents_grow_as_torch_grows_them(void **state) {
  (void)state;
  static const float small[] = {0, 1, 2, 3, 5, 9};
  static const float want[] = {0.0f,  0.625f,   1.375f,   2.0f,  0.75f, 1.53125f, 2.65625f, 3.75f,
                               2.25f, 3.34375f, 5.21875f, 7.25f, 3.0f,  4.25f,    6.5f,     9.0f};
  float got[16];
  grid_resize(&(struct grid){2, 3, 1}, small, &(struct grid){4, 4, 1}, got);
  for (int i = 0; i < 16; i++) {
    assert_float_equal(got[i], want[i], 1e-6);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_model_refined_by_itself_is_itself),
      TEST(a_refiner_draws_its_part),
      TEST(a_second_pass_is_larger),
      TEST(a_second_pass_over_the_picture),
      TEST(what_cannot_be_a_stage_is_refused),
      cmocka_unit_test(latents_grow_as_torch_grows_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
