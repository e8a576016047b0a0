/* test_record.c - what Redis tells about jobs, the fleet and itself, whole and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "broker/fleet.h"
#include "broker/greeting.h"
#include "broker/record.h"

static struct arena *arena;

static int setup(void **state) {
  (void)state;
  return arena_open(NULL, 1 << 20, &arena) == OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  arena_close(&arena);
  return 0;
}

static redisReply *text(const char *value, size_t bytes) {
  redisReply *reply = arena_take_zeroed(arena, sizeof *reply);
  reply->type = value != NULL ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
  reply->str = (char *)value;
  reply->len = bytes;
  return reply;
}

static redisReply *word(const char *value) {
  return text(value, value != NULL ? strlen(value) : 0);
}

static redisReply *integer(long long value) {
  redisReply *reply = arena_take_zeroed(arena, sizeof *reply);
  reply->type = REDIS_REPLY_INTEGER;
  reply->integer = value;
  return reply;
}

static redisReply *array(size_t count, redisReply **elements) {
  redisReply *reply = arena_take_zeroed(arena, sizeof *reply);
  reply->type = REDIS_REPLY_ARRAY;
  reply->elements = count;
  reply->element = elements;
  return reply;
}

static redisReply *packed(const ProtobufCMessage *message) {
  uint8_t *bytes = arena_take(arena, protobuf_c_message_get_packed_size(message));
  return text((const char *)bytes, protobuf_c_message_pack(message, bytes));
}

static void test_status(void **state) {
  (void)state;
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__JobStatus result = DARKROOM__V1__JOB_STATUS__INIT, *status = NULL;
  Darkroom__V1__Timings timings = DARKROOM__V1__TIMINGS__INIT;
  job.prompt = (char *)"a lake";
  timings.has_denoise_us = true;
  timings.denoise_us = 9;
  result.timings = &timings;
  redisReply *fields[] = {
      integer(4),        word("state"),      word("SUCCEEDED"),    word("step"),
      word("20"),        word("fence"),      word("1048577"),      word("submitted_us"),
      word("1000000"),   word("started_us"), word("1500000"),      word("finished_us"),
      word("4000000"),   word("error_text"), word("an old one"),   word("job"),
      packed(&job.base), word("result"),     packed(&result.base), word("unknown"),
      word("field"),
  };
  redisReply *reply = array(sizeof fields / sizeof fields[0], fields);
  assert_int_equal(record_status(reply, arena, true, &status), OK);
  assert_int_equal(status->state, DARKROOM__V1__JOB_STATE__JOB_STATE_SUCCEEDED);
  assert_string_equal(status->job->prompt, "a lake");
  assert_true(status->has_step && status->step == 20 && status->fence == 1048577);
  assert_true(status->submitted_ms == 1000 && status->finished_ms == 4000);
  assert_true(status->timings->queue_us == 500000 && status->timings->total_us == 3000000);
  assert_int_equal(status->timings->denoise_us, 9);
  assert_null(status->error);
  assert_false(status->has_position);
  assert_int_equal(record_status(reply, arena, false, &status), OK);
  assert_null(status->job);
}

static void test_damaged(void **state) {
  (void)state;
  Darkroom__V1__JobStatus *status = NULL;
  redisReply *odd_state[] = {integer(0), word("state"), word("LOST")};
  assert_int_equal(record_status(array(3, odd_state), arena, false, &status), BROKEN);
  redisReply *odd_job[] = {integer(0), word("state"), word("QUEUED"), word("job"),
                           word("\xff\xff")};
  assert_int_not_equal(record_status(array(5, odd_job), arena, true, &status), OK);
  redisReply *short_row[] = {word("id")};
  assert_int_equal(record_listed(array(1, short_row), arena, &status), BROKEN);
  struct fleet fleet;
  redisReply *odd_models[] = {word("m"), word("\xff")};
  redisReply *odd_fleet[] = {word(""), array(2, odd_models), array(0, NULL)};
  assert_int_not_equal(fleet_read(&fleet, array(3, odd_fleet), arena), OK);
}

static redisReply *worker_row(const char *name, const char *state, uint32_t max_side) {
  Darkroom__V1__ModelInfo info = DARKROOM__V1__MODEL_INFO__INIT, *infos[] = {&info};
  Darkroom__V1__Hello hello = DARKROOM__V1__HELLO__INIT;
  info.id = (char *)"m";
  info.has_max_side = info.has_default_side = true;
  info.max_side = max_side;
  info.default_side = 64;
  hello.worker = (char *)name;
  hello.model = infos;
  hello.n_model = 1;
  Darkroom__V1__DeviceInfo device = DARKROOM__V1__DEVICE_INFO__INIT, *list[] = {&device};
  Darkroom__V1__Devices devices = DARKROOM__V1__DEVICES__INIT;
  device.name = (char *)"cuda:0";
  devices.device = list;
  devices.n_device = 1;
  redisReply **row = arena_take(arena, 7 * sizeof(void *));
  row[0] = word(name);
  row[1] = word("7");
  row[2] = word(state);
  row[3] = integer(2);
  row[4] = packed(&hello.base);
  row[5] = word(strcmp(state, "gone") == 0 ? "the store refuses: 403" : "");
  row[6] = max_side == 128 ? word("") : packed(&devices.base);
  return array(7, row);
}

static void test_fleet(void **state) {
  (void)state;
  Darkroom__V1__ModelInfo remembered = DARKROOM__V1__MODEL_INFO__INIT;
  remembered.id = (char *)"m";
  remembered.has_max_side = remembered.has_default_side = true;
  remembered.max_side = 999;
  remembered.default_side = 64;
  redisReply *models[] = {word("m"), packed(&remembered.base)};
  redisReply *workers[] = {worker_row("w1", "ready", 128), worker_row("w2", "ready", 512),
                           worker_row("w3", "gone", 2048)};
  redisReply *whole[] = {word("m"), array(2, models), array(3, workers)};
  struct fleet fleet;
  assert_int_equal(fleet_read(&fleet, array(3, whole), arena), OK);
  assert_string_equal(fleet.default_model, "m");
  const struct fleet_model *model = fleet_find(&fleet, "m");
  assert_non_null(model);
  assert_true(model->workers == 2 && model->least_side == 128 && model->largest_side == 512);
  assert_null(fleet_find(&fleet, "x"));
  redisReply *empty[] = {word("m"), array(2, models), array(0, NULL)};
  assert_int_equal(fleet_read(&fleet, array(3, empty), arena), OK);
  assert_int_equal(fleet_find(&fleet, "m")->largest_side, 999);
  Darkroom__V1__WorkerInfo **infos = NULL;
  size_t count = 0;
  assert_int_equal(fleet_workers(array(3, whole), arena, &infos, &count), OK);
  assert_int_equal(count, 3);
  assert_string_equal(infos[2]->state, "gone");
  assert_string_equal(infos[2]->trouble, "the store refuses: 403");
  assert_null(infos[0]->trouble);
  assert_int_equal(infos[0]->n_device_info, 0); /* not told */
  assert_int_equal(infos[1]->n_device_info, 1);
  assert_string_equal(infos[1]->device_info[0]->name, "cuda:0");
  assert_int_equal(infos[2]->n_device_info, 0); /* it has gone: nobody knows */
  assert_true(infos[0]->running == 2 && infos[0]->generation == 7);
}

static void test_greeting(void **state) {
  (void)state;
  static const struct {
    const char *eviction, *aof, *appendfsync, *named;
  } rows[] = {
      {"noeviction", "1", "always", NULL},
      {"noeviction", "1", "", NULL}, /* not shown to us */
      {"allkeys-lru", "1", "always", "maxmemory-policy"},
      {"noeviction", "0", "always", "appendonly"},
      {"noeviction", "1", "everysec", "appendfsync"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct greeting greeting = {.run = "r"};
    snprintf(greeting.eviction, sizeof greeting.eviction, "%s", rows[i].eviction);
    snprintf(greeting.aof, sizeof greeting.aof, "%s", rows[i].aof);
    snprintf(greeting.appendfsync, sizeof greeting.appendfsync, "%s", rows[i].appendfsync);
    assert_int_equal(greeting_judge(&greeting, false), rows[i].named == NULL ? OK : BAD_INPUT);
    assert_true(rows[i].named == NULL || strstr(fail_reason(), rows[i].named) != NULL);
    assert_int_equal(greeting_judge(&greeting, true), OK);
  }
  struct greeting greeting = {
      .run = "r", .eviction = "noeviction", .aof = "1", .skips_fsync = true};
  snprintf(greeting.appendfsync, sizeof greeting.appendfsync, "always");
  assert_int_equal(greeting_judge(&greeting, false), BAD_INPUT);
  assert_non_null(strstr(fail_reason(), "no-appendfsync-on-rewrite"));
  greeting = (struct greeting){0};
  redisReply *info = word(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\nmaxmemory_policy:noeviction\r\n"
      "aof_enabled:1\r\nloading:0\r\n");
  assert_int_equal(greeting_take(&greeting, info), OK);
  assert_string_equal(greeting.run, "abc");
  assert_string_equal(greeting.version, "7.0.15");
  assert_string_equal(greeting.eviction, "noeviction");
  greeting = (struct greeting){0};
  assert_int_equal(
      greeting_take(&greeting, word("redis_version:7.2.1\r\nloading:1\r\nrun_id:abc\r\n")),
      UNAVAILABLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_status, setup, teardown),
      cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
      cmocka_unit_test_setup_teardown(test_fleet, setup, teardown),
      cmocka_unit_test_setup_teardown(test_greeting, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
