/* test_tokenizer.c - ids against transformers' two classes (tests/model/goldens), and what a bad
 * vocabulary gets. */
#include "worker/model/tokenizer.h"

#include "base/limits.h"
#include "tests/unit/model/tiny.h"
#include "worker/model/prompt.h"

#define TOKENS 77

static const struct tokenizer_shape shape = {.vocabulary = 568, .tokens = TOKENS};

/* Each row has a text and, below `key`, the ids that transformers gives it. */
static void compare_rows_in(const char *folder, const json_t *rows, const char *key,
                            enum prompt_rules rules) {
  struct tokenizer *tokenizer = NULL;
  struct tokenizer_shape by_rules = {.vocabulary = 568, .tokens = TOKENS, .rules = rules};
  assert_ok(tokenizer_open(folder, "tokenizer", by_rules, &tokenizer));
  assert_true(json_array_size(rows) > 20);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *want = json_object_get(row, key);
    const char *text = json_string_value(json_object_get(row, "text"));
    int32_t ids[TOKENS];
    assert_ok(tokenizer_encode(tokenizer, text, ids));
    assert_int_equal(json_array_size(want), TOKENS);
    for (size_t k = 0; k < TOKENS; k++) {
      int expected = (int)json_number_value(json_array_get(want, k));
      if (ids[k] != expected) {
        fail_msg("%s: \"%s\": token %zu is %d, transformers says %d", key, text, k, ids[k],
                 expected);
      }
    }
  }
  tokenizer_close(&tokenizer);
}

static void compare_rows(const json_t *rows, const char *key, enum prompt_rules rules) {
  compare_rows_in(tiny_folder("tiny-eps"), rows, key, rules);
}

static void same_ids_as_transformers(void **state) {
  (void)state;
  json_t *goldens = NULL;
  assert_ok(config_json_file(TINY_GOLDENS, "goldens.json", CONFIG_BYTES_MAX, &goldens));
  compare_rows(json_object_get(goldens, "tokens"), "ids", PROMPT_FAST);
  json_decref(goldens);
}

/* What models/tokenizer_fuzz.py found, and one text of each kind that is easy to get wrong. */
static void same_ids_as_both_classes_on_odd_texts(void **state) {
  (void)state;
  json_error_t error;
  json_t *rows = json_load_file(TINY_GOLDENS "/tokens.json", JSON_REJECT_DUPLICATES, &error);
  assert_non_null(rows);
  compare_rows(rows, "plain", PROMPT_PLAIN);
  compare_rows(rows, "fast", PROMPT_FAST);
  json_decref(rows);
}

/* What other tools make of the same files: another order, escapes, a mark, line ends, blanks. */
static void rewritten_files_give_the_same_ids(void **state) {
  (void)state;
  static const char rewrite[] =
      "import json, pathlib, sys\n"
      "folder = pathlib.Path(sys.argv[1]) / 'tokenizer'\n"
      "for file in folder.glob('*.json'):\n"
      "    text = json.dumps(json.loads(file.read_text()), sort_keys=True, indent=1)\n"
      "    file.write_bytes(b'\\xef\\xbb\\xbf' + text.replace('\\n', '\\r\\n').encode())\n"
      "merges = (folder / 'merges.txt').read_text().split('\\n')\n"
      "text = '\\r\\n'.join(line.replace(' ', '  ') + '\\t ' for line in merges)\n"
      "(folder / 'merges.txt').write_bytes(b'\\xef\\xbb\\xbf' + text.encode() + b'\\r\\n\\r\\n')\n";
  char folder[] = "/tmp/darkroom-rewritten-XXXXXX", command[2048];
  assert_non_null(mkdtemp(folder));
  snprintf(command, sizeof command, "cp -r %s/. %s && python3 - %s <<'END'\n%sEND",
           tiny_folder("tiny-eps"), folder, folder, rewrite);
  tiny_shell(command);
  json_error_t error;
  json_t *rows = json_load_file(TINY_GOLDENS "/tokens.json", JSON_REJECT_DUPLICATES, &error);
  compare_rows_in(folder, rows, "plain", PROMPT_PLAIN);
  json_decref(rows);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  tiny_shell(command);
}

static void clean(enum prompt_rules rules, const char *prompt, const char *want) {
  struct bytes out;
  bytes_open(&out, 1024);
  assert_ok(prompt_clean(rules, prompt, strlen(prompt), &out));
  assert_string_equal(bytes_text(&out), want);
  bytes_close(&out);
}

static void text_is_composed_collapsed_and_lowered(void **state) {
  (void)state;
  for (enum prompt_rules rules = PROMPT_PLAIN; rules <= PROMPT_FAST; rules++) {
    clean(rules, "", "");
    clean(rules, "A  B\t\r\nC", "a b c");
    clean(rules, "e\xcc\x81", "\xc3\xa9");
    clean(rules, "\xc4\xb0", "i\xcc\x87");
  }
  clean(PROMPT_FAST, "\xe3\x80\x80x\xc2\x85", " x ");
  clean(PROMPT_PLAIN, "\xe3\x80\x80x\xc2\x85y", " xy"); /* a control character is dropped */
}

static void bad_prompts(void **state) {
  (void)state;
  struct tokenizer *tokenizer = NULL;
  int32_t ids[TOKENS];
  assert_ok(tokenizer_open(tiny_folder("tiny-eps"), "tokenizer", shape, &tokenizer));
  assert_refused(tokenizer_encode(tokenizer, "a \xff b", ids), "not UTF-8");
  assert_string_equal(fail_field_name(), "prompt");
  assert_refused(tokenizer_encode(tokenizer, "\xed\xa0\x80", ids), "not UTF-8");
  static char longest[JOB_PROMPT_BYTES_MAX + 2];
  memset(longest, 'x', sizeof longest - 2);
  assert_ok(tokenizer_encode(tokenizer, longest, ids));
  assert_int_equal(ids[TOKENS - 1], 567);
  memset(longest, 'x', sizeof longest - 1);
  assert_refused(tokenizer_encode(tokenizer, longest, ids), "at most 8192");
  tokenizer_close(&tokenizer);
}

/* ---- vocabularies made here ---- */

static enum status make(const char *vocabulary, const char *merges, int32_t *ids,
                        const char *prompt) {
  struct tokenizer_texts texts = {.vocabulary = vocabulary,
                                  .vocabulary_bytes = strlen(vocabulary),
                                  .merges = merges,
                                  .start = "<s>",
                                  .end = "<e>",
                                  .pad = "!",
                                  .unknown = "<u>"};
  struct tokenizer *tokenizer = NULL;
  enum status status =
      tokenizer_make(&texts, (struct tokenizer_shape){16, 6, PROMPT_PLAIN}, &tokenizer);
  if (status == OK) {
    status = tokenizer_encode(tokenizer, prompt, ids);
    tokenizer_close(&tokenizer);
  }
  return status;
}

#define TOKENS_OF_AB "\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab\":4,\"ab</w>\":5,\"abab</w>\":6"
#define SPECIALS "\"<s>\":10,\"<e>\":11,\"!\":12,\"<u>\":13"

static void lowest_rank_first(void **state) {
  (void)state;
  int32_t ids[6];
  assert_ok(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\na b\na b</w>\nab ab</w>\n", ids,
                 "ABAB a"));
  assert_memory_equal(ids, ((int32_t[]){10, 6, 2, 11, 12, 12}), sizeof ids);
  assert_ok(
      make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\nab ab</w>\na b</w>\n", ids, "abab"));
  assert_memory_equal(ids, ((int32_t[]){10, 0, 1, 5, 11, 12}), sizeof ids);
}

/* Where two merges want the same letter the lower rank has it, wherever it stands in the word. */
static void the_lower_rank_wins(void **state) {
  (void)state;
  static const char vocabulary[] =
      "{\"a\":0,\"b\":1,\"c</w>\":2,\"ab\":3,\"bc</w>\":4,\"c\":5," SPECIALS "}";
  int32_t ids[6];
  assert_ok(make(vocabulary, "#version: 0.2\nb c</w>\na b\n", ids, "abc"));
  assert_memory_equal(ids, ((int32_t[]){10, 0, 4, 11, 12, 12}), sizeof ids);
  assert_ok(make(vocabulary, "#version: 0.2\na b\nb c</w>\n", ids, "abc"));
  assert_memory_equal(ids, ((int32_t[]){10, 3, 2, 11, 12, 12}), sizeof ids);
}

static void unknown_bytes(void **state) {
  (void)state;
  int32_t ids[6];
  assert_ok(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "axb"));
  assert_memory_equal(ids, ((int32_t[]){10, 0, 13, 3, 11, 12}), sizeof ids);
}

/* Whatever they are glued to, and also a padding token that is a common sign. */
static void special_tokens_stand_apart(void **state) {
  (void)state;
  int32_t ids[6];
  assert_ok(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "a!b<e>"));
  assert_memory_equal(ids, ((int32_t[]){10, 2, 12, 3, 11, 11}), sizeof ids);
  assert_ok(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "!!<e><s"));
  assert_memory_equal(ids, ((int32_t[]){10, 12, 12, 11, 13, 11}), sizeof ids);
}

static void refused_prompts_leave_ids_alone(void **state) {
  (void)state;
  int32_t ids[6] = {1, 2, 3, 4, 5, 6};
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "a b \xff"),
                 "not UTF-8");
  /* also far behind the last token that counts */
  assert_refused(
      make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "a b a b a b a b a b \xff"),
      "not UTF-8");
  assert_memory_equal(ids, ((int32_t[]){1, 2, 3, 4, 5, 6}), sizeof ids);
}

static void too_long_is_cut(void **state) {
  (void)state;
  int32_t ids[6];
  assert_ok(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version: 0.2\n", ids, "a b a b a b"));
  assert_memory_equal(ids, ((int32_t[]){10, 2, 3, 2, 3, 11}), sizeof ids);
}

static void bad_vocabularies(void **state) {
  (void)state;
  int32_t ids[6];
  assert_refused(make("{" TOKENS_OF_AB "}", "#version\n", ids, ""), "<s> is missing");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS ",\"c\":16}", "#version\n", ids, ""),
                 "0 to 15");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS ",\"c\":-1}", "#version\n", ids, ""),
                 "0 to 15");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS ",\"c\":[1]}", "#version\n", ids, ""),
                 "nested");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS ",\"a\":1}", "#version\n", ids, ""),
                 "duplicate");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "} x", "#version\n", ids, ""), "vocab.json");
  assert_refused(make("[1]", "#version\n", ids, ""), "not a JSON object");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "a b\n", ids, ""), "#version");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version\na c\n", ids, ""),
                 "line 2 is not in vocab");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version\nb a\n", ids, ""),
                 "line 2 is not in vocab");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version\na b\na b\n", ids, ""),
                 "line 3 repeats line 2");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version\na\n", ids, ""), "two symbols");
  assert_refused(make("{" TOKENS_OF_AB "," SPECIALS "}", "#version\na b c\n", ids, ""),
                 "two symbols");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_ids_as_transformers),
      cmocka_unit_test(same_ids_as_both_classes_on_odd_texts),
      cmocka_unit_test(special_tokens_stand_apart),
      cmocka_unit_test(rewritten_files_give_the_same_ids),
      cmocka_unit_test(refused_prompts_leave_ids_alone),
      cmocka_unit_test(text_is_composed_collapsed_and_lowered),
      cmocka_unit_test(bad_prompts),
      cmocka_unit_test(lowest_rank_first),
      cmocka_unit_test(the_lower_rank_wins),
      cmocka_unit_test(unknown_bytes),
      cmocka_unit_test(too_long_is_cut),
      cmocka_unit_test(bad_vocabularies),
  };
  return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
