/* test_cuda_launch_latents.c - gather and advance (kernels/cuda/latents.cu) against ref, to
 * the last bit, with rows and samples of every kind in one batch. */
#include "base/limits.h"
#include "tests/unit/kernels/cuda_launch_check.h"

static void *send_bytes(const void *host, size_t bytes) {
  void *device = take_bytes(bytes);
  CUDA(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
  return device;
}

/* ---- gather ---- */

static void check_gather(int64_t images, const int64_t shape[3], enum element element, int shift) {
  int64_t pixels = shape[0], channels = shape[1], planes = shape[2], all = channels + planes;
  struct values latents = random_values(ELEMENT_F32, images * pixels * channels, shift, 1),
                beside = random_values(ELEMENT_F32, images * pixels * planes + 1, 0, 2),
                y = take_values(element, images * pixels * all, shift);
  struct batch_row rows[BATCH_ROWS_MAX] = {{0}};
  float *expected = malloc((size_t)y.count * sizeof *expected);
  assert_non_null(expected);
  for (int64_t b = 0; b < images; b++) {
    int64_t from = images - 1 - b; /* rows lie anywhere */
    const float *ours = latents.host + from * pixels * channels,
                *others = beside.host + from * pixels * planes;
    rows[b] = (struct batch_row){
        .latents = (const float *)latents.device + (ours - latents.host),
        .planes = planes > 0 ? (const float *)beside.device + (others - beside.host) : NULL,
        .scale = 1 / (1 + (float)b)};
    for (int64_t i = 0; i < pixels * all; i++) {
      int64_t pixel = i / all, c = i % all;
      expected[b * pixels * all + i] = c < channels ? rows[b].scale * ours[pixel * channels + c]
                                                    : others[pixel * planes + c - channels];
    }
  }
  const struct launch_gather gather = {.rows = send_bytes(rows, sizeof rows),
                                       .y = y.device,
                                       .element = (enum launch_element)element,
                                       .images = images,
                                       .pixels = pixels,
                                       .channels = (int)channels,
                                       .planes = (int)planes};
  CUDA(launch_gather(&gather, NULL));
  check_exact("gather", expected, &y);
  free(expected);
  drop_values(&latents);
  drop_values(&beside);
  drop_values(&y);
  give_back(NULL);
}

static void test_gather(void **state) {
  (void)state;
  for (int e = 0; e < FLOAT_ELEMENTS; e++) {
    enum element element = float_elements[e];
    check_gather(1, (const int64_t[]){1, 1, 0}, element, 0);
    check_gather(3, (const int64_t[]){135, 4, 0}, element, 0); /* every second row anywhere */
    check_gather(3, (const int64_t[]){256, 4, 0}, element, 0);
    check_gather(2, (const int64_t[]){256, 4, 0}, element, 1);
    check_gather(BATCH_ROWS_MAX, (const int64_t[]){4, 4, 0}, element, 0);
    check_gather(3, (const int64_t[]){135, 4, 5}, element, 1);
    check_gather(2, (const int64_t[]){300, 4, 1}, element, 0);
  }
}

/* ---- advance ---- */

/* A batch of samples: slots below one another, then what they start from on the host. */
struct batch {
  int count;
  int64_t each;
  struct batch_sample samples[BATCH_ROWS_MAX];         /* with the host's pointers */
  struct values slots, prediction, noise, kept, masks; /* kept: clean and begun in turn */
};

enum { ROOM = SAMPLE_SLOTS_MAX }; /* slots that lie between one sample's and the next's */

enum { CHANNELS = 2 };

/* Masks are 0, 1 and between. */
static void fill_masks(struct values *masks) {
  for (int64_t i = 0; i < masks->count; i++) {
    masks->host[i] = i % 3 == 0 ? 0 : i % 3 == 1 ? 1 : 0.3f;
  }
  send_values(masks);
}

/* Number i has i % 8 + 1 slots; some are guided, of those some rescaled; some have noise, some a
 * mask; every fifth place is idle. */
static struct batch take_batch(int count, int64_t each, int shift) {
  struct batch batch = {.count = count,
                        .each = each,
                        .slots = random_values(ELEMENT_F32, count * ROOM * each, shift, 1),
                        .prediction = random_values(ELEMENT_F32, 2 * count * each, shift, 2),
                        .noise = random_values(ELEMENT_F32, count * each, shift, 3),
                        .kept = random_values(ELEMENT_F32, 2 * count * each, shift, 5),
                        .masks = random_values(ELEMENT_F32, count * each, 0, 6)};
  uint64_t dice = 4;
  fill_masks(&batch.masks);
  for (int i = 0; i < count; i++) {
    struct batch_sample *s = &batch.samples[i];
    *s = (struct batch_sample){.slots = i % 5 == 4 ? NULL : batch.slots.host + i * ROOM * each,
                               .noise = i % 2 == 0 ? batch.noise.host + i * each : NULL,
                               .slot_count = i % SAMPLE_SLOTS_MAX + 1,
                               .cond_row = 2 * i,
                               .uncond_row = i % 3 == 1 ? -1 : 2 * i + 1,
                               .guidance = 1 + (float)i,
                               .rescale = i % 4 < 2 ? 0.7f : 0};
    if (i % 7 > 2) {
      s->mask = batch.masks.host + i * each;
      s->clean = batch.kept.host + 2 * i * each;
      s->begun = s->clean + each;
      s->keep_clean = 0.9f;
      s->keep_begun = 0.1f * (float)i;
    }
    for (int m = 0; m < s->slot_count * (s->slot_count + 2); m++) {
      s->matrix[m] = random_value(&dice);
    }
  }
  return batch;
}

static void drop_values_of(struct batch *batch) {
  drop_values(&batch->slots);
  drop_values(&batch->prediction);
  drop_values(&batch->noise);
  drop_values(&batch->kept);
  drop_values(&batch->masks);
}

static void drop_batch(struct batch *batch) {
  drop_values_of(batch);
  give_back(NULL);
}

/* The device's place of one of the host's, which may be NULL. */
static float *place_of(const struct values *values, const float *host) {
  return host == NULL ? NULL : (float *)values->device + (host - values->host);
}

/* The samples with the device's pointers, run; the verdicts. */
static void advance_on_device(const struct batch *batch, int first, int count, int32_t *finite) {
  struct batch_sample samples[BATCH_ROWS_MAX];
  for (int i = 0; i < count; i++) {
    const struct batch_sample *told = &batch->samples[first + i];
    samples[i] = *told;
    samples[i].slots = place_of(&batch->slots, told->slots);
    samples[i].noise = place_of(&batch->noise, told->noise);
    samples[i].mask = place_of(&batch->masks, told->mask);
    samples[i].clean = place_of(&batch->kept, told->clean);
    samples[i].begun = place_of(&batch->kept, told->begun);
  }
  int32_t *verdicts = take_bytes(sizeof(int32_t) * BATCH_ROWS_MAX);
  CUDA(cudaMemset(verdicts, 0, sizeof(int32_t) * BATCH_ROWS_MAX));
  const struct launch_advance advance = {
      .samples = send_bytes(samples, sizeof *samples * (size_t)count),
      .prediction = batch->prediction.device,
      .finite = verdicts,
      .shares = take_bytes(sizeof(float) * BATCH_ROWS_MAX),
      .count = count,
      .values = batch->each,
      .channels = batch->each % CHANNELS == 0 ? CHANNELS : 1};
  CUDA(launch_advance(&advance, NULL));
  CUDA(cudaMemcpy(finite, verdicts, sizeof *finite * (size_t)count, cudaMemcpyDeviceToHost));
}

static void check_advance(struct batch *batch) {
  int32_t got[BATCH_ROWS_MAX], expected[BATCH_ROWS_MAX];
  advance_on_device(batch, 0, batch->count, got);
  int64_t channels = batch->each % CHANNELS == 0 ? CHANNELS : 1;
  const struct tensor prediction = {batch->prediction.host,
                                    ELEMENT_F32,
                                    4,
                                    {2 * batch->count, batch->each / channels, 1, channels}},
                      finite = {expected, ELEMENT_I32, 1, {batch->count, 1, 1, 1}};
  assert_int_equal(ref_advance(NULL, batch->samples, batch->count, &prediction, &finite), OK);
  for (int i = 0; i < batch->count; i++) {
    assert_int_equal(got[i], expected[i]);
  }
  float *slots = fetch_values(&batch->slots); /* NaN as ref has it, and every other bit */
  for (int64_t i = 0; i < batch->slots.count; i++) {
    float wanted = batch->slots.host[i];
    if (isnan(wanted) ? !isnan(slots[i]) : memcmp(&slots[i], &wanted, sizeof wanted) != 0) {
      WRONG("advance: value %lld is %.9g, not %.9g", (long long)i, (double)slots[i],
            (double)wanted);
    }
  }
  free(slots);
}

static void test_advance_is_ref_to_the_last_bit(void **state) {
  (void)state;
  static const struct {
    int count, each, shift;
  } sizes[] = {{1, 1, 0}, {9, 140, 0}, {9, 135, 0}, {8, 1024, 0}, {8, 300, 1}, {64, 16, 0}};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    struct batch batch = take_batch(sizes[i].count, sizes[i].each, sizes[i].shift);
    check_advance(&batch);
    drop_batch(&batch);
  }
}

static void test_a_sample_that_is_not_finite_says_so_alone(void **state) {
  (void)state;
  struct batch batch = take_batch(9, 140, 0);
  batch.prediction.host[2 * 3 * 140 + 139] = NAN;    /* sample 3 */
  batch.slots.host[6 * ROOM * 140 + 17] = -INFINITY; /* sample 6 */
  batch.prediction.host[2 * 4 * 140] = NAN;          /* sample 4, an idle place */
  batch.samples[7].matrix[0] = batch.samples[7].matrix[1] = 3e38f;
  send_values(&batch.prediction);
  send_values(&batch.slots);
  check_advance(&batch);
  int32_t finite[9];
  advance_on_device(&batch, 0, 9, finite); /* once more, over what is there now */
  for (int i = 0; i < 9; i++) {
    assert_int_equal(finite[i], i != 3 && i != 6 && i != 7);
  }
  drop_batch(&batch);
}

static void test_a_sample_has_the_same_bits_in_any_batch(void **state) {
  (void)state;
  struct batch together = take_batch(9, 140, 0), alone = take_batch(9, 140, 0);
  int32_t finite[9];
  advance_on_device(&together, 0, 9, finite);
  for (int i = 0; i < 9; i++) {
    advance_on_device(&alone, i, 1, finite);
  }
  check_bits("samples alone", together.slots.device, alone.slots.device,
             (size_t)together.slots.count * sizeof(float));
  drop_values_of(&alone);
  drop_batch(&together);
}

static void test_orders_of_threads_change_nothing(void **state) {
  (void)state;
  run_in_other_orders("test_a*");
}

int main(int count, char **words) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_gather, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_advance_is_ref_to_the_last_bit, find_device, give_back),
      cmocka_unit_test_setup_teardown(test_a_sample_that_is_not_finite_says_so_alone, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_a_sample_has_the_same_bits_in_any_batch, find_device,
                                      give_back),
      cmocka_unit_test_setup_teardown(test_orders_of_threads_change_nothing, find_device,
                                      give_back),
  };
  choose_test(count, words);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
