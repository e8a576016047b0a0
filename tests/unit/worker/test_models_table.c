/* test_models_table.c - every line of models.conf means something or is refused with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* cmocka has a macro of this name */

#include "worker/models_table.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static enum status read_text(const char *text, struct models_table *table) {
  char path[] = "/tmp/darkroom-models-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
  enum status status = models_table_read(path, table);
  unlink(path);
  return status;
}

static void a_table_is_read(void **state) {
  (void)state;
  struct models_table table;
  assert_int_equal(
      read_text(
          "# two models\n\n[ one ]\npath = models/one # here\nsha256 vae/v.safetensors = " HASH "\n"
          "sha256 unet/u.safetensors=" HASH "\n[two]\npath=/abs=olute\ndevices = cpu, cuda:1\n"
          "default = yes\npinned = no\nsha256 a = " HASH,
          &table),
      OK);
  assert_int_equal(table.count, 2);
  assert_true(table.row[1].on_demand && !table.row[0].on_demand); /* pinned is the rule */
  const struct models_row *one = &table.row[0];
  assert_string_equal(one->id, "one");
  assert_string_equal(one->source.folder, "/tmp//models/one"); /* relative to the table */
  assert_int_equal(one->source.hash_count, 2);
  assert_string_equal(one->hashes[0].path, "unet/u.safetensors");
  assert_string_equal(one->hashes[0].sha256, HASH);
  assert_int_equal(strlen(one->sha256), 64);
  assert_string_equal(table.row[1].source.folder, "/abs=olute");
  assert_ptr_equal(models_table_standard(&table), &table.row[1]);
  models_table_close(&table);
}

static void devices_are_matched(void **state) {
  (void)state;
  static const struct {
    const char *devices, *device;
    bool on;
  } cases[] = {
      {"*", "cpu", true},          {"cpu", "cpu", true},       {"cpu", "ref", false},
      {"cuda", "cuda:3", true},    {"cuda:1", "cuda:1", true}, {"cuda:1", "cuda:12", false},
      {"cuda:1", "cuda:0", false}, {"ref, cpu", "cpu", true},  {"cp", "cpu", false},
      {"", "cpu", false},          {"ref ,*", "cuda:0", true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct models_row row = {.devices = cases[i].devices};
    assert_int_equal(models_row_on(&row, cases[i].device, cases[i].device), cases[i].on);
  }
}

static void the_only_model_is_the_default(void **state) {
  (void)state;
  struct models_table table;
  assert_int_equal(read_text("[m]\npath=x\nsha256 a=" HASH, &table), OK);
  assert_ptr_equal(models_table_standard(&table), &table.row[0]);
  models_table_close(&table);
  assert_int_equal(read_text("[m]\npath=x\nsha256 a=" HASH "\n[n]\npath=x\nsha256 a=" HASH, &table),
                   OK);
  assert_null(models_table_standard(&table));
  assert_string_equal(table.row[0].sha256, table.row[1].sha256);
  models_table_close(&table);
}

static void single_files_and_what_jobs_name_beside(void **state) {
  (void)state;
  struct models_table table;
  assert_int_equal(
      read_text("[m]\npath=sd/v1.safetensors\nprediction=v_prediction\nfamily=sd2\n"
                "tokenizer = sd/tokenizer\nconfigs=/c\nema=yes\nsha256 v1.safetensors = " HASH
                "\n[edges]\nkind=control\npath=edges\nvariant=fp16\nsha256 a=" HASH
                "\n[small]\nfamily=sdxl\nkind=tiny\npath=small\nsha256 a=" HASH
                "\n[style]\nkind = lora\npath=/l/s.safetensors\nsha256 s.safetensors=" HASH,
                &table),
      OK);
  const struct models_row *one = &table.row[0];
  assert_int_equal(one->kind, MODELS_MODEL);
  assert_string_equal(one->source.folder, "/tmp//sd/");
  assert_string_equal(one->source.file, "v1.safetensors");
  assert_string_equal(one->source.prediction, "v_prediction");
  assert_string_equal(one->source.family, "sd2");
  assert_string_equal(one->source.tokenizer, "/tmp//sd/tokenizer");
  assert_string_equal(one->source.configs, "/c");
  assert_true(one->source.averaged);
  assert_ptr_equal(one->source.hashes, one->hashes);
  assert_int_equal(table.row[1].kind, MODELS_CONTROL);
  assert_null(table.row[1].source.file);
  assert_string_equal(table.row[1].source.variant, "fp16");
  assert_int_equal(table.row[2].kind, MODELS_TINY);
  assert_string_equal(table.row[2].source.family, "sdxl");
  assert_int_equal(table.row[3].kind, MODELS_LORA);
  assert_string_equal(table.row[3].source.folder, "/l/");
  assert_ptr_equal(models_table_standard(&table), one); /* the only model */
  models_table_close(&table);
}

static void what_means_nothing_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *reason;
  } cases[] = {
      {"", "no model"},
      {"# only words\n", "no model"},
      {"[]\n", ":1: a model id"},
      {"[a/b]\n", ":1: a model id"},
      {"[m]\npath\n", ":2: expected"},
      {"\npath = x\n", ":2: a [model] comes first"},
      {"[m]\npaths = x\n", ":2: there is no \"paths\"; did you mean path"},
      {"[m]\npath = x\n", "[m] has no sha256"},
      {"[m]\ndevices = cpu, gpu\n", ":2: \"gpu\" is no device"},
      {"[m]\ndevices = cuda:16\n", ":2: \"cuda:16\" is no device"},
      {"[m]\ndevices = cpu,\n", "empty"},
      {"[m]\nsha256 a = " HASH, "[m] has no path"},
      {"[m]\nsha256 /a = " HASH, "relative"},
      {"[m]\nsha256 a/../../b = " HASH, "relative"},
      {"[m]\nsha256 a = 00", "64 lower-case hex"},
      {"[m]\ndefault = y\n", ":2: default is one of no, yes, not y"},
      {"[m]\n[m]\n", ":2: the model m is there twice"},
      {"[m]\npath = x\npath = y\n", ":3: [m] has path already"},
      {"[m]\nkind = net\n", ":2: kind is one of model, control, lora, embedding, tiny, not net"},
      {"[m]\nprediction = v\n", ":2: prediction is one of epsilon, v_prediction, sample"},
      {"[m]\nvariant = ../x\n", ":2: a variant has letters"},
      {"[m]\nkind = lora\npath = x\nsha256 a = " HASH, "must be a .safetensors file"},
      {"[m]\nkind = lora\npath = x.safetensors\nsha256 x.safetensors = " HASH, "no model in it"},
      {"[m]\nkind = lora\nprediction = sample\npath = x.safetensors\nsha256 x.safetensors = " HASH,
       "prediction means nothing for a lora in a single file"},
      {"[m]\npath = x\nema = yes\nsha256 a = " HASH, "ema means nothing for a model in a folder"},
      {"[m]\npath = x.safetensors\nvariant = fp16\nsha256 x.safetensors = " HASH,
       "variant means nothing for a model in a single file"},
      {"[m]\npath = x.safetensors\nsha256 y.safetensors = " HASH, "one sha256, of x.safetensors"},
      {"[m]\nkind = tiny\ndefault = yes\npath = x\nsha256 a = " HASH,
       "default means nothing for a tiny"},
      {"[m]\npinned = maybe\n", ":2: pinned is one of no, yes, not maybe"},
      {"[m]\nkind = tiny\npinned = no\npath = x\nsha256 a = " HASH,
       "pinned means nothing for a tiny"},
      {"[m]\ndefault = yes\n[n]\ndefault = yes\n", ":4: m is the default already"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct models_table table = {.count = 99}; /* a refused one leaves it as it was */
    assert_int_equal(read_text(cases[i].text, &table), BAD_INPUT);
    assert_int_equal(table.count, 99);
    assert_null(table.arena);
    if (strstr(fail_reason(), cases[i].reason) == NULL) {
      print_error("%s: %s\n", cases[i].reason, fail_reason());
      assert_true(false);
    }
  }
  struct models_table table = {.count = 99};
  assert_int_equal(models_table_read("/nowhere/models.conf", &table), UNAVAILABLE);
  assert_int_equal(table.count, 99);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_table_is_read),
      cmocka_unit_test(devices_are_matched),
      cmocka_unit_test(the_only_model_is_the_default),
      cmocka_unit_test(single_files_and_what_jobs_name_beside),
      cmocka_unit_test(what_means_nothing_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
