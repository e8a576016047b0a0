/* test_engine_main.c - the child process over a real socket pair, with the made-up model inside. */
#include "worker/engine/engine_main.h"

#include "monitoring/log.h"
#include "tests/unit/engine/book.h"
#include "tests/unit/engine/fake_model.h"
#include "worker/engine/pipe.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/engine/pipe.pb-c.h"

struct fixture {
  pid_t pid;
  struct pipe pipe;
  struct arena *arena;
};

static const struct engine_model models[] = {
    {.id = "fake", .sha256 = "abc", .source.folder = "fake"}};
static const struct engine_model broken[] = {{.id = "fake", .source.folder = "broken"}};

static void start(struct fixture *fixture, const struct engine_main_settings *settings) {
  int pair[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  fixture->pid = fork();
  if (fixture->pid == 0) {
    close(pair[0]);
    log_open("engine", LOG_LOGFMT, LOG_ERROR);
    _exit(engine_main(pair[1], settings));
  }
  close(pair[1]);
  assert_int_equal(pipe_open(&fixture->pipe, pair[0]), OK);
  assert_int_equal(arena_open(NULL, PIPE_UNPACK_BYTES_MAX, &fixture->arena), OK);
}

static int setup(void **state) {
  static struct fixture fixture;
  fixture = (struct fixture){0};
  fake = (struct fake){.predict_bytes_of_row = 64};
  *state = &fixture;
  return 0;
}

static int exit_of(struct fixture *fixture) {
  int status = 0;
  assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
  fixture->pid = 0;
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int teardown(void **state) {
  struct fixture *fixture = *state;
  pipe_close(&fixture->pipe);
  if (fixture->pid != 0) {
    exit_of(fixture); /* it leaves when its parent's end is closed */
  }
  arena_close(&fixture->arena);
  return 0;
}

/* The next report; NULL at the end of the stream. */
static const Darkroom__Pipe__Report *next(struct fixture *fixture) {
  for (;;) {
    ProtobufCMessage *message = NULL;
    arena_drop(fixture->arena);
    assert_int_equal(
        pipe_take(&fixture->pipe, &darkroom__pipe__report__descriptor, fixture->arena, &message),
        OK);
    if (message != NULL || fixture->pipe.ended) {
      return (const Darkroom__Pipe__Report *)message;
    }
    struct pollfd poller = {.fd = fixture->pipe.fd, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 20000), 1);
    assert_int_equal(pipe_receive(&fixture->pipe), OK);
  }
}

static void send_admit(struct fixture *fixture, Darkroom__V1__Job *job) {
  Darkroom__Pipe__Admit admit = DARKROOM__PIPE__ADMIT__INIT;
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  admit.job = job;
  admit.has_fence = 1;
  admit.fence = 3;
  order.admit = &admit;
  assert_int_equal(pipe_send(&fixture->pipe, &order.base), OK);
}
static void send_stop(struct fixture *fixture, const char *id) {
  Darkroom__Pipe__Stop stop = DARKROOM__PIPE__STOP__INIT;
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  stop.id = (char *)id;
  stop.has_fence = 1;
  stop.fence = 3;
  order.stop = &stop;
  assert_int_equal(pipe_send(&fixture->pipe, &order.base), OK);
}
static void send_finish(struct fixture *fixture) {
  Darkroom__Pipe__Order order = DARKROOM__PIPE__ORDER__INIT;
  order.has_finish = order.finish = 1;
  assert_int_equal(pipe_send(&fixture->pipe, &order.base), OK);
}

/* What the child tells until it leaves. */
struct tale {
  int started, steps, pixels, finished, failed, turns;
};
static struct tale hear_out(struct fixture *fixture) {
  struct tale tale = {0};
  for (const Darkroom__Pipe__Report *r = next(fixture); r != NULL; r = next(fixture)) {
    tale.started += r->started != NULL;
    tale.steps += r->step != NULL;
    tale.finished += r->finished != NULL && r->finished->timings->denoise_steps > 0;
    tale.failed += r->failed != NULL;
    tale.turns += r->turn != NULL;
    tale.pixels +=
        r->pixels != NULL && r->pixels->rgb.len == (size_t)r->pixels->width * r->pixels->height * 3;
  }
  return tale;
}

static void ready_tells_what_it_can_do(void **state) {
  struct fixture *fixture = *state;
  start(fixture,
        &(struct engine_main_settings){
            .device = "ref", .models = models, .model_count = 1, .slots = 5, .max_side = 512});
  const Darkroom__Pipe__Report *report = next(fixture);
  assert_non_null(report->ready);
  assert_string_equal(report->ready->device, "ref");
  assert_int_equal(report->ready->slots, 5);
  assert_int_equal(report->ready->n_model, 1);
  assert_string_equal(report->ready->model[0]->id, "fake");
  assert_string_equal(report->ready->model[0]->sha256, "abc");
  assert_string_equal(report->ready->model[0]->family, "sd1");
  assert_int_equal(report->ready->model[0]->default_side, 64);
  assert_int_equal(report->ready->model[0]->max_side, 512);
  send_finish(fixture);
  assert_null(next(fixture));
  assert_int_equal(exit_of(fixture), EXIT_CODE_OK);
}

/* More jobs than slots: those without a slot wait inside and all come out before it leaves. */
static void jobs_run_to_their_end_before_it_leaves(void **state) {
  struct fixture *fixture = *state;
  start(fixture, &(struct engine_main_settings){
                     .device = "ref", .models = models, .model_count = 1, .slots = 2});
  assert_non_null(next(fixture)->ready);
  for (int k = 0; k < 9; k++) {
    char id[32];
    snprintf(id, sizeof id, "job-%d", k);
    Darkroom__V1__Job job = job_of(id, "a lake", (uint64_t)k);
    send_admit(fixture, &job);
  }
  Darkroom__V1__Job wrong = job_of("wrong", "a lake", 1);
  wrong.model = (char *)"no such";
  send_admit(fixture, &wrong);
  send_finish(fixture);
  struct tale tale = hear_out(fixture);
  assert_int_equal(tale.started, 9);
  assert_int_equal(tale.pixels, 9);
  assert_int_equal(tale.finished, 9);
  assert_int_equal(tale.steps, 36);
  assert_int_equal(tale.failed, 1);
  assert_int_equal(exit_of(fixture), EXIT_CODE_OK);
}

/* A job whose model is away waits and is overtaken; those that nobody waits for do not come. */
static void a_model_comes_when_a_job_asks(void **state) {
  struct fixture *fixture = *state;
  static const struct engine_model two[] = {
      {.id = "fake", .source.folder = "fake"},
      {.id = "away", .source.folder = "away", .on_demand = true},
      {.id = "wrong", .source.folder = "late-wrong", .on_demand = true}};
  start(fixture, &(struct engine_main_settings){
                     .device = "ref", .models = two, .model_count = 3, .slots = 4});
  Darkroom__V1__Job waits = job_of("waits", "a lake", 1), runs = job_of("runs", "a lake", 2),
                    fails = job_of("fails", "a lake", 3);
  waits.model = (char *)"away";
  fails.model = (char *)"wrong";
  send_admit(fixture, &waits); /* all of them are there before it looks */
  send_admit(fixture, &fails);
  send_admit(fixture, &runs);
  send_finish(fixture);
  const Darkroom__Pipe__Report *r = next(fixture);
  assert_int_equal(r->ready->home, 1);
  char order[64] = "";
  int came = 0, went_wrong = 0;
  for (r = next(fixture); r != NULL; r = next(fixture)) {
    const char *id = r->started != NULL ? r->started->id : r->failed != NULL ? r->failed->id : "";
    strncat(order, id, sizeof order - strlen(order) - 1);
    came += r->move != NULL && r->move->came && r->move->home == 2;
    went_wrong += r->move != NULL && r->move->failed;
  }
  assert_string_equal(order, "runswaitsfails");
  assert_int_equal(came, 1);
  assert_int_equal(went_wrong, 1);
  assert_int_equal(exit_of(fixture), EXIT_CODE_OK);
}

static void stopped_jobs_say_nothing_more(void **state) {
  struct fixture *fixture = *state;
  start(fixture, &(struct engine_main_settings){
                     .device = "ref", .models = models, .model_count = 1, .slots = 1});
  assert_non_null(next(fixture)->ready);
  Darkroom__V1__Job runs = job_of("runs", "a lake", 1), waits = job_of("waits", "a lake", 2),
                    last = job_of("last", "a lake", 3);
  runs.steps = waits.steps = 1000; /* never to their end */
  runs.width = runs.height = 512;
  send_admit(fixture, &runs);
  send_admit(fixture, &waits);
  while (next(fixture)->step == NULL) {
  }
  send_stop(fixture, "waits");
  send_stop(fixture, "runs");
  send_admit(fixture, &last);
  send_finish(fixture);
  struct tale tale = hear_out(fixture);
  assert_int_equal(tale.finished, 1);
  assert_int_equal(tale.pixels, 1);
  assert_int_equal(tale.failed, 0);
}

static void it_leaves_when_the_parent_is_gone(void **state) {
  struct fixture *fixture = *state;
  start(fixture,
        &(struct engine_main_settings){.device = "ref", .models = models, .model_count = 1});
  assert_non_null(next(fixture)->ready);
  Darkroom__V1__Job job = job_of("runs", "a lake", 1);
  job.steps = 1000;
  job.width = job.height = 512;
  send_admit(fixture, &job);
  assert_non_null(next(fixture)->started);
  pipe_close(&fixture->pipe);
  assert_int_equal(exit_of(fixture), EXIT_CODE_OK);
}

static void exit_codes_tell_the_parent_what_to_do(void **state) {
  struct fixture *fixture = *state;
  start(fixture,
        &(struct engine_main_settings){.device = "ref", .models = broken, .model_count = 1});
  const Darkroom__Pipe__Report *report = next(fixture);
  assert_non_null(report);
  assert_null(report->ready);
  assert_string_not_equal(report->leaving->reason, "");
  assert_null(next(fixture));
  assert_int_equal(exit_of(fixture), EXIT_CODE_REFUSED);
  teardown(state);
  start(fixture,
        &(struct engine_main_settings){.device = "nosuch", .models = models, .model_count = 1});
  assert_int_equal(exit_of(fixture), EXIT_CODE_REFUSED);
  teardown(state);
  fake.restless = true;
  start(fixture,
        &(struct engine_main_settings){.device = "ref", .models = models, .model_count = 1});
  assert_int_equal(exit_of(fixture), EXIT_CODE_INTERNAL);
  teardown(state);
  fake.restless = false;
  start(fixture,
        &(struct engine_main_settings){.device = "ref", .models = models, .model_count = 1});
  assert_non_null(next(fixture)->ready);
  assert_int_equal(send(fixture->pipe.fd, "\x04\0\0\0\xff\xff\xff\xff", 8, 0), 8); /* nonsense */
  assert_int_equal(exit_of(fixture), EXIT_CODE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(ready_tells_what_it_can_do),        TEST(jobs_run_to_their_end_before_it_leaves),
      TEST(a_model_comes_when_a_job_asks),     TEST(stopped_jobs_say_nothing_more),
      TEST(it_leaves_when_the_parent_is_gone), TEST(exit_codes_tell_the_parent_what_to_do),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
