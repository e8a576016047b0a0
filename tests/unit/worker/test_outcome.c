/* test_outcome.c - the ways a held job ends: what the engine is told, what the broker hears, and
 * what becomes of pictures in spool and store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "tests/unit/worker/played_job.h"

static const Darkroom__V1__AckResult taken = DARKROOM__V1__ACK_RESULT__ACK_OK;
static const Darkroom__V1__AckResult gone = DARKROOM__V1__ACK_RESULT__ACK_GONE;
static const Darkroom__V1__AckResult stale = DARKROOM__V1__ACK_RESULT__ACK_STALE;

/* A job of two pictures that runs in the engine, START acknowledged. */
static struct held *running(void) {
  welcome();
  struct held *held = assign("a", 5, 2);
  assert_string_equal(engine_order()->admit->job->id, "a");
  report_started("a", 5);
  hear(WIRE_START);
  acknowledge("a", 5, taken);
  return held;
}

/* The same, its pictures stored and COMPLETE said. */
static struct held *handed_in(void) {
  struct held *held = running();
  for (uint32_t i = 0; i < 2; i++) {
    report_pixels("a", 5, i, SIDE);
    picture_done();
  }
  report_finished("a", 5);
  const Darkroom__V1__Complete *complete = (const Darkroom__V1__Complete *)hear(WIRE_COMPLETE);
  assert_int_equal(complete->n_image, 2);
  assert_int_equal(complete->image[1]->seed, 101);
  uint64_t correlation = broker.message.correlation;
  done(MEDIA_SEAL);
  broker.message.correlation = correlation;
  return held;
}

static void assert_engine_stopped(void) {
  const Darkroom__Pipe__Order *order = engine_order();
  assert_non_null(order);
  assert_non_null(order->stop);
  assert_string_equal(order->stop->id, "a");
  assert_int_equal(order->stop->fence, 5);
}

/* Spool and store forget it: so many of its objects are removed. */
static void assert_dropped(uint32_t objects) {
  struct media_task *task = sent_take(MEDIA_DROP);
  assert_non_null(task);
  assert_string_equal(task->id, "a");
  assert_int_equal(task->fence, 5);
  assert_int_equal(task->image_count, objects);
  media_task_close(&task);
  assert_int_equal(held_count(&worker.held), 0);
}

/* ---- the engine ---- */

static void a_cancelled_job_leaves_its_engine(void **state) {
  (void)state;
  running();
  order("a", NULL);
  assert_engine_stopped();
  const Darkroom__V1__Fail *fail = (const Darkroom__V1__Fail *)played_hear(&broker, WIRE_FAIL);
  assert_int_equal(fail->kind, DARKROOM__V1__FAIL_KIND__FAIL_CANCELLED);
  order("a", NULL); /* said again by the next beat's answer */
  assert_null(engine_order());
}

static void a_job_that_is_another_ones_leaves_its_engine(void **state) {
  (void)state;
  running();
  order(NULL, "a");
  assert_engine_stopped();
  assert_int_equal(held_count(&worker.held), 0);
}

/* Two jobs of one id, of different tenants: what is ordered goes by the fence, what is said names
 * the tenant. */
static void a_job_of_the_same_id_is_another_tenants(void **state) {
  (void)state;
  static char acme[] = "acme", beta[] = "beta", *cancelled[] = {(char *)"a"};
  uint64_t fence = 6;
  welcome();
  assigned_tenant = acme;
  assign("a", 5, 1);
  assigned_tenant = beta;
  assign("a", 6, 1);
  assigned_tenant = NULL;
  assert_int_equal(held_count(&worker.held), 2);
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  orders.n_cancel = orders.n_cancel_fence = 1;
  orders.cancel = cancelled;
  orders.cancel_fence = &fence;
  played_say(&broker, WIRE_ORDERS, broker.message.correlation, &orders.base);
  hear_out();
  const Darkroom__V1__Fail *fail = (const Darkroom__V1__Fail *)hear(WIRE_FAIL);
  assert_int_equal(fail->fence, 6);
  assert_string_equal(fail->tenant, "beta");
}

static void a_newer_attempt_takes_the_older_ones_place(void **state) {
  (void)state;
  running();
  assign("a", 6, 2);
  assert_engine_stopped();
  assert_int_equal(engine_order()->admit->fence, 6);
  assert_null(held_find(&worker.held, "a", 5));
}

static void an_assignment_that_is_said_twice_is_one(void **state) {
  (void)state;
  running();
  assign("a", 5, 2);
  assert_null(engine_order());
  assert_int_equal(held_count(&worker.held), 1);
}

static void a_job_that_is_through_is_not_stopped(void **state) {
  (void)state;
  handed_in();
  acknowledge("a", 5, taken);
  assert_null(engine_order());
}

/* ---- pictures ---- */

static void a_completed_job_keeps_its_pictures(void **state) {
  (void)state;
  handed_in();
  acknowledge("a", 5, taken);
  assert_dropped(0);
}

/* START was slow to be acknowledged: the job is being handed in by now. */
static void a_late_ack_of_start_takes_nothing_in(void **state) {
  (void)state;
  welcome();
  assign("a", 5, 1);
  report_started("a", 5);
  hear(WIRE_START);
  uint64_t start = broker.message.correlation;
  report_pixels("a", 5, 0, SIDE);
  report_finished("a", 5);
  picture_done();
  hear(WIRE_COMPLETE);
  uint64_t complete = broker.message.correlation;
  done(MEDIA_SEAL);
  broker.message.correlation = start;
  acknowledge("a", 5, taken);
  assert_int_equal(held_count(&worker.held), 1);
  broker.message.correlation = complete;
  acknowledge("a", 5, taken);
  assert_dropped(0);
}

/* The ACK of a COMPLETE was lost, and the record has been forgotten since: they may be published.
 */
static void nobody_knows_how_it_ended_so_its_pictures_stay(void **state) {
  (void)state;
  handed_in();
  acknowledge("a", 5, gone);
  assert_dropped(0);
}

static void a_loser_takes_its_pictures_along(void **state) {
  (void)state;
  handed_in();
  acknowledge("a", 5, stale);
  assert_dropped(2);
}

static void orders_do_not_end_what_has_been_handed_in(void **state) {
  (void)state;
  handed_in();
  uint64_t correlation = broker.message.correlation;
  order(NULL, "a"); /* the beat's answer, older than the COMPLETE */
  assert_null(sent_take(MEDIA_DROP));
  broker.message.correlation = correlation;
  acknowledge("a", 5, taken);
  assert_dropped(0);
}

static void a_cancelled_job_takes_its_pictures_along(void **state) {
  (void)state;
  running();
  report_pixels("a", 5, 0, SIDE);
  done(MEDIA_FINISH);
  order("a", NULL);
  played_hear(&broker, WIRE_FAIL);
  acknowledge("a", 5, DARKROOM__V1__ACK_RESULT__ACK_CANCELLED);
  assert_dropped(2);
}

static void a_closed_generation_keeps_what_may_be_published(void **state) {
  (void)state;
  handed_in();
  Darkroom__V1__Orders orders = DARKROOM__V1__ORDERS__INIT;
  orders.has_hello_again = orders.hello_again = 1;
  played_say(&broker, WIRE_ORDERS, 0, &orders.base);
  hear_out();
  assert_dropped(0);
}

/* ---- leaving while a picture is out ---- */

static void a_row_waits_for_its_tasks(void **state) {
  (void)state;
  running();
  report_pixels("a", 5, 0, SIDE);
  order(NULL, "a");
  assert_int_equal(held_count(&worker.held), 1);
  assert_null(sent_take(MEDIA_DROP)); /* or the picture would be put down behind it */
  done(MEDIA_FINISH);
  assert_dropped(2);
}

/* ---- crashes ---- */

static void a_death_while_it_ran_alone_is_told(void **state) {
  (void)state;
  running();
  reports_child_ended(&worker, 0);
  const Darkroom__V1__Fail *fail = (const Darkroom__V1__Fail *)hear(WIRE_FAIL);
  assert_string_equal(fail->id, "a");
  assert_int_equal(fail->kind, DARKROOM__V1__FAIL_KIND__FAIL_CRASH);
}

static void a_death_before_it_began_may_be_its_doing_too(void **state) {
  (void)state;
  welcome();
  assign("b", 9, 1);
  reports_child_ended(&worker, 0);
  const Darkroom__V1__Fail *said = (const Darkroom__V1__Fail *)hear(WIRE_FAIL);
  assert_string_equal(said->id, "b"); /* it was inside: its prompt was read, its memory taken */
  assert_int_equal(said->kind, DARKROOM__V1__FAIL_KIND__FAIL_CRASH);
}

static void a_death_after_the_last_picture_harms_nothing(void **state) {
  (void)state;
  struct held *held = running();
  report_pixels("a", 5, 0, SIDE);
  report_pixels("a", 5, 1, SIDE);
  reports_child_ended(&worker, 0);
  assert_int_equal(held->state, HELD_STORING);
  picture_done();
  picture_done();
  hear(WIRE_COMPLETE);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_cancelled_job_leaves_its_engine),
      TEST(a_job_that_is_another_ones_leaves_its_engine),
      TEST(a_job_of_the_same_id_is_another_tenants),
      TEST(a_newer_attempt_takes_the_older_ones_place),
      TEST(an_assignment_that_is_said_twice_is_one),
      TEST(a_job_that_is_through_is_not_stopped),
      TEST(a_completed_job_keeps_its_pictures),
      TEST(a_late_ack_of_start_takes_nothing_in),
      TEST(nobody_knows_how_it_ended_so_its_pictures_stay),
      TEST(a_loser_takes_its_pictures_along),
      TEST(orders_do_not_end_what_has_been_handed_in),
      TEST(a_cancelled_job_takes_its_pictures_along),
      TEST(a_closed_generation_keeps_what_may_be_published),
      TEST(a_row_waits_for_its_tasks),
      TEST(a_death_while_it_ran_alone_is_told),
      TEST(a_death_before_it_began_may_be_its_doing_too),
      TEST(a_death_after_the_last_picture_harms_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
