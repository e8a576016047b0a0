/* test_shards.c - weights in several files: an index, its files, and what may be wrong with them.
 */
#include "worker/model/shards.h"

#include "base/limits.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/checkpoint.h"
#include "worker/model/weights.h"

static enum status parse(const char *text) {
  struct shards shards = {.count = 77};
  enum status status = shards_parse("i.json", text, strlen(text), &shards);
  if (status == OK) {
    shards_close(&shards);
  } else {
    assert_int_equal(shards.count, 77); /* left as it was */
  }
  return status;
}

static void an_index_is_checked(void **state) {
  (void)state;
  assert_ok(parse("{\"metadata\":{\"total_size\":99999999999},\"weight_map\":{\"a\":\"x\"}}"));
  assert_refused(parse("{}"), "weight_map must be");
  assert_refused(parse("[]"), "i.json");
  assert_refused(parse("{\"weight_map\":[]}"), "weight_map must be");
  assert_refused(parse("{\"weight_map\":{}}"), "is empty");
  assert_refused(parse("{\"weight_map\":{\"a\":1}}"), "\"a\" must be in a file beside");
  assert_refused(parse("{\"weight_map\":{\"a\":\"../x\"}}"), "beside the index");
  assert_refused(parse("{\"weight_map\":{\"a\":\"/etc/x\"}}"), "beside the index");
  assert_refused(parse("{\"weight_map\":{\"a\":\"\"}}"), "beside the index");
  assert_refused(parse("{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}"), "duplicate");
  char many[8192] = "{\"weight_map\":{";
  for (int i = 0; i <= WEIGHT_FILES_MAX; i++) {
    size_t at = strlen(many);
    snprintf(many + at, sizeof many - at, "%s\"%d\":\"f%d\"", i > 0 ? "," : "", i, i);
  }
  snprintf(many + strlen(many), 3, "}}");
  assert_refused(parse(many), "more than");
}

/* tiny-eps's U-Net cut into two files by a script, its index, and one change. */
static void cut(const char *change, char folder[64]) {
  static const char script[] =
      "import json, struct, sys\n"
      "f = sys.argv[1] + '/unet/diffusion_pytorch_model'\n"
      "raw = open(f + '.safetensors', 'rb').read()\n"
      "n = struct.unpack('<Q', raw[:8])[0]\n"
      "head, data = json.loads(raw[8:8 + n]), raw[8 + n:]\n"
      "head.pop('__metadata__')\n"
      "names, index = sorted(head), {}\n"
      "for i, part in enumerate((names[::2], names[1::2]), 1):\n"
      "    out, blob = {}, b''\n"
      "    for name in part:\n"
      "        a, b = head[name]['data_offsets']\n"
      "        out[name] = {**head[name], 'data_offsets': [len(blob), len(blob) + b - a]}\n"
      "        blob += data[a:b]\n"
      "        index[name] = f'diffusion_pytorch_model-0000{i}-of-00002.safetensors'\n"
      "    text = json.dumps(out).encode()\n"
      "    open(f'{f}-0000{i}-of-00002.safetensors', 'wb')"
      ".write(struct.pack('<Q', len(text)) + text + blob)\n";
  char command[4096];
  snprintf(folder, 64, "/tmp/darkroom-shards-XXXXXX");
  assert_non_null(mkdtemp(folder));
  snprintf(command, sizeof command,
           "cp -r %s/. %s && python3 - %s <<'END'\n%s%s\n"
           "json.dump({'weight_map': index}, open(f + '.safetensors.index.json', 'w'))\n"
           "import os\nos.remove(f + '.safetensors')\nEND",
           tiny_folder("tiny-eps"), folder, folder, script, change);
  tiny_shell(command);
}

static void drop(const char *folder) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  tiny_shell(command);
}

static void parts_are_one_model(void **state) {
  (void)state;
  char folder[64];
  cut("", folder);
  struct tiny tiny;
  tiny_open_folder(&tiny, "ref", folder);
  tiny_close(&tiny);

  /* each file has its hash, and none is loaded without */
  struct weight_hash hash = {"unet/diffusion_pytorch_model-00001-of-00002.safetensors", "00"};
  struct model_source source = {.folder = folder, .hashes = &hash, .hash_count = 1};
  struct checkpoint *files = NULL;
  struct weights *weights = NULL;
  assert_ok(checkpoint_open(&source, &files));
  assert_refused(weights_open_network(files, NETWORK_UNET, &weights), "expected 00");
  const char *sum = strstr(fail_reason(), "sha256 is ") + strlen("sha256 is ");
  char right[65];
  snprintf(right, sizeof right, "%s", sum);
  hash.sha256 = right;
  assert_refused(weights_open_network(files, NETWORK_UNET, &weights),
                 "00002-of-00002.safetensors: no sha256 is given");
  checkpoint_close(&files);
  drop(folder);
}

static void files_that_are_not_what_the_index_says(void **state) {
  (void)state;
  static const struct {
    const char *change, *reason;
  } cases[] = {
      {"index.pop('conv_in.bias')", "the index says nothing of it"},
      {"index['conv_in.bias'] = index['conv_in.weight']", "the index says diffusion"},
      {"index['surprise'] = index['conv_in.bias']",
       "\"surprise\" is missing, which the index says"},
      {"index['conv_in.bias'] = 'elsewhere.safetensors'", "but the index says elsewhere"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char folder[64];
    struct device *device = NULL;
    struct model *model = NULL;
    cut(cases[i].change, folder);
    assert_ok(device_open("ref", NULL, &device));
    assert_refused(model_open(device, &(struct model_source){.folder = folder}, &model),
                   cases[i].reason);
    device_close(&device);
    drop(folder);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_index_is_checked),
      cmocka_unit_test(parts_are_one_model),
      cmocka_unit_test(files_that_are_not_what_the_index_says),
  };
  return cmocka_run_group_tests_name("shards", tests, NULL, NULL);
}
