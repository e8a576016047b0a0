/* backend.c - the cpu device: host memory, OpenMP threads, oneDNN, our own vector code by what the
 * processor has. */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/openmp.h"
#include "kernels/ref/ref.h"

/* oneDNN knows the processor and honours ONEDNN_MAX_CPU_ISA, so that a lesser one can be tried on a
 * better one. */
static enum level find_level(void) {
  dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core) {
    return LEVEL_AVX512;
  }
  return (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2 && __builtin_cpu_supports("fma")
             ? LEVEL_AVX2
             : LEVEL_PLAIN;
}

static bool has_fast_bf16(void) {
  dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  return (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

static bool has_tiles(void) {
  const unsigned tiles = dnnl_cpu_isa_avx512_core_amx;
  return ((unsigned)dnnl_get_effective_cpu_isa() & tiles) == tiles;
}

static enum status cpu_open(const struct device_settings *settings, const char *which,
                            struct device **out) {
  (void)which;
  struct cpu *cpu = calloc(1, sizeof *cpu);
  if (cpu == NULL) {
    return fail(EXHAUSTED, "no memory for a device");
  }
  static const struct bodies *const bodies[] = {&bodies_plain, &bodies_avx2, &bodies_avx512};
  cpu->level = find_level();
  cpu->bodies = bodies[cpu->level];
  cpu->direct = cpu->level == LEVEL_AVX512 && has_fast_bf16() && !has_tiles();
  enum element fast = has_fast_bf16() && !settings->force_f32 ? ELEMENT_BF16 : ELEMENT_F32;
  cpu->head.element[PRECISION_FAST] = cpu->head.element[PRECISION_RANGE] = fast;
  cpu->head.element[PRECISION_EXACT] = ELEMENT_F32;
  cpu->head.threads = settings->threads > 0 ? settings->threads : omp_get_num_procs();
  enum status status = onednn_open(&cpu->library);
  if (status != OK) {
    free(cpu);
    return status;
  }
  *out = &cpu->head;
  return OK;
}

static void cpu_close(struct device *device) {
  struct cpu *cpu = cpu_of(device);
  device_drop(device, cpu->scratch, cpu->scratch_bytes);
  onednn_close(&cpu->library);
  free(cpu);
}

/* Whatever decides its bits. */
static enum status cpu_describe(struct device *device, struct device_info *out) {
  const dnnl_version_t *version = dnnl_version();
  snprintf(out->runtime, sizeof out->runtime, "oneDNN %d.%d.%d, isa %x, %d threads", version->major,
           version->minor, version->patch, (unsigned)dnnl_get_effective_cpu_isa(), device->threads);
  return OK;
}

const struct backend backend_cpu = {
    .name = "cpu",
    .prepares = true,
    .open = cpu_open,
    .close = cpu_close,
    .take = host_take,
    .drop = host_drop,
    .put = host_put,
    .get = host_get,
    .wait = host_wait,
    .describe = cpu_describe,
    .weight_close = cpu_weight_close,
    .ops = {.pack = cpu_pack,
            .matmul = cpu_matmul,
            .conv2d = cpu_conv2d,
            .group_norm = cpu_group_norm,
            .layer_norm = cpu_layer_norm,
            .attention = cpu_attention,
            .geglu = cpu_geglu,
            .concat = cpu_concat,
            .upsample = cpu_upsample,
            .upsample_conv = cpu_upsample_conv,
            .timestep_embedding = cpu_timestep_embedding,
            .adapt = cpu_adapt,
            .embed = cpu_embed,
            .activate = cpu_activate,
            .add_rows = cpu_add_rows,
            .control_add = cpu_control_add,
            .hint_add = cpu_hint_add,
            /* latents are small: the plain loops of ref are as fast as any */
            .weigh = ref_weigh,
            .posterior = ref_posterior,
            .gather = ref_gather,
            .advance = ref_advance,
            .pixels = cpu_pixels,
            .finite = ref_finite},
};
