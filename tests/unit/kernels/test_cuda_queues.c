/* test_cuda_queues.c - queues beside one another, events between them, and sequences kept as graphs
 * that give the bits of the ops alone. */
#include "tests/unit/kernels/cuda_device.h"

#include "kernels/queue.h"

enum {
  HEIGHT = 6,
  WIDTH = 5,
  CHANNELS = 4,
  VALUES = HEIGHT * WIDTH * CHANNELS,
  ROWS = 3,
  TURNS = 12
};

/* A picture of rows that are gathered, doubled, and come back: what a turn does, in small. */
struct turn {
  struct device *device;
  struct arena *arena;
  struct tensor latents, table, gathered, doubled;
  float *received; /* pinned */
  size_t bytes;    /* of it */
  int calls;       /* of queue_turn */
  int fails_at;    /* the call that fails, 0 for none */
};

static void open_turn(struct device *device, struct turn *turn) {
  *turn = (struct turn){.device = device};
  MUST(device_arena(device, 16 << 20, &turn->arena));
  MUST(tensor_take(turn->arena, ELEMENT_F32, TENSOR_SHAPE(ROWS, HEIGHT, WIDTH, CHANNELS),
                   &turn->latents));
  MUST(tensor_take(turn->arena, ELEMENT_U8, TENSOR_SHAPE(sizeof(struct batch_row) * ROWS),
                   &turn->table));
  MUST(tensor_take(turn->arena, device_element(device), TENSOR_SHAPE(ROWS, HEIGHT, WIDTH, CHANNELS),
                   &turn->gathered));
  MUST(tensor_take(turn->arena, device_element(device),
                   TENSOR_SHAPE(ROWS, 2 * HEIGHT, 2 * WIDTH, CHANNELS), &turn->doubled));
  turn->bytes = tensor_bytes(&turn->doubled);
  void *block = NULL;
  MUST(device_pin(device, turn->bytes, &block));
  turn->received = block;
}

static void close_turn(struct turn *turn) {
  void *block = turn->received;
  device_unpin(turn->device, &block, turn->bytes);
  arena_close(&turn->arena);
}

/* What the host tells of turn `number`. */
static void put_turn(struct turn *turn, int number) {
  float values[ROWS * VALUES];
  struct batch_row rows[ROWS] = {{0}};
  for (int i = 0; i < ROWS * VALUES; i++) {
    values[i] = (float)((i * 7 + number * 31) % 64 - 32);
  }
  for (int b = 0; b < ROWS; b++) { /* another order and scale in every turn */
    rows[b].latents = (const float *)turn->latents.data + (b + number) % ROWS * VALUES;
    rows[b].scale = (float)(1 + (b + number) % 4);
  }
  MUST(device_put(turn->device, values, sizeof values, &turn->latents));
  MUST(device_put(turn->device, rows, sizeof rows, &turn->table));
  memset(values, 0, sizeof values);
  memset(rows, 0, sizeof rows);
}

static enum status queue_turn(void *context) {
  struct turn *turn = context;
  if (++turn->calls == turn->fails_at) {
    return fail(UNAVAILABLE, "this call is to fail");
  }
  TRY(op_gather(turn->device, turn->table.data, CHANNELS, &turn->gathered));
  return op_upsample(turn->device, &turn->gathered, &turn->doubled);
}

static float wanted_value(int number, int64_t place) {
  int channel = (int)(place % CHANNELS), x = (int)(place / CHANNELS % (2 * WIDTH)) / 2;
  int y = (int)(place / CHANNELS / (2 * WIDTH) % (2 * HEIGHT)) / 2;
  int b = (int)(place / CHANNELS / (2 * WIDTH) / (2 * HEIGHT));
  int from = (b + number) % ROWS * VALUES + (y * WIDTH + x) * CHANNELS + channel;
  return (float)((from * 7 + number * 31) % 64 - 32) * (float)(1 + (b + number) % 4);
}

static void check_turn(const struct turn *turn, int number) {
  int64_t count = tensor_count(&turn->doubled);
  float got[4 * ROWS * VALUES];
  assert_int_equal(count, sizeof got / sizeof *got);
  elements_to_f32(turn->doubled.element, turn->received, count, got);
  for (int64_t i = 0; i < count; i++) {
    if (got[i] != wanted_value(number, i)) {
      WRONG("turn %d, value %d: %g instead of %g", number, (int)i, got[i], wanted_value(number, i));
    }
  }
}

/* ---- events ---- */

static void test_an_event_never_recorded_has_passed(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct event *event = NULL;
  bool passed = false;
  MUST(event_open(device, &event));
  MUST(event_poll(event, &passed));
  assert_true(passed);
  MUST(event_wait(event));
  MUST(event_follow(event));
  event_close(&event);
  assert_null(event);
  device_close(&device);
}

static void follow(struct device *device, struct event *event, enum queue from, enum queue to) {
  device_use(device, from);
  MUST(event_record(event));
  device_use(device, to);
  MUST(event_follow(event));
}

/* Copies put, steps gather, decodes fetch, and copies may put again only when all that has run:
 * nothing holds the order but the events. */
static void test_queues_follow_one_another(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct event *put = NULL, *queued = NULL, *received = NULL;
  struct turn turn;
  assert_true(device_has_queues(device));
  open_turn(device, &turn);
  MUST(event_open(device, &put));
  MUST(event_open(device, &queued));
  MUST(event_open(device, &received));
  for (int number = 0; number < TURNS; number++) {
    device_use(device, QUEUE_COPIES);
    put_turn(&turn, number);
    follow(device, put, QUEUE_COPIES, QUEUE_STEPS);
    MUST(queue_turn(&turn));
    follow(device, queued, QUEUE_STEPS, QUEUE_DECODES);
    MUST(device_receive(device, &turn.doubled, turn.received, turn.bytes));
    follow(device, received, QUEUE_DECODES, QUEUE_COPIES);
    bool passed = false;
    while (number % 2 == 0 && !passed) {
      MUST(event_poll(received, &passed));
    }
    MUST(event_wait(received));
    check_turn(&turn, number);
  }
  event_close(&put);
  event_close(&queued);
  event_close(&received);
  close_turn(&turn);
  device_close(&device);
}

/* ---- sequences ---- */

static void run_turn(struct turn *turn, const struct sequence *sequence, int number) {
  put_turn(turn, number);
  MUST(device_sequence(turn->device, sequence));
  MUST(device_receive(turn->device, &turn->doubled, turn->received, turn->bytes));
  MUST(device_wait(turn->device));
  check_turn(turn, number);
}

static void test_a_graph_gives_the_bits_of_its_ops(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct turn turn;
  assert_true(device_keeps_sequences(device));
  open_turn(device, &turn);
  const struct sequence sequence = {{1, 2, 3, 4}, queue_turn, &turn};
  for (int number = 0; number < TURNS; number++) {
    run_turn(&turn, &sequence, number);
  }
  assert_int_equal(turn.calls, 2); /* once as it is, once captured; the rest is the graph */
  device_use(device, QUEUE_DECODES);
  run_turn(&turn, &sequence, 100);
  assert_int_equal(turn.calls, 3); /* another queue, another graph */
  device_use(device, QUEUE_STEPS);
  run_turn(&turn, &sequence, 101);
  assert_int_equal(turn.calls, 3);
  device_forget_sequences(device);
  run_turn(&turn, &sequence, 102);
  run_turn(&turn, &sequence, 103);
  run_turn(&turn, &sequence, 104);
  assert_int_equal(turn.calls, 5);
  close_turn(&turn);
  device_close(&device);
}

static void run_key(struct turn *turn, uint64_t key, int number) {
  const struct sequence sequence = {{key, 0, 0, 0}, queue_turn, turn};
  run_turn(turn, &sequence, number);
}

static void test_the_one_not_called_for_longest_goes(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct turn turn;
  open_turn(device, &turn);
  for (int round = 0; round < 3; round++) {
    for (uint64_t key = 0; key < SEQUENCES_MAX; key++) {
      run_key(&turn, key, round);
    }
  }
  assert_int_equal(turn.calls, 2 * SEQUENCES_MAX);
  run_key(&turn, 0, 3);             /* no longer the oldest */
  run_key(&turn, SEQUENCES_MAX, 4); /* takes the place of key 1 */
  assert_int_equal(turn.calls, 2 * SEQUENCES_MAX + 1);
  run_key(&turn, 0, 5);
  run_key(&turn, 2, 6);
  assert_int_equal(turn.calls, 2 * SEQUENCES_MAX + 1);
  run_key(&turn, 1, 7);
  assert_int_equal(turn.calls, 2 * SEQUENCES_MAX + 2);
  close_turn(&turn);
  device_close(&device);
}

/* Its second call is the one that is captured. */
static void test_what_cannot_be_captured_runs_as_it_is(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct turn turn;
  open_turn(device, &turn);
  turn.fails_at = 2;
  for (int number = 0; number < 5; number++) {
    run_key(&turn, 7, number);
  }
  assert_int_equal(turn.calls, 6); /* one of them in vain */
  run_key(&turn, 8, 5);
  run_key(&turn, 8, 6);
  run_key(&turn, 8, 7);
  assert_int_equal(turn.calls, 8); /* others are kept as before */
  close_turn(&turn);
  device_close(&device);
}

static void test_a_first_call_that_fails_is_told(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct turn turn;
  open_turn(device, &turn);
  turn.fails_at = 1;
  const struct sequence sequence = {{9, 9, 9, 9}, queue_turn, &turn};
  assert_int_equal(device_sequence(device, &sequence), UNAVAILABLE);
  for (int number = 0; number < 4; number++) {
    run_turn(&turn, &sequence, number);
  }
  assert_int_equal(turn.calls, 3);
  close_turn(&turn);
  device_close(&device);
}

/* ---- all of it while the emulation does things in another order, or makes no graphs ---- */

static void test_under_other_orders(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL); /* or skipped */
  device_close(&device);
  static const char *const seeds[] = {"EMULATION_SEED=1", "EMULATION_SEED=2", "EMULATION_SEED=3"};
  for (size_t i = 0; i < sizeof seeds / sizeof seeds[0] && !is_again(); i++) {
    const char *const settings[] = {seeds[i], NULL};
    run_again("test_queues_follow_one_another", settings);
    run_again("test_a_graph_gives_the_bits_of_its_ops", settings);
  }
}

static void test_turns_without_graphs(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct turn turn;
  open_turn(device, &turn);
  for (int number = 0; number < 4; number++) {
    run_key(&turn, 1, number);
  }
  assert_true(turn.calls == 2 || is_again());
  close_turn(&turn);
  device_close(&device);
  if (!is_again()) {
    run_again("test_turns_without_graphs", (const char *const[]){"EMULATION_FAULT=graph:1+", NULL});
  }
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_event_never_recorded_has_passed),
      cmocka_unit_test(test_queues_follow_one_another),
      cmocka_unit_test(test_a_graph_gives_the_bits_of_its_ops),
      cmocka_unit_test(test_the_one_not_called_for_longest_goes),
      cmocka_unit_test(test_what_cannot_be_captured_runs_as_it_is),
      cmocka_unit_test(test_a_first_call_that_fails_is_told),
      cmocka_unit_test(test_under_other_orders),
      cmocka_unit_test(test_turns_without_graphs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
