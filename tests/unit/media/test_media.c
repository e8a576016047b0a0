/* test_media.c - tasks go in, are tried once and come back: with a picture stored, spooled, or
 * still in their hands. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "proto/darkroom.pb-c.h"
#include "store/files.h"
#include "worker/media/media.h"

enum { SIDE = 16 };

struct place {
  char base[64];
  char spool[80], store[80], url[96];
  struct media *media;
};

static int open_place(void **state) {
  struct place *place = calloc(1, sizeof *place);
  snprintf(place->base, sizeof place->base, "/tmp/darkroom-media-XXXXXX");
  if (mkdtemp(place->base) == NULL) {
    return -1;
  }
  snprintf(place->spool, sizeof place->spool, "%s/spool", place->base);
  snprintf(place->store, sizeof place->store, "%s/store", place->base);
  snprintf(place->url, sizeof place->url, "file://%s", place->store);
  mkdir(place->spool, 0700);
  struct media_settings settings = {.threads = 2,
                                    .fetch_threads = 2,
                                    .store = {.url = place->url},
                                    .spool = place->spool,
                                    .worker = "w1",
                                    .version = "0"};
  *state = place;
  return media_open(&settings, &place->media) == OK ? 0 : -1;
}

static int close_place(void **state) {
  struct place *place = *state;
  media_close(&place->media);
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", place->base);
  FILE *removing = popen(command, "r");
  int code = removing != NULL ? pclose(removing) : -1;
  free(place);
  return code;
}

static void pack_assign(struct bytes *out) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  job.id = (char *)"job1";
  job.tenant = (char *)"default";
  job.model = (char *)"tiny";
  job.prompt = (char *)"a lake";
  job.has_width = job.has_height = job.has_steps = job.has_seed = job.has_images = 1;
  job.width = job.height = SIDE;
  job.steps = 4;
  job.seed = 9;
  job.images = 2;
  job.has_sampler = 1;
  job.sampler = DARKROOM__V1__SAMPLER__SAMPLER_EULER;
  Darkroom__V1__Assign assign = DARKROOM__V1__ASSIGN__INIT;
  assign.job = &job;
  assign.has_fence = 1;
  assign.fence = 5;
  uint8_t *room = NULL;
  assert_int_equal(bytes_reserve(out, darkroom__v1__assign__get_packed_size(&assign), &room), OK);
  out->length += darkroom__v1__assign__pack(&assign, room);
}

static struct media_task *make(enum media_kind kind, uint32_t index) {
  struct media_task *task = media_task(kind, "job1", 5);
  assert_non_null(task);
  task->index = index;
  pack_assign(&task->assign);
  if (kind == MEDIA_FINISH) {
    task->width = task->height = SIDE;
    for (int i = 0; i < SIDE * SIDE * 3; i++) {
      uint8_t value = (uint8_t)(i * 5);
      assert_int_equal(bytes_append(&task->pixels, &value, 1), OK);
    }
  }
  return task;
}

static struct media_task *run(struct place *place, struct media_task *task) {
  media_send(place->media, task);
  struct pollfd bell = {.fd = media_descriptor(place->media), .events = POLLIN};
  assert_int_equal(poll(&bell, 1, 20000), 1);
  struct media_task *done = media_take(place->media);
  assert_ptr_equal(done, task);
  assert_null(media_take(place->media));
  assert_int_equal(poll(&bell, 1, 0), 0); /* the bell is silent again */
  return done;
}

static bool there(const char *folder, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return file_exists(path);
}

static struct media_task *finished(struct place *place, uint32_t index) {
  struct media_task *task = run(place, make(MEDIA_FINISH, index));
  assert_int_equal(task->status, OK);
  assert_true(task->encoded);
  assert_int_equal(task->pixels.length, 0);
  assert_int_equal(strlen(task->sha256), 64);
  assert_true(task->file_bytes > 0);
  return task;
}

static void a_picture_is_spooled_and_then_stored(void **state) {
  struct place *place = *state;
  struct media_task *task = finished(place, 1);
  assert_true(task->spooled);
  assert_int_equal(task->file.length, 0);
  assert_true(there(place->spool, "job1.5/assign") && there(place->spool, "job1.5/1.png"));
  assert_false(there(place->store, "default/job1/5/1.png"));
  task->kind = MEDIA_STORE;
  task = run(place, task);
  assert_int_equal(task->status, OK);
  assert_true(there(place->store, "default/job1/5/1.png") &&
              there(place->store, "default/job1/5/1.json"));
  assert_false(task->lost);
  media_task_close(&task);
}

static void a_store_that_refuses_leaves_it_in_the_spool(void **state) {
  struct place *place = *state;
  assert_int_equal(file_write(place->store, "", 0), OK); /* a file where the folder should be */
  struct media_task *task = finished(place, 0);
  task->kind = MEDIA_STORE;
  task = run(place, task);
  assert_int_equal(task->status, BAD_INPUT);
  assert_non_null(strstr(task->reason, "Not a directory"));
  assert_false(task->lost);
  assert_true(there(place->spool, "job1.5/0.png"));
  assert_int_equal(file_remove(place->store), OK);
  task = run(place, task);
  assert_int_equal(task->status, OK);
  media_task_close(&task);
}

/* A picture that could not be spooled is stored from memory; while the store is away it is spooled
 * as soon as there is room. */
static void without_a_spool_the_picture_stays_in_memory(void **state) {
  struct place *place = *state;
  assert_int_equal(rmdir(place->spool), 0);
  assert_int_equal(file_write(place->spool, "", 0), OK); /* a file where the folder was */
  struct media_task *task = finished(place, 0);
  assert_false(task->spooled);
  assert_non_null(strstr(task->reason, "Not a directory"));
  assert_true(task->file.length > 0);
  task->kind = MEDIA_STORE;
  task = run(place, task);
  assert_int_equal(task->status, OK);
  assert_int_equal(task->file.length, 0);
  media_task_close(&task);
  task = finished(place, 1);
  char moved[96];
  snprintf(moved, sizeof moved, "%s.away", place->store);
  assert_int_equal(rename(place->store, moved), 0);
  assert_int_equal(file_write(place->store, "", 0), OK);
  task->kind = MEDIA_STORE;
  task = run(place, task); /* neither room nor store */
  assert_int_equal(task->status, BAD_INPUT);
  assert_true(!task->spooled && task->file.length > 0);
  assert_int_equal(file_remove(place->spool), OK); /* room again, and no store */
  assert_int_equal(mkdir(place->spool, 0700), 0);
  task->kind = MEDIA_STORE;
  task = run(place, task);
  assert_int_equal(task->status, BAD_INPUT);
  assert_true(task->spooled && task->file.length == 0);
  assert_true(there(place->spool, "job1.5/1.png"));
  media_task_close(&task);
}

/* What the spool gives back is what was made, or it is said to be lost; the store is not asked. */
static void a_damaged_or_missing_copy_is_not_stored(void **state) {
  struct place *place = *state;
  struct media_task *task = finished(place, 0);
  char path[128];
  snprintf(path, sizeof path, "%s/job1.5/0.png", place->spool);
  assert_int_equal(file_write(path, "something else", 14), OK);
  task->kind = MEDIA_STORE;
  task = run(place, task);
  assert_int_equal(task->status, BAD_INPUT);
  assert_true(task->lost);
  assert_non_null(strstr(task->reason, "damaged"));
  assert_int_equal(file_remove(path), OK);
  task->lost = false;
  task = run(place, task);
  assert_true(task->lost);
  assert_non_null(strstr(task->reason, "gone"));
  assert_false(there(place->store, "default/job1/5/0.png"));
  media_task_close(&task);
}

static void dropping_forgets_the_spool_and_if_asked_the_store(void **state) {
  struct place *place = *state;
  for (uint32_t i = 0; i < 2; i++) {
    struct media_task *task = finished(place, i);
    task->kind = MEDIA_STORE;
    task = run(place, task);
    media_task_close(&task);
  }
  struct media_task *task = run(place, make(MEDIA_DROP, 0));
  assert_int_equal(task->status, OK);
  assert_false(there(place->spool, "job1.5"));
  assert_true(there(place->store, "default/job1/5/0.png"));
  task->image_count = 2;
  task = run(place, task);
  assert_int_equal(task->status, OK);
  assert_false(there(place->store, "default/job1/5/0.png") ||
               there(place->store, "default/job1/5/1.json"));
  media_task_close(&task);
}

static void a_seal_is_written(void **state) {
  struct place *place = *state;
  struct media_task *task = media_task(MEDIA_SEAL, "job1", 5);
  assert_int_equal(bytes_append_text(&task->payload, "complete"), OK);
  task = run(place, task);
  assert_int_equal(task->status, OK);
  assert_true(there(place->spool, "job1.5/complete"));
  media_task_close(&task);
}

static void nonsense_is_an_outcome(void **state) {
  struct place *place = *state;
  struct media_task *task = make(MEDIA_FINISH, 0);
  bytes_clear(&task->assign);
  assert_int_equal(bytes_append_text(&task->assign, "\xff\xff nonsense"), OK);
  task = run(place, task);
  assert_int_equal(task->status, BAD_INPUT);
  assert_false(task->encoded);
  media_task_close(&task);
  task = run(place, make(MEDIA_STORE, 7)); /* never spooled */
  assert_int_equal(task->status, BAD_INPUT);
  assert_true(task->lost);
  media_task_close(&task);
}

static void what_waits_at_the_end_is_forgotten(void **state) {
  struct place *place = *state;
  for (uint32_t i = 0; i < 20; i++) {
    media_send(place->media, make(MEDIA_FINISH, i));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_picture_is_spooled_and_then_stored, open_place,
                                      close_place),
      cmocka_unit_test_setup_teardown(a_store_that_refuses_leaves_it_in_the_spool, open_place,
                                      close_place),
      cmocka_unit_test_setup_teardown(a_damaged_or_missing_copy_is_not_stored, open_place,
                                      close_place),
      cmocka_unit_test_setup_teardown(without_a_spool_the_picture_stays_in_memory, open_place,
                                      close_place),
      cmocka_unit_test_setup_teardown(dropping_forgets_the_spool_and_if_asked_the_store, open_place,
                                      close_place),
      cmocka_unit_test_setup_teardown(a_seal_is_written, open_place, close_place),
      cmocka_unit_test_setup_teardown(nonsense_is_an_outcome, open_place, close_place),
      cmocka_unit_test_setup_teardown(what_waits_at_the_end_is_forgotten, open_place, close_place),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
