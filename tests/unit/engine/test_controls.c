/* test_controls.c - control nets of jobs: when they are on, whom they share a call with, what they
 * change. */
#include "tests/unit/engine/fake_engine.h"
#include "tests/unit/engine/varied.h"

static struct varied plain(const char *id) {
  struct varied one = {0};
  snprintf(one.id, sizeof one.id, "%s", id);
  one.job = job_of(id, "a lake", 5);
  one.job.steps = 8;
  return one;
}

static struct entry *begin(struct fixture *fixture, struct varied *one) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  for (size_t i = 0; i < one->job.n_control; i++) {
    one->controls[i] = &one->control[i];
  }
  one->job.control = one->controls;
  assert_int_equal(engine_admit(fixture->engine, &one->job, 7, &one->inputs), OK);
  return book_find(&fixture->book, one->id);
}

static uint64_t draw(struct fixture *fixture, struct varied *one) {
  struct entry *entry = begin(fixture, one);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

/* diffusers' window over 8 rows: on in i where i/8 >= start and (i + 1)/8 <= end. */
static void a_net_is_run_in_its_window_alone(void **state) {
  static const struct {
    double start, end;
    int first, last;
  } rows[] = {{0, 1, 0, 8}, {0.25, 1, 2, 8}, {0.26, 1, 3, 8}, {0, 0.5, 0, 4}, {0.1, 0.9, 1, 7}};
  struct fixture *fixture = *state;
  for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
    char id[32];
    snprintf(id, sizeof id, "window-%zu", r);
    struct varied one = plain(id);
    varied_control(&one, "lines", rows[r].start, rows[r].end);
    fake.calls = 0;
    draw(fixture, &one);
    assert_int_equal(fake.calls, 8);
    for (int i = 0; i < 8; i++) {
      assert_int_equal(fake.nets[i], i >= rows[r].first && i < rows[r].last);
    }
  }
}

static void hints_and_prompts_are_made_once(void **state) {
  struct fixture *fixture = *state;
  struct varied one = plain("once");
  varied_control(&one, "lines", 0, 1);
  one.job.has_images = 1;
  one.job.images = 3;
  draw(fixture, &one);
  assert_int_equal(fake.hints, 1);
  assert_int_equal(fake.net_conditioned, 2); /* what is wanted and what is not */
}

/* A hint has the latents' cells, of however many pixels these are. */
static void hints_are_as_large_as_latents(void **state) {
  struct fixture *fixture = *state;
  static const int factors[] = {4, 8, 16};
  for (int i = 0; i < 3; i++) {
    struct engine_settings settings = standard(fixture);
    struct varied one = plain("cells");
    varied_control(&one, "lines", 0, 1);
    fake.factor = factors[i];
    open_engine(fixture, &settings);
    draw(fixture, &one);
    assert_int_equal(fake.hint_cells, VARIED_SIDE * VARIED_SIDE / factors[i] / factors[i]);
  }
}

/* Alone, a job is tried once more when scratch of others is gone: then none of its hints may be
 * missing, and none is paid for twice. */
static void hints_of_a_try_in_vain_are_made_anew(void **state) {
  struct fixture *fixture = *state;
  struct varied whole = plain("whole");
  varied_control(&whole, "lines", 0, 1);
  varied_control(&whole, "depth", 0, 1);
  uint64_t hash = draw(fixture, &whole);
  for (int at = 1; at <= 2; at++) {
    for (int i = 0; i < 3; i++) {
      struct varied again = plain("again");
      snprintf(again.id, sizeof again.id, "again-%d-%d", at, i);
      varied_control(&again, "lines", 0, 1);
      varied_control(&again, "depth", 0, 1);
      fake.hint_fails = at;
      assert_true(draw(fixture, &again) == hash);
    }
  }
}

/* Rows with the same nets on share a call, and no others do. */
static void who_shares_a_call(void **state) {
  struct fixture *fixture = *state;
  struct varied none = plain("none"), one = plain("one"), like = plain("like"),
                other = plain("other");
  varied_control(&one, "lines", 0, 0.5);
  varied_control(&like, "lines", 0, 1);
  varied_control(&other, "depth", 0, 0.5);
  begin(fixture, &none);
  begin(fixture, &one);
  begin(fixture, &like);
  begin(fixture, &other);
  run_all(fixture);
  int shared = 0, bare = 0;
  for (int i = 0; i < fake.calls; i++) {
    shared += fake.nets[i] == 1 && fake.rows[i] == 4;
    bare += fake.nets[i] == 0 && fake.rows[i] >= 4;
    assert_true(fake.nets[i] == 0 || fake.rows[i] <= 4);
  }
  assert_true(shared >= 3); /* one and like, while both are on */
  assert_true(bare >= 3);   /* none, one and other, when theirs are over */
}

static void what_changes_the_picture(void **state) {
  struct fixture *fixture = *state;
  struct varied all[7] = {plain("c0"), plain("c1"), plain("c2"), plain("c3"),
                          plain("c4"), plain("c5"), plain("c6")};
  varied_control(&all[1], "lines", 0, 1);
  varied_control(&all[2], "lines", 0, 1);
  all[2].control[0].scale = 0.5;
  varied_control(&all[3], "lines", 0, 1);
  all[3].control[0].guess = 1;
  varied_control(&all[4], "depth", 0, 1);
  varied_control(&all[5], "lines", 0, 1);
  varied_control(&all[5], "depth", 0, 1);
  varied_control(&all[6], "depth", 0, 1);
  varied_control(&all[6], "lines", 0, 1);
  uint64_t hashes[7];
  for (int i = 0; i < 7; i++) {
    hashes[i] = draw(fixture, &all[i]);
    for (int k = 0; k < i && i < 6; k++) {
      assert_true(hashes[k] != hashes[i]);
    }
  }
  assert_true(hashes[5] == hashes[6]); /* in whatever order they are named */
}

static void refused(struct fixture *fixture, struct varied *one) {
  one->job.id = one->id;
  one->inputs.input = one->input;
  one->controls[0] = &one->control[0];
  one->job.control = one->controls;
  assert_int_equal(engine_admit(fixture->engine, &one->job, 7, &one->inputs), BAD_INPUT);
  assert_string_equal(book_find(&fixture->book, one->id)->field, "control");
  assert_false(engine_busy(fixture->engine));
}

static void what_cannot_be_done_is_refused(void **state) {
  struct fixture *fixture = *state;
  struct varied unknown = plain("unknown"), strange = plain("strange"), size = plain("size"),
                away = plain("away");
  varied_control(&unknown, "no such", 0, 1);
  varied_control(&strange, "strange", 0, 1); /* of a family that no model here has */
  varied_control(&size, "lines", 0, 1);
  size.job.width = 128;
  varied_control(&away, "lines", 0, 1);
  away.inputs.count = 0;
  refused(fixture, &unknown);
  refused(fixture, &strange);
  refused(fixture, &size);
  refused(fixture, &away);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_net_is_run_in_its_window_alone),
      TEST(hints_and_prompts_are_made_once),
      TEST(hints_are_as_large_as_latents),
      TEST(hints_of_a_try_in_vain_are_made_anew),
      TEST(who_shares_a_call),
      TEST(what_changes_the_picture),
      TEST(what_cannot_be_done_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
