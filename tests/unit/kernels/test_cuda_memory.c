/* test_cuda_memory.c - the reservation of a cuda device against a model of it, its limits, and the
 * ring through which puts go. */
#include "tests/unit/kernels/cuda_device.h"

#include "kernels/queue.h"

#define MEMORY ((size_t)224 << 20)
enum { BLOCKS = 300, ROUNDS = 20000, ALIGNMENT = 256 };

struct block {
  char *at;
  size_t bytes;
};

static size_t whole(size_t bytes) {
  return (bytes == 0 ? 1 : bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT +
         (bytes == 0 ? ALIGNMENT : 0);
}

static void check_apart(const struct block *blocks, int count, const struct block *fresh) {
  assert_int_equal((uintptr_t)fresh->at % ALIGNMENT, 0);
  for (int i = 0; i < count; i++) {
    const struct block *other = &blocks[i];
    if (fresh->at < other->at + whole(other->bytes) &&
        other->at < fresh->at + whole(fresh->bytes)) {
      WRONG("%zu bytes at %p and %zu at %p overlap", fresh->bytes, (void *)fresh->at, other->bytes,
            (void *)other->at);
    }
  }
}

static void drop_one(struct device *device, struct block *blocks, int *count, int i) {
  device_drop(device, blocks[i].at, blocks[i].bytes);
  blocks[i] = blocks[--*count];
}

/* Whatever was taken and given back before: all of it can be had in one piece again. */
static void check_whole(struct device *device, size_t bytes) {
  void *all = device_take(device, bytes);
  assert_non_null(all);
  assert_null(device_take(device, 1));
  device_drop(device, all, bytes);
}

static void test_pieces_never_overlap_and_join_again(void **state) {
  (void)state;
  struct device *device = open_cuda(&(struct device_settings){.memory_max = MEMORY});
  size_t used = device_memory_used(device), room = device_memory_total(device) - used;
  struct block blocks[BLOCKS];
  uint64_t dice = 1;
  int count = 0, full = 0;
  check_whole(device, room);
  for (int round = 0; round < ROUNDS; round++) {
    if (count == BLOCKS || (count > 0 && draw(&dice) % 5 < 2)) {
      drop_one(device, blocks, &count, (int)(draw(&dice) % (uint64_t)count));
      continue;
    }
    size_t bytes = draw(&dice) % 20 == 0 ? draw(&dice) % (room / 8) : draw(&dice) % 40000;
    struct block fresh = {device_take(device, bytes), bytes};
    if (fresh.at == NULL) {
      full++;
    } else {
      check_apart(blocks, count, &fresh);
      blocks[count++] = fresh;
    }
  }
  assert_true(full > 0);
  while (count > 0) {
    drop_one(device, blocks, &count, (int)(draw(&dice) % (uint64_t)count));
  }
  assert_int_equal(device_memory_used(device), used);
  check_whole(device, room);
  device_close(&device);
}

static void test_what_is_not_there_is_exhausted(void **state) {
  (void)state;
  struct device *device = open_cuda(&(struct device_settings){.memory_max = MEMORY});
  assert_true(device_memory_total(device) <= MEMORY);
  struct arena *arena = NULL;
  struct tensor tensor;
  MUST(device_arena(device, 2 * MEMORY, &arena));
  assert_int_equal(tensor_take(arena, ELEMENT_U8, TENSOR_SHAPE((int64_t)MEMORY), &tensor),
                   EXHAUSTED);
  MUST(tensor_take(arena, ELEMENT_U8, TENSOR_SHAPE(1000), &tensor));
  arena_close(&arena);
  device_close(&device);
  assert_int_equal(device_open("cuda:0", &(struct device_settings){.memory_max = 1 << 20}, &device),
                   EXHAUSTED);
  assert_non_null(strstr(fail_reason(), "at least"));
  const struct device_settings more = {.memory_max = (size_t)1 << 50};
  assert_int_equal(device_open("cuda:0", &more, &device), EXHAUSTED);
  assert_non_null(strstr(fail_reason(), "are free"));
}

/* ---- the ring ---- */

enum { PUTS = 400, LARGE = 9 << 20, SMALL = 60000, LARGE_ONES = 8 };

static void fill_bytes(uint8_t *bytes, size_t count, uint64_t seed) {
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8) * 13);
  }
}

static void check_bytes(struct device *device, const struct tensor *tensor, uint64_t seed) {
  size_t bytes = tensor_bytes(tensor);
  uint8_t *got = malloc(bytes), *wanted = malloc(bytes);
  assert_true(got != NULL && wanted != NULL);
  MUST(device_get(device, tensor, got, bytes));
  fill_bytes(wanted, bytes, seed);
  if (memcmp(got, wanted, bytes) != 0) {
    WRONG("put %d of %zu bytes came out otherwise", (int)seed, bytes);
  }
  free(got);
  free(wanted);
}

/* More than the ring holds, of all sizes, in all queues; the host's bytes change at once. */
static void test_puts_have_read_their_bytes(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL);
  struct arena *arena = NULL;
  static struct tensor tensors[PUTS];
  uint8_t *host = malloc(LARGE);
  uint64_t dice = 2;
  assert_non_null(host);
  MUST(device_arena(device, (size_t)512 << 20, &arena));
  for (int i = 0; i < PUTS; i++) {
    bool large = i % (PUTS / LARGE_ONES) == 0;
    int64_t bytes = 1 + (int64_t)(draw(&dice) % (large ? LARGE : SMALL));
    MUST(tensor_take(arena, ELEMENT_U8, TENSOR_SHAPE(bytes), &tensors[i]));
    device_use(device, (enum queue)(draw(&dice) % QUEUE_COUNT));
    fill_bytes(host, (size_t)bytes, (uint64_t)i);
    MUST(device_put(device, host, (size_t)bytes, &tensors[i]));
    memset(host, 0xee, (size_t)bytes);
  }
  MUST(device_wait(device));
  for (int i = 0; i < PUTS; i++) {
    check_bytes(device, &tensors[i], (uint64_t)i);
  }
  free(host);
  arena_close(&arena);
  device_close(&device);
}

static void test_puts_in_any_order_of_streams(void **state) {
  (void)state;
  struct device *device = open_cuda(NULL); /* or skipped */
  device_close(&device);
  static const char *const seeds[] = {"EMULATION_SEED=1", "EMULATION_SEED=2", "EMULATION_SEED=3"};
  for (size_t i = 0; i < sizeof seeds / sizeof seeds[0] && !is_again(); i++) {
    run_again("test_puts_have_read_their_bytes", (const char *const[]){seeds[i], NULL});
  }
}

int main(int count, char **words) {
  choose_test(count, words);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces_never_overlap_and_join_again),
      cmocka_unit_test(test_what_is_not_there_is_exhausted),
      cmocka_unit_test(test_puts_have_read_their_bytes),
      cmocka_unit_test(test_puts_in_any_order_of_streams),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
