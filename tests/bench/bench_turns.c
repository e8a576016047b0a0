/* bench_turns.c - Stable Diffusion 1.5's U-Net step and decoder on request, so that peers.py can
 * let several programs take turns within seconds: on a machine with other load two runs one after
 * the other compare the load.
 *
 *     bench_turns [THREADS]      then words on stdin: step, decode; each is answered by a line with
 *                                its wall and processor milliseconds. "ready" comes first; at the
 *                                end "peak" and the peak RSS in MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "tests/bench/networks.h"

struct calls {
  struct predict step;
  struct decode decoding;
};

static void answer(struct bench *bench, struct calls *calls, const char *word) {
  int64_t start = clock_ns(), begin = processor_ns();
  if (strcmp(word, "step") == 0) {
    CHECK(predict(bench, &calls->step));
  } else {
    CHECK(decode(bench, &calls->decoding));
  }
  CHECK(device_wait(bench->device));
  printf("%.3f %.3f\n", (double)(clock_ns() - start) / 1e6, (double)(processor_ns() - begin) / 1e6);
}

static void serve(struct bench *bench) {
  struct conditioning conditioning;
  struct calls calls;
  char word[16];
  struct rusage usage;
  CHECK(condition(bench, &conditioning));
  make_predict(bench, &conditioning, &calls.step);
  make_decode(bench, &calls.decoding);
  printf("ready\n");
  while (scanf("%15s", word) == 1) {
    answer(bench, &calls, word);
  }
  getrusage(RUSAGE_SELF, &usage);
  printf("peak %.0f\n", (double)usage.ru_maxrss / 1024);
}

int main(int argc, char **argv) {
  struct bench bench = {.name = "sd15"};
  char folder[] = SD15_FOLDER_TEMPLATE;
  setvbuf(stdout, NULL, _IOLBF, 0);
  device_calm_threads(argv);
  fake_weights_start();
  sd15_folder_make(folder);
  networks_open(&bench, folder, argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0);
  sd15_folder_remove(folder);
  serve(&bench);
  networks_close(&bench);
  fake_weights_free();
  return 0;
}
