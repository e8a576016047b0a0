/* threads.cu - what threads of a block do together, and the numbers that they compute with. */
#include "tests/emulation/programs/bench.cuh"

namespace {

std::vector<int> run(void (*kernel)(int *), unsigned threads) {
  Two two;
  std::vector<int> host(COUNT);
  start_kernel(two.a, threads, kernel, two.values);
  OK(cudaStreamSynchronize(two.a));
  OK(cudaMemcpy(host.data(), two.values, COUNT * sizeof(int), cudaMemcpyDeviceToHost));
  return host;
}

__device__ int *own(int *values) { return values + blockIdx.x * blockDim.x + threadIdx.x; }

__global__ void shuffles(int *values) {
  int lane = static_cast<int>(threadIdx.x % 32);
  int sum = __shfl_xor_sync(0xffffffffu, lane, 5);        /* lane ^ 5 */
  sum += 100 * __shfl_down_sync(0xffffffffu, lane, 3);    /* lane + 3, or itself */
  sum += 10000 * __shfl_up_sync(0xffffffffu, lane, 1, 8); /* within eight */
  sum += 1000000 * __shfl_sync(0xffffffffu, lane, 3, 16); /* third of its half */
  *own(values) = sum;
}
void test_shuffles(void **) {
  auto told = run(shuffles, 64);
  for (int i = 0; i < COUNT; i++) {
    int lane = i % 32, down = lane + 3 < 32 ? lane + 3 : lane, up = lane % 8 == 0 ? lane : lane - 1;
    assert_int_equal(told[static_cast<size_t>(i)],
                     (lane ^ 5) + 100 * down + 10000 * up + 1000000 * (lane / 16 * 16 + 3));
  }
}

/* A part of the warp has a meeting of its own; lanes that have ended are not waited for. */
__global__ void parts(int *values) {
  unsigned lane = threadIdx.x % 32;
  if (lane >= 24) {
    *own(values) = -1;
    return;
  }
  unsigned mask = lane < 16 ? 0x0000ffffu : 0x00ff0000u;
  int sum = 1;
  for (int k = 4; k > 0; k /= 2) {
    sum += __shfl_xor_sync(mask, sum, k);
  }
  unsigned even = __ballot_sync(0xffffffffu, lane % 2 == 0);
  bool all = __all_sync(0xffffffffu, lane < 24), any = __any_sync(0xffffffffu, lane == 31);
  *own(values) = sum + 10 * (all ? 1 : 0) + 100 * (any ? 1 : 0) + 1000 * __popc(even);
}
void test_parts_of_a_warp(void **) {
  auto told = run(parts, 32);
  for (size_t i = 0; i < COUNT; i++) {
    assert_int_equal(told[i], i % 32 >= 24 ? -1 : 8 + 10 + 12000);
  }
}

__global__ void votes(int *values) {
  int odd = threadIdx.x % 2 == 1;
  int count = __syncthreads_count(odd), all = __syncthreads_and(odd), any = __syncthreads_or(odd);
  int everyone = __syncthreads_and(1), nobody = __syncthreads_or(0);
  *own(values) = count * 10000 + all * 1000 + any * 100 + everyone * 10 + nobody;
}
void test_votes_of_a_block(void **) {
  for (int told : run(votes, 96)) {
    assert_int_equal(told, 48 * 10000 + 110);
  }
}

__global__ void add_up(int *values) {
  __shared__ int sum, largest;
  if (threadIdx.x == 0) {
    sum = largest = 0;
  }
  __syncthreads();
  atomicAdd(&sum, static_cast<int>(threadIdx.x));
  atomicMax(&largest, static_cast<int>(threadIdx.x));
  __syncthreads();
  *own(values) = sum * 1000 + largest;
}
void test_atomics(void **) {
  for (int told : run(add_up, 64)) {
    assert_int_equal(told, 63 * 64 / 2 * 1000 + 63);
  }
}

/* Groups of copies arrive in order; what is not waited for is not there. */
__global__ void ahead(int *values) {
  __shared__ __align__(16) int part[3][4];
  if (threadIdx.x != 0) {
    return;
  }
  const int *from = values + blockIdx.x * blockDim.x;
  for (int group = 0; group < 3; group++) {
    emulation::async_copy(part[group], from, 16, group == 2 ? 8 : 16);
    emulation::async_commit();
  }
  emulation::async_wait(1);
  int first = part[0][0] + part[1][3];
  emulation::async_wait(0);
  values[blockIdx.x * blockDim.x] = first + part[2][1] + 1000 * part[2][3];
}
void test_copies_that_go_on(void **) {
  Two two;
  two.start(two.a, set_all, 11);
  start_kernel(two.a, 64, ahead, two.values);
  OK(cudaStreamSynchronize(two.a));
  assert_int_equal(two.fetched(64), 33);
}

/* ---- numbers ---- */

/* The nearest of all f16, of two equally near the even one. */
void check_f16(float value) {
  uint16_t bits = emulation::f16_from(value);
  if (value != value) {
    assert_int_equal(bits, 0x7fff);
    return;
  }
  double got = emulation::f16_to(bits);
  if (fabs(static_cast<double>(value)) >= 65520) {
    assert_true(std::isinf(got) && (got > 0) == (value > 0));
    return;
  }
  for (int step = -1; step <= 1; step += 2) {
    uint16_t beside = static_cast<uint16_t>(bits + step);
    double other = emulation::f16_to(beside), off = fabs(got - static_cast<double>(value)),
           otherwise = fabs(other - static_cast<double>(value));
    if (std::isfinite(other) && ((bits ^ beside) & 0x8000) == 0) {
      assert_true(off < otherwise || (off == otherwise && bits % 2 == 0));
    }
  }
}

void test_f16_is_rounded_to_the_nearest(void **) {
  for (uint32_t bits = 0; bits < 65536; bits++) {
    float value = emulation::f16_to(static_cast<uint16_t>(bits));
    if (value == value) {
      assert_int_equal(emulation::f16_from(value), bits);
    }
  }
  uint64_t state = 1;
  for (int i = 0; i < 300000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    check_f16(__uint_as_float(static_cast<uint32_t>(state >> 32)));
    uint32_t middle = (static_cast<uint32_t>(state >> 40) & 0x7fffffu) | 0x38000000u;
    check_f16(__uint_as_float((middle & 0xffffe000u) | 0x1000u)); /* between two */
    check_f16(static_cast<float>(state >> 40) * 0x1p-48f);        /* small ones */
  }
}

void test_bf16_is_rounded_to_the_nearest(void **) {
  uint64_t state = 2;
  for (int i = 0; i < 300000; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t bits = static_cast<uint32_t>(state >> 32);
    float value = __uint_as_float(bits);
    uint16_t got = emulation::bf16_from(value);
    if (value != value) {
      assert_int_equal(got, 0x7fff);
      continue;
    }
    uint32_t low = bits & 0xffffu, up = bits >> 16;
    bool rises = low > 0x8000u || (low == 0x8000u && up % 2 == 1);
    assert_int_equal(got, static_cast<uint16_t>(up + (rises ? 1 : 0)));
  }
}

void test_sixteen_bits_compute_in_f32(void **) {
  __half a = __float2half_rn(1.5f), b = __float2half_rn(0.1f);
  assert_true(__half2float(a * b) == __half2float(__float2half_rn(1.5f * __half2float(b))));
  __half2 pair = __floats2half2_rn(3.0f, -4.0f);
  float2 back = __half22float2(__hmul2(pair, pair));
  assert_true(back.x == 9.0f && back.y == 16.0f);
  __nv_bfloat162 wide = __floats2bfloat162_rn(1e30f, -2.0f);
  assert_true(__low2float(wide) > 9.9e29f && __high2float(wide) == -2.0f);
  assert_true(__hisnan(__float2half_rn(NAN)) && !__hisnan(a));
  assert_int_equal(sizeof(__half2), 4);
  assert_int_equal(alignof(float4), 16);
}

void test_conversions_saturate(void **) {
  assert_int_equal(__float2int_rn(2.5f), 2);
  assert_int_equal(__float2int_rn(3.5f), 4);
  assert_int_equal(__float2int_rn(1e20f), INT32_MAX);
  assert_int_equal(__float2int_rn(NAN), 0);
  assert_int_equal(__float2uint_rn(-5.0f), 0);
  assert_true(__saturatef(NAN) == 0.0f);
}

}  // namespace

int main() {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shuffles),
      cmocka_unit_test(test_parts_of_a_warp),
      cmocka_unit_test(test_votes_of_a_block),
      cmocka_unit_test(test_atomics),
      cmocka_unit_test(test_copies_that_go_on),
      cmocka_unit_test(test_f16_is_rounded_to_the_nearest),
      cmocka_unit_test(test_bf16_is_rounded_to_the_nearest),
      cmocka_unit_test(test_sixteen_bits_compute_in_f32),
      cmocka_unit_test(test_conversions_saturate),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
