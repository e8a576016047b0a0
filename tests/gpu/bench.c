/* bench.c - the table of gpu-bench, the most important first: a run that is cut has told the most.
 */
#include "tests/gpu/bench.h"

#include <stdio.h>

#include "kernels/device.h"

static const struct part parts[] = {
    {"machine", "which GPU, driver and libraries these are", 15, .run = bench_machine},
    {"ceilings", "PyTorch: matrix rate, copy, attention at Stable Diffusion's sizes", 30,
     .script = "peer.py ceilings"},
    {"models", "models that follow from a hash, made here", 40, .script = "models.py",
     .ahead = true},
    {"whole", "SD 1.5, 512x512, 20 Euler steps, 1 to 16 images", 60, .run = bench_whole},
    {"eager", "the same in diffusers, eager", 40, .script = "peer.py eager"},
    {"compiled", "the same in diffusers, torch.compile(reduce-overhead)", 90,
     .script = "peer.py compiled"},
    {"decode", "one picture of 512x512 decoded", 10, .run = bench_decode},
    {"plain", "as whole, without graphs", 40, .run = bench_whole,
     .environment = "DARKROOM_GPU_PLAIN=1"},
    {"step-ops", "a step op by op: share and ceiling", 25, .run = bench_step_ops},
    {"bands", "our own kernels that only move bytes, beside a copy", 15, .run = bench_bands},
    {"strict", "strict against fast", 30, .run = bench_strict},
    {"jobs", "eight jobs together and one after another", 25, .run = bench_jobs},
    {"decode-ops", "a decode op by op", 15, .run = bench_decode_ops},
    {"arrivals", "jobs that come when they please, taken by step or by request", 40,
     .run = bench_arrivals},
    {"batch-ops", "a step of eight images op by op", 25, .run = bench_batch_ops},
    {"demo", "the demo model, 128x128, 20 steps, 1 to 16 images", 15, .run = bench_demo},
    {"own", "as whole, all by our own kernels", 40, .run = bench_whole,
     .environment = "DARKROOM_CUDA_OWN=1"},
    {"warm", "diffusers compiled into its cache, nothing measured (only when asked for)", 170,
     .script = "peer.py warm", .asked = true},
};

const struct table gpu_bench = {.name = "gpu-bench",
                                .summary = "how fast is it, beside the card's ceilings and others?",
                                .parts = parts,
                                .count = sizeof parts / sizeof parts[0],
                                .seconds = 300};

void bench_machine(const struct gpu_settings *settings, struct report *report) {
  struct device *device = NULL;
  struct device_info info = {0};
  const struct device_settings small = {.memory_max = (size_t)256 << 20};
  char capability[16];
  report_must(report, settings->device, device_open(settings->device, &small, &device));
  report_must(report, settings->device, device_describe(device, &info));
  snprintf(capability, sizeof capability, "sm_%d", info.capability);
  report_text(report, "gpu", info.model);
  report_text(report, "uuid", info.uuid);
  report_text(report, "driver", info.driver);
  report_text(report, "runtime", info.runtime);
  report_text(report, "capability", capability);
  report_value(report, "memory", (double)info.memory_total / 1048576, "MiB");
  device_close(&device);
}
