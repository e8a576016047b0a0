/* test_tinies.c - tiny decoders: whose they are, pictures by them, previews by them. */
#include "tests/unit/engine/late_device.h" /* before cmocka's macro `fail` */

#include "tests/unit/engine/fake_engine.h"
#include "worker/engine/state.h"

static const struct engine_extra rows[] = {
    {.kind = EXTRA_TINY, .id = "for-xl", .source = {.folder = "xl", .family = "sdxl"}},
    {.kind = EXTRA_TINY, .id = "strange", .source.folder = "strange"},
    {.kind = EXTRA_TINY, .id = "mine", .source = {.folder = "mine", .family = "sd1"}},
    {.kind = EXTRA_TINY, .id = "whoever", .source.folder = "whoever"}};

static void open_with(struct fixture *fixture, const struct engine_extra *extra, size_t count) {
  struct engine_settings settings = standard(fixture);
  settings.extras = extra;
  settings.extra_count = count;
  open_engine(fixture, &settings);
  fake.decoded = fake.tiny_decoded = 0;
}

static Darkroom__V1__Job asking(const char *id) {
  Darkroom__V1__Job job = job_of(id, "a lake", 5);
  job.steps = 4;
  job.has_tiny_decoder = job.tiny_decoder = 1;
  return job;
}
static Darkroom__V1__Job shown(const char *id, uint32_t every) {
  Darkroom__V1__Job job = job_of(id, "a lake", 5);
  job.steps = 10;
  job.has_preview_every = job.has_preview_kind = 1;
  job.preview_every = every;
  job.preview_kind = DARKROOM__V1__PREVIEW_KIND__PREVIEW_TINY;
  return job;
}

static uint64_t draw(struct fixture *fixture, const Darkroom__V1__Job *job) {
  struct entry *entry = admit(fixture, job);
  run_all(fixture);
  assert_int_equal(entry->finished, 1);
  return entry->hash[0];
}

static void the_first_row_that_fits_is_the_models(void **state) {
  struct fixture *fixture = *state;
  static const struct {
    size_t first, count;
    int open;
    const char *id, *like; /* of which this one alone gives the same picture */
  } cases[] = {
      {0, 4, 1, "all", "mine"}, {2, 1, 1, "mine", "mine"}, {3, 1, 1, "whoever", "whoever"}};
  uint64_t hash[3];
  for (int i = 0; i < 3; i++) {
    Darkroom__V1__Job job = asking(cases[i].id);
    open_with(fixture, &rows[cases[i].first], cases[i].count);
    assert_int_equal(fake.tinies, cases[i].open);
    hash[i] = draw(fixture, &job);
    assert_int_equal(fake.tiny_decoded, 1);
    assert_int_equal(fake.decoded, 0);
  }
  assert_true(hash[0] == hash[1]);
  assert_true(hash[1] != hash[2]);
  engine_close(&fixture->engine);
  assert_int_equal(fake.tinies, 0);
}

static void nobody_who_did_not_ask(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = asking("silent");
  job.tiny_decoder = 0;
  open_with(fixture, rows, 4);
  draw(fixture, &job);
  assert_int_equal(fake.tiny_decoded, 0);
  assert_int_equal(fake.decoded, 1);
}

static void where_there_is_none(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job jobs[] = {asking("picture"), shown("preview", 2)};
  static const char *const fields[] = {"tiny_decoder", "preview_kind"};
  for (int i = 0; i < 2; i++) {
    open_with(fixture, rows, 2); /* another family's, and one for other latents */
    assert_int_equal(engine_admit(fixture->engine, &jobs[i], 7, NULL), BAD_INPUT);
    const struct entry *entry = book_find(&fixture->book, jobs[i].id);
    assert_int_equal(entry->failed, 1);
    assert_int_equal(entry->kind, DARKROOM__V1__FAIL_KIND__FAIL_PERMANENT);
    assert_string_equal(entry->field, fields[i]);
    assert_non_null(strstr(entry->reason, "model fake; there are: none"));
  }
  Darkroom__V1__Job silent = shown("silent", 0); /* a kind alone asks for nothing */
  draw(fixture, &silent);
}

static void what_there_is_is_listed(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = asking("listed");
  open_with(fixture, &rows[2], 1);
  fixture->engine->residence.rows[0].tiny = NULL;
  assert_int_equal(engine_admit(fixture->engine, &job, 7, NULL), BAD_INPUT);
  assert_non_null(
      strstr(book_find(&fixture->book, job.id)->reason, "model fake; there are: mine (sd1)"));
}

/* A picture that only goes on is none of the job's. */
static void the_last_picture_alone(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = asking("larger");
  Darkroom__V1__Upscale upscale = DARKROOM__V1__UPSCALE__INIT;
  upscale.kind = DARKROOM__V1__UPSCALE_KIND__UPSCALE_PIXEL;
  upscale.width = upscale.height = 128;
  upscale.strength = 0.5;
  job.upscale = &upscale;
  open_with(fixture, rows, 4);
  draw(fixture, &job);
  assert_int_equal(fake.tiny_decoded, 1);
  assert_int_equal(fake.tiny_side, 128);
  assert_int_equal(fake.decoded, 1);
}

static void one_that_is_not_finite_is_made_by_the_models_own(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job own = asking("own"), mended = asking("mended");
  own.tiny_decoder = 0;
  open_with(fixture, rows, 4);
  uint64_t hash = draw(fixture, &own);
  fake.tiny_overflows = true;
  fake.exact = 0;
  assert_true(draw(fixture, &mended) == hash);
  assert_int_equal(fake.exact, 1);
}

static void memory_that_there_will_never_be(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job jobs[] = {asking("picture"), shown("preview", 2)};
  static const char *const fields[] = {"tiny_decoder", "preview_kind"};
  open_with(fixture, rows, 4);
  fake.tiny_bytes = 1 << 20;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(engine_admit(fixture->engine, &jobs[i], 7, NULL), BAD_INPUT);
    assert_string_equal(book_find(&fixture->book, jobs[i].id)->field, fields[i]);
  }
  Darkroom__V1__Job own = asking("own");
  own.tiny_decoder = 0;
  draw(fixture, &own);
}

/* Memory for what is promised: large decodes of few rows want more than the steps do. */
static void memory_is_promised(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job jobs[] = {asking("picture"), shown("preview", 2)};
  for (int i = 0; i < 2; i++) {
    fake.tiny_bytes = 64 << 10;
    open_with(fixture, rows, 4);
    draw(fixture, &jobs[i]);
    assert_true(fake.tiny_decoded > 0);
    assert_int_equal(book_find(&fixture->book, jobs[i].id)->failed, 0);
  }
}

static void previews_are_whole_pictures_made_smaller(void **state) {
  struct fixture *fixture = *state;
  static const uint32_t sides[] = {64, 256, 512};
  static const char *const ids[] = {"small", "as large", "larger"};
  for (int i = 0; i < 3; i++) {
    struct engine_settings settings = standard(fixture);
    settings.extras = rows;
    settings.extra_count = 4;
    settings.max_side = 512;
    settings.memory_max = 64 << 20;
    open_engine(fixture, &settings);
    fake.tiny_decoded = fake.previews = 0;
    Darkroom__V1__Job job = shown(ids[i], 3);
    job.width = job.height = sides[i];
    draw(fixture, &job);
    const struct entry *entry = book_find(&fixture->book, ids[i]);
    assert_int_equal(entry->previews, 3);
    assert_int_equal(fake.tiny_decoded, 3);
    assert_int_equal(entry->preview_side, sides[i] < 256 ? sides[i] : 256);
    assert_int_equal(fake.previews, 0); /* nobody asked for the colours of latents */
  }
}

/* More than one turn brings along: all are shown, and the same ones on a device that works behind
 * its caller. */
static void previews_of_many_at_once(void **state) {
  struct fixture *fixture = *state;
  uint64_t sums[8];
  static char ids[8][32];
  for (int late_one = 0; late_one < 2; late_one++) {
    struct engine_settings settings = standard(fixture);
    settings.extras = rows;
    settings.extra_count = 4;
    settings.device = late_one ? late_open(3, true, 0) : settings.device;
    open_engine(fixture, &settings);
    for (int k = 0; k < 8; k++) {
      snprintf(ids[k], sizeof ids[k], "many-%d", k);
      Darkroom__V1__Job job = shown(ids[k], 3);
      job.seed = (uint64_t)k;
      admit(fixture, &job);
    }
    run_all(fixture);
    for (int k = 0; k < 8; k++) {
      const struct entry *entry = book_find(&fixture->book, ids[k]);
      assert_true(entry->previews >= 2);
      assert_int_equal(entry->finished, 1);
      assert_true(late_one == 0 || entry->preview_sum == sums[k]);
      sums[k] = entry->preview_sum;
    }
    engine_close(&fixture->engine);
  }
  late_close();
}

/* The picture itself is worth more. */
static void a_preview_without_memory_is_left_out(void **state) {
  struct fixture *fixture = *state;
  Darkroom__V1__Job job = shown("poor", 2);
  open_with(fixture, rows, 4);
  fake.tiny_status = EXHAUSTED;
  draw(fixture, &job);
  assert_int_equal(fake.tiny_decoded, 4);
  assert_int_equal(book_find(&fixture->book, "poor")->previews, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_first_row_that_fits_is_the_models),
      TEST(nobody_who_did_not_ask),
      TEST(where_there_is_none),
      TEST(what_there_is_is_listed),
      TEST(the_last_picture_alone),
      TEST(one_that_is_not_finite_is_made_by_the_models_own),
      TEST(memory_that_there_will_never_be),
      TEST(memory_is_promised),
      TEST(previews_are_whole_pictures_made_smaller),
      TEST(previews_of_many_at_once),
      TEST(a_preview_without_memory_is_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
