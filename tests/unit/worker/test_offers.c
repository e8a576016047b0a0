/* test_offers.c - what a worker says to its broker, and what it makes of the answers: a played
 * broker on one side, a played engine on the other, a clock that the test moves between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "tests/unit/worker/played_worker.h"
#include "worker/device_report.h"

enum { ANSWER_MS = 2000 }; /* as in offer.c: an offer is said again after it */

/* ---- a turn ---------------------------------------------------------------------------------- */

/* The CLAIM that comes next: jobs of its only credit. */
static uint32_t hear_claim(uint64_t *correlation) {
  const Darkroom__V1__Claim *claim = (const Darkroom__V1__Claim *)played_hear(&broker, WIRE_CLAIM);
  assert_int_equal(claim->generation, GENERATION);
  assert_int_equal(claim->n_credit, 1);
  assert_string_equal(claim->credit[0]->model, "m");
  assert_int_equal(claim->credit[0]->max_side, 256);
  *correlation = broker.message.correlation;
  assert_true(claim->has_jobs);
  assert_int_equal(claim->jobs, claim->credit[0]->jobs);
  return claim->jobs;
}

/* From HELLO to the first CLAIM, whose number it gives. */
static uint64_t greet(void) {
  Darkroom__V1__Welcome welcome = DARKROOM__V1__WELCOME__INIT;
  uint64_t claimed = 0;
  say_all();
  played_hear(&broker, WIRE_HELLO);
  welcome.has_generation = 1;
  welcome.generation = GENERATION;
  played_say(&broker, WIRE_WELCOME, broker.message.correlation, &welcome.base);
  hear_out();
  assert_int_equal(hear_claim(&claimed), SLOTS);
  worker.devices_said = device_report_key(&worker); /* as if a BEAT had told of them */
  worker.devices_said_ms = INT64_MAX / 2;
  return claimed;
}

static void assign(const char *id, uint64_t fence, uint32_t images, uint64_t claimed) {
  Darkroom__V1__Job job = DARKROOM__V1__JOB__INIT;
  Darkroom__V1__Assign message = DARKROOM__V1__ASSIGN__INIT;
  job.id = (char *)id;
  job.model = (char *)"m";
  job.has_images = job.has_steps = 1;
  job.images = images;
  job.steps = 10;
  message.job = &job;
  message.has_fence = 1;
  message.fence = fence;
  played_say(&broker, WIRE_ASSIGN, claimed, &message.base);
}

static void acknowledge(const char *id, uint64_t fence, Darkroom__V1__AckResult result) {
  Darkroom__V1__Ack ack = DARKROOM__V1__ACK__INIT;
  ack.id = (char *)id;
  ack.has_fence = ack.has_result = 1;
  ack.fence = fence;
  ack.result = result;
  played_say(&broker, WIRE_ACK, broker.message.correlation, &ack.base);
}

static void refuse_it(uint64_t correlation, Darkroom__V1__ErrorCode code, uint64_t retry_ms) {
  Darkroom__V1__Error error = DARKROOM__V1__ERROR__INIT;
  error.has_code = error.has_retry_after_ms = 1;
  error.code = code;
  error.retry_after_ms = retry_ms;
  played_say(&broker, WIRE_ERROR, correlation, &error.base);
}

/* What the engine would report through reports.c. */
static struct held *start_job(const char *id, uint64_t fence) {
  struct held *held = held_find(&worker.held, id, fence);
  assert_non_null(held);
  held->state = HELD_RUNNING;
  offer_open(&held->offer, WIRE_START);
  return held;
}

/* ---- HELLO, CLAIM ---------------------------------------------------------------------------- */

static void hello_says_what_there_is_until_it_is_welcomed(void **state) {
  (void)state;
  worker.children.child[0].state = CHILD_LOADING;
  say_all();
  played_hear_nothing(&broker);
  worker.children.child[0].state = CHILD_READY;
  for (int said = 0; said < 2; said++) {
    say_all();
    const Darkroom__V1__Hello *hello =
        (const Darkroom__V1__Hello *)played_hear(&broker, WIRE_HELLO);
    assert_string_equal(hello->worker, "w1");
    assert_int_equal(hello->slots, SLOTS);
    assert_int_equal(hello->n_device, 1);
    assert_string_equal(hello->model[0]->id, "m");
    assert_string_equal(hello->model[0]->sha256, "hash");
    clock_move(ANSWER_MS);
  }
  Darkroom__V1__Welcome late = DARKROOM__V1__WELCOME__INIT;
  late.has_generation = 1;
  late.generation = 6;
  played_say(&broker, WIRE_WELCOME, broker.message.correlation - 1, &late.base);
  assert_true(played_wait(worker.link.dealer.socket, PLAYED_WAIT_MS));
  assert_int_equal(orders_take_all(&worker), OK);
  assert_int_equal(worker.generation, 0); /* of the first HELLO: the second has closed it */
}

static void credits_are_said_when_they_change(void **state) {
  (void)state;
  uint64_t claimed = greet();
  say_all();
  played_hear_nothing(&broker);
  assign("a", 1, 2, claimed); /* two images: two slots for one credit */
  hear_out();
  assert_int_equal(hear_claim(&claimed), SLOTS - 2);
  worker.store.refused = true;
  say_all();
  assert_int_equal(hear_claim(&claimed), 0);
  worker.store.refused = false;
  say_all();
  assert_int_equal(hear_claim(&claimed), SLOTS - 2);
  assert_int_equal(claimed, worker.claim_correlation);
}

/* The next BEAT tells of devices, or does not. */
static bool hear_devices(void) {
  say_all();
  const Darkroom__V1__Beat *beat = (const Darkroom__V1__Beat *)played_hear(&broker, WIRE_BEAT);
  if (beat->devices == NULL) {
    return false;
  }
  assert_int_equal(beat->devices->n_device, 1);
  assert_string_equal(beat->devices->device[0]->name, "cpu");
  return true;
}

static void devices_are_told_when_they_change_and_now_and_then(void **state) {
  (void)state;
  greet();
  worker.claim_due_ms = INT64_MAX;
  worker.devices_said = 0; /* a generation begins without them */
  worker.devices_said_ms = 0;
  clock_move(PROGRESS_MS); /* soon: it is news */
  assert_true(hear_devices());
  clock_move(BEAT_MS - 1);
  say_all();
  played_hear_nothing(&broker);
  cordon_xid(&worker.hardware.cordon[0], 79, clock_ms());
  assert_true(hear_devices());
  worker.store.away = true; /* other news, before it is time again */
  snprintf(worker.store.words, sizeof worker.store.words, "away");
  clock_move(PROGRESS_MS);
  assert_false(hear_devices());
  clock_move(BEAT_MS);
  assert_true(hear_devices());
  offers_restart(&worker); /* at another broker */
  assert_true(hear_devices());
}

static void a_push_under_an_older_claim_is_put_right(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 1, 1, claimed - 1);
  hear_out();
  assert_int_equal(hear_claim(&claimed), SLOTS - 1); /* although the broker could count that down */
}

static void a_refused_claim_is_not_said_again_at_once(void **state) {
  (void)state;
  uint64_t claimed = greet();
  refuse_it(claimed, DARKROOM__V1__ERROR_CODE__ERROR_EXHAUSTED, 1000);
  hear_out();
  played_hear_nothing(&broker);
  assert_true(offers_due_ms(&worker, clock_ms()) <= worker.claim_due_ms);
  clock_move(worker.claim_due_ms - clock_ms());
  say_all();
  assert_int_equal(hear_claim(&claimed), SLOTS);
}

static void a_closed_generation_lets_go_of_everything(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 1, 1, claimed);
  hear_out();
  refuse_it(claimed, DARKROOM__V1__ERROR_CODE__ERROR_STALE, 0);
  assert_true(played_wait(worker.link.dealer.socket, PLAYED_WAIT_MS));
  assert_int_equal(orders_take_all(&worker), OK);
  assert_int_equal(held_count(&worker.held), 0);
  assert_int_equal(worker.generation, 0);
}

/* ---- ASSIGN ---------------------------------------------------------------------------------- */

static void an_assignment_reaches_the_engine_and_a_beat_names_it_soon(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 5, 1, claimed);
  hear_out();
  ProtobufCMessage *message = NULL;
  assert_int_equal(pipe_receive(&engine), OK);
  assert_int_equal(pipe_take(&engine, &darkroom__pipe__order__descriptor, broker.arena, &message),
                   OK);
  assert_string_equal(((const Darkroom__Pipe__Order *)message)->admit->job->id, "a");
  clock_move(PROGRESS_MS); /* long before the BEAT that would be due anyway */
  say_all();
  const Darkroom__V1__Beat *beat = (const Darkroom__V1__Beat *)played_hear(&broker, WIRE_BEAT);
  assert_int_equal(beat->n_progress, 1);
  assert_string_equal(beat->progress[0]->id, "a");
  assert_int_equal(beat->progress[0]->fence, 5);
  assert_false(beat->draining);
  clock_move(PROGRESS_MS);
  say_all();
  played_hear_nothing(&broker); /* no news */
}

static void a_full_table_hands_back_at_once(void **state) {
  (void)state;
  uint64_t claimed = greet();
  char id[16];
  for (int i = 0; i < HELD_MAX; i++) {
    snprintf(id, sizeof id, "j%d", i);
    assign(id, (uint64_t)i + 1, 1, claimed);
    assert_true(played_wait(worker.link.dealer.socket, PLAYED_WAIT_MS));
    assert_int_equal(orders_take_all(&worker), OK);
  }
  assert_int_equal(held_count(&worker.held), HELD_MAX);
  assign("one-more", 1000, 1, claimed);
  assert_true(played_wait(worker.link.dealer.socket, PLAYED_WAIT_MS));
  assert_int_equal(orders_take_all(&worker), OK);
  assert_int_equal(hear_claim(&claimed), 0); /* first: or it would come straight back */
  const Darkroom__V1__Release *release =
      (const Darkroom__V1__Release *)played_hear(&broker, WIRE_RELEASE);
  assert_string_equal(release->worker, "w1");
  assert_string_equal(release->id, "one-more");
  assert_int_equal(release->fence, 1000);
  assert_int_equal(release->generation, GENERATION);
  acknowledge("one-more", 1000, DARKROOM__V1__ACK_RESULT__ACK_OK);
  hear_out();
  assert_int_equal(held_count(&worker.held), HELD_MAX);
}

static void what_cannot_be_read_is_not_handed_back(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("odd", 1, JOB_IMAGES_MAX + 1, claimed);
  hear_out();
  assert_int_equal(held_count(&worker.held), 0);
  played_hear_nothing(&broker);
}

/* ---- START and the other offers -------------------------------------------------------------- */

static void an_offer_is_repeated_until_it_is_acknowledged(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 5, 1, claimed);
  hear_out();
  struct held *held = start_job("a", 5);
  for (int said = 0; said < 3; said++) {
    say_all();
    const Darkroom__V1__Start *start =
        (const Darkroom__V1__Start *)played_hear(&broker, WIRE_START);
    assert_string_equal(start->id, "a");
    assert_int_equal(start->fence, 5);
    assert_true(offers_due_ms(&worker, clock_ms()) <= clock_ms() + ANSWER_MS);
    if (said == 0) { /* not now: as late as it says */
      refuse_it(broker.message.correlation, DARKROOM__V1__ERROR_CODE__ERROR_UNAVAILABLE, 1000);
      hear_out();
      assert_in_range(held->offer.due_ms, clock_ms() + 500, clock_ms() + 1000);
    }
    worker.last_beat_ms = clock_ms() + ANSWER_MS; /* no beats between */
    clock_move(ANSWER_MS);
    held->news = false;
  }
  acknowledge("a", 5, DARKROOM__V1__ACK_RESULT__ACK_ALREADY);
  hear_out();
  assert_int_equal(held->offer.verb, 0);
  assert_int_equal(held->state, HELD_RUNNING);
}

static void a_stale_answer_ends_the_job(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 5, 1, claimed);
  hear_out();
  start_job("a", 5);
  say_all();
  played_hear(&broker, WIRE_START);
  acknowledge("a", 4, DARKROOM__V1__ACK_RESULT__ACK_STALE); /* of another attempt */
  hear_out();
  assert_int_equal(held_count(&worker.held), 1);
  acknowledge("a", 5, DARKROOM__V1__ACK_RESULT__ACK_STALE);
  hear_out();
  assert_int_equal(held_count(&worker.held), 0);
}

static void everything_is_said_again_to_another_broker(void **state) {
  (void)state;
  uint64_t claimed = greet();
  assign("a", 5, 1, claimed);
  hear_out();
  start_job("a", 5);
  say_all();
  played_hear(&broker, WIRE_START);
  offers_restart(&worker);
  say_all();
  played_hear(&broker, WIRE_BEAT);
  played_hear(&broker, WIRE_START);
  assert_int_equal(hear_claim(&claimed), SLOTS - 1);
}

/* ---- draining -------------------------------------------------------------------------------- */

static void a_draining_worker_says_so_and_takes_nothing(void **state) {
  (void)state;
  uint64_t claimed = greet();
  worker.draining = true;
  worker.last_beat_ms = 0; /* as drain() in turn.c does */
  say_all();
  assert_true(((const Darkroom__V1__Beat *)played_hear(&broker, WIRE_BEAT))->draining);
  assert_int_equal(hear_claim(&claimed), 0);
  assign("late", 1, 1, claimed);
  hear_out();
  const Darkroom__V1__Release *release =
      (const Darkroom__V1__Release *)played_hear(&broker, WIRE_RELEASE);
  assert_string_equal(release->id, "late");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(hello_says_what_there_is_until_it_is_welcomed),
      TEST(credits_are_said_when_they_change),
      TEST(devices_are_told_when_they_change_and_now_and_then),
      TEST(a_push_under_an_older_claim_is_put_right),
      TEST(a_refused_claim_is_not_said_again_at_once),
      TEST(a_closed_generation_lets_go_of_everything),
      TEST(an_assignment_reaches_the_engine_and_a_beat_names_it_soon),
      TEST(a_full_table_hands_back_at_once),
      TEST(what_cannot_be_read_is_not_handed_back),
      TEST(an_offer_is_repeated_until_it_is_acknowledged),
      TEST(a_stale_answer_ends_the_job),
      TEST(everything_is_said_again_to_another_broker),
      TEST(a_draining_worker_says_so_and_takes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
