/* sd15_folder.h - a folder with the configs of Stable Diffusion 1.5, a tokenizer of two tokens, and
 * weight files that are never read: for benches with the weights of fake_weights.h. */
#ifndef DARKROOM_TESTS_BENCH_SD15_FOLDER_H
#define DARKROOM_TESTS_BENCH_SD15_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

#define SD15_FOLDER_TEMPLATE "/tmp/darkroom-sd15-XXXXXX"

static inline void sd15_shell(const char *command) {
  FILE *output = popen(command, "r");
  if (output == NULL || pclose(output) != 0) {
    fprintf(stderr, "bench: failed: %s\n", command);
    exit(1);
  }
}

/* folder is SD15_FOLDER_TEMPLATE, and becomes the path. */
static inline void sd15_folder_make(char *folder) {
  char command[1024];
  if (mkdtemp(folder) == NULL) {
    fprintf(stderr, "bench: cannot make a folder in /tmp\n");
    exit(1);
  }
  snprintf(command, sizeof command,
           "cp -r tests/model/sd15/. %s && cd %s && mkdir tokenizer && echo '#version: 0.2' > "
           "tokenizer/merges.txt && "
           "echo '{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1}' > tokenizer/vocab.json && touch "
           "text_encoder/model.safetensors unet/diffusion_pytorch_model.safetensors "
           "vae/diffusion_pytorch_model.safetensors",
           folder, folder);
  sd15_shell(command);
}

static inline void sd15_folder_remove(const char *folder) {
  char command[256];
  snprintf(command, sizeof command, "rm -r %s", folder);
  sd15_shell(command);
}

#endif
