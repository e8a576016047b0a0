/* test_self_test.c - a device that computes wrongly takes no work: an op that lies is named, a
 * picture that is not what it was is told; and the file of pictures bears anything. */
#include "kernels/backend.h"
#include "worker/engine/answers.h"
#include "worker/engine/op_check.h"
/* before cmocka's macro `fail` */
#include "tests/unit/engine/fake_engine.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- ops ---- */

/* "cpu" or "ref" with one op of it that leaves its output as it is. */
static struct device *liar(struct device *honest, struct backend *backend) {
  static struct device device;
  device = *honest;
  *backend = *honest->backend;
  device.backend = backend;
  snprintf(device.name, sizeof device.name, "liar");
  return &device;
}

static enum status lie_layer_norm(struct device *device, const struct tensor *x,
                                  const struct norm *norm, const struct tensor *y) {
  (void)device, (void)x, (void)norm, (void)y;
  return OK;
}
static enum status lie_finite(struct device *device, const struct tensor *x,
                              const struct tensor *finite) {
  (void)device, (void)x;
  ((int32_t *)finite->data)[0] = ((int32_t *)finite->data)[1] = 1;
  return OK;
}
static enum status lie_attention(struct device *device, const struct attention *attention,
                                 const struct tensor *y) {
  struct attention wrong = *attention;
  wrong.column = 0; /* the first layer's keys, whatever was asked */
  return device->backend == NULL ? BROKEN : backend_ref.ops.attention(device, &wrong, y);
}

static void sound_devices_pass(void **state) {
  (void)state;
  static const struct {
    const char *name;
    bool force_f32;
  } subjects[] = {{"ref", false}, {"cpu", false}, {"cpu", true}};
  for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
    struct device *device = NULL;
    const struct device_settings settings = {.threads = 2, .force_f32 = subjects[i].force_f32};
    assert_int_equal(device_open(subjects[i].name, &settings, &device), OK);
    size_t kept = 0; /* by the device, for its own use */
    for (int again = 0; again < 2; again++) {
      if (op_check(device) != OK) {
        fail_msg("%s", fail_reason());
      }
      assert_true(again == 0 || device_memory_used(device) == kept);
      kept = device_memory_used(device);
    }
    device_close(&device);
  }
}

static void an_op_that_lies_is_named(void **state) {
  (void)state;
  struct device *ref = NULL;
  struct backend backend;
  assert_int_equal(device_open("ref", NULL, &ref), OK);
  struct device *device = liar(ref, &backend);
  assert_int_equal(op_check(device), OK);
  backend.ops.layer_norm = lie_layer_norm;
  assert_int_equal(op_check(device), BROKEN);
  assert_non_null(strstr(fail_reason(), "layer_norm"));
  backend.ops.layer_norm = ref->backend->ops.layer_norm;
  backend.ops.finite = lie_finite;
  assert_int_equal(op_check(device), BROKEN);
  assert_non_null(strstr(fail_reason(), "finite"));
  backend.ops.finite = ref->backend->ops.finite;
  backend.ops.attention = lie_attention;
  assert_int_equal(op_check(device), BROKEN);
  assert_non_null(strstr(fail_reason(), "cross attention"));
  device_close(&ref);
}

/* ---- the file ---- */

struct folder {
  char path[64], file[128];
};

static int folder_setup(void **state) {
  static struct folder folder;
  snprintf(folder.path, sizeof folder.path, "/tmp/answers-XXXXXX");
  assert_non_null(mkdtemp(folder.path));
  snprintf(folder.file, sizeof folder.file, "%s/answers", folder.path);
  *state = &folder;
  return 0;
}
static int folder_teardown(void **state) {
  const struct folder *folder = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder->path);
  FILE *shell = popen(command, "r");
  return shell == NULL || pclose(shell) != 0;
}

static struct answer picture(const char *subject, int shade) {
  static uint8_t rgb[ANSWER_SIDE_MAX * ANSWER_SIDE_MAX * 3];
  memset(rgb, shade, sizeof rgb);
  return (struct answer){subject, ANSWER_SIDE_MAX, ANSWER_SIDE_MAX, rgb};
}

static enum status give(const struct folder *folder, const char *subject, int shade) {
  struct answer answer = picture(subject, shade);
  return answers_compare(folder->file, &answer);
}

static void the_first_is_kept_and_the_next_compared(void **state) {
  const struct folder *folder = *state;
  assert_int_equal(give(folder, "one", 100), OK);
  assert_int_equal(give(folder, "two", 200), OK);
  assert_int_equal(give(folder, "one", 100), OK);
  assert_int_equal(give(folder, "one", 101), OK); /* a rounding */
  assert_int_equal(give(folder, "one", 102), BROKEN);
  assert_non_null(strstr(fail_reason(), folder->file));
  assert_int_equal(give(folder, "two", 200), OK);
  assert_int_equal(give(folder, "two", 100), BROKEN);
  struct answer answer = picture("one", 100);
  ((uint8_t *)(uintptr_t)answer.rgb)[77] = 100 + ANSWER_VALUE_OFF_MAX + 1; /* one value, far off */
  assert_int_equal(answers_compare(folder->file, &answer), BROKEN);
  answer.height = 32;
  assert_int_equal(answers_compare(folder->file, &answer), BROKEN);
}

/* Damaged anywhere, cut anywhere, no file at all: nobody is accused, and it is whole again. */
static void a_damaged_file_accuses_nobody(void **state) {
  const struct folder *folder = *state;
  struct bytes whole;
  assert_int_equal(give(folder, "one", 100), OK);
  bytes_open(&whole, 1 << 20);
  assert_int_equal(bytes_read_file(&whole, folder->file), OK);
  for (size_t i = 0; i < whole.length; i += i < 64 ? 1 : 997) {
    FILE *file = fopen(folder->file, "wb");
    assert_int_equal(fwrite(whole.data, 1, i, file), i);
    uint8_t wrong = whole.data[i] ^ 0x55;
    assert_int_equal(fwrite(&wrong, 1, 1, file), 1);
    if (i % 2 == 0) { /* else cut there */
      assert_int_equal(fwrite(whole.data + i + 1, 1, whole.length - i - 1, file),
                       whole.length - i - 1);
    }
    fclose(file);
    assert_int_equal(give(folder, "one", 100), OK);
    assert_int_equal(give(folder, "one", 100), OK);
    assert_int_equal(give(folder, "one", 150), BROKEN); /* kept anew */
    unlink(folder->file);
  }
  bytes_close(&whole);
}

static void the_file_stays_small(void **state) {
  const struct folder *folder = *state;
  struct stat facts;
  for (int i = 0; i < ANSWERS_MAX + 10; i++) {
    char subject[ANSWER_SUBJECT_BYTES_MAX];
    snprintf(subject, sizeof subject, "%0500d", i);
    assert_int_equal(give(folder, subject, 100), OK);
  }
  assert_int_equal(stat(folder->file, &facts), 0);
  assert_true(facts.st_size < 2 << 20);
  char last[ANSWER_SUBJECT_BYTES_MAX];
  snprintf(last, sizeof last, "%0500d", ANSWERS_MAX + 9);
  assert_int_equal(give(folder, last, 200), BROKEN);
  snprintf(last, sizeof last, "%0500d", 0);
  assert_int_equal(give(folder, last, 200), OK); /* the oldest was forgotten */
}

/* A disk that is full or not to be written is the operator's affair, not the device's. */
static void no_file_is_no_reason(void **state) {
  const struct folder *folder = *state;
  struct answer answer = picture("one", 100);
  char away[128];
  snprintf(away, sizeof away, "%s/none/answers", folder->path);
  assert_int_equal(answers_compare(away, &answer), OK);
  assert_int_equal(mkdir(folder->file, 0700), 0); /* in its place */
  assert_int_equal(answers_compare(folder->file, &answer), OK);
}

/* ---- the whole ---- */

static enum status open_again(struct fixture *fixture, const struct folder *folder,
                              const char *sha256) {
  static struct engine_model model;
  model = (struct engine_model){.id = "fake", .sha256 = sha256, .source.folder = folder->path};
  struct engine_settings settings = standard(fixture);
  settings.models = &model;
  settings.model_count = 1;
  settings.answers = folder->file;
  struct engine_listener listener = book_listener(&fixture->book);
  engine_close(&fixture->engine);
  return engine_open(&settings, &listener, &fixture->engine);
}

/* The same wrong picture every time: only memory of the right one tells. */
static void a_model_that_draws_otherwise_does_not_open(void **state) {
  const struct folder *folder = *state;
  void *inner = NULL;
  setup(&inner);
  struct fixture *fixture = inner;
  assert_int_equal(open_again(fixture, folder, "abc"), OK);
  assert_int_equal(open_again(fixture, folder, "abc"), OK);
  fake.skewed = true;
  assert_int_equal(open_again(fixture, folder, "abc"), BROKEN);
  assert_non_null(strstr(fail_reason(), "first seen"));
  assert_int_equal(open_again(fixture, folder, NULL), OK);  /* which model it is is not known */
  assert_int_equal(open_again(fixture, folder, "def"), OK); /* another model */
  fake.skewed = false;
  assert_int_equal(open_again(fixture, folder, "def"), BROKEN);
  teardown(&inner);
}

static void say_scheduler(const struct folder *folder, const char *text) {
  char path[160];
  snprintf(path, sizeof path, "%s/scheduler", folder->path);
  (void)mkdir(path, 0700); /* it may be there */
  snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", folder->path);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

/* With these weights and another scheduler's config it is another model. */
static void what_configs_say_makes_another_model(void **state) {
  const struct folder *folder = *state;
  void *inner = NULL;
  setup(&inner);
  struct fixture *fixture = inner;
  say_scheduler(folder, "{\"prediction_type\": \"epsilon\"}");
  assert_int_equal(open_again(fixture, folder, "abc"), OK);
  fake.skewed = true;
  assert_int_equal(open_again(fixture, folder, "abc"), BROKEN);
  say_scheduler(folder, "{\"prediction_type\": \"v_prediction\"}");
  assert_int_equal(open_again(fixture, folder, "abc"), OK);
  fake.skewed = false;
  say_scheduler(folder, "{\"prediction_type\": \"epsilon\"}");
  assert_int_equal(open_again(fixture, folder, "abc"), OK);
  teardown(&inner);
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sound_devices_pass),
      cmocka_unit_test(an_op_that_lies_is_named),
      FOLDER_TEST(the_first_is_kept_and_the_next_compared),
      FOLDER_TEST(a_damaged_file_accuses_nobody),
      FOLDER_TEST(the_file_stays_small),
      FOLDER_TEST(no_file_is_no_reason),
      FOLDER_TEST(a_model_that_draws_otherwise_does_not_open),
      FOLDER_TEST(what_configs_say_makes_another_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
