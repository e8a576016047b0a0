/* test_embeddings.c - words of textual inversion: files of every form, vectors on the device, and
 * what is refused. */
#include <math.h>

#include "worker/model/embeddings.h"

#include "tests/unit/model/adapter_group.h"
#include "worker/model/embedding_file.h"
#include "worker/model/tokenizer.h"

#define WIDTH 32 /* of tiny-eps */

static struct embedding_source as_embedding(const struct adapter_source *file, const char *token) {
  return (struct embedding_source){
      .name = file->name, .token = token, .data = file->data, .bytes = file->bytes};
}

/* Row r of what is on the device. */
static void assert_row(const struct embeddings *embeddings, int row, const char *name,
                       int64_t begin) {
  const struct tensor *table = embeddings_table(embeddings, NETWORK_TEXT);
  static float values[64 * WIDTH];
  assert_ok(device_get(tiny.device, table, values, tensor_bytes(table)));
  for (int64_t i = 0; i < WIDTH; i++) {
    assert_float_equal(values[row * WIDTH + i], made_value(name, begin + i), 0);
  }
}

static void every_form_is_read(void **state) {
  (void)state;
  static const struct {
    const char *fixture, *token, *word;
    int vectors;
  } rows[] = {{"embedding/a1111", "castle", "castle", 2},
              {"embedding/diffusers", NULL, "<castle>", 3},
              {"embedding/diffusers", "mine", "mine", 3},
              {"embedding/single", NULL, "<tower>", 1},
              {"embedding/xl", "castle", "castle", 2}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct bytes content;
    struct adapter_source file = fixture_source(&content, rows[i].fixture);
    struct embedding_source source = as_embedding(&file, rows[i].token);
    struct embeddings *embeddings = NULL;
    assert_ok(embeddings_open(tiny.model, &source, 1, &embeddings));
    assert_int_equal(embeddings_count(embeddings), 1);
    const struct embedding_word *word = embeddings_at(embeddings, 0);
    assert_string_equal(word->token, rows[i].word);
    assert_int_equal(word->first, 0);
    assert_int_equal(word->vectors, rows[i].vectors);
    const struct tensor *table = embeddings_table(embeddings, NETWORK_TEXT);
    assert_int_equal(table->shape[0], rows[i].vectors);
    assert_int_equal(table->shape[1], WIDTH);
    assert_null(embeddings_table(embeddings, NETWORK_TEXT_2));
    assert_true(embeddings_bytes(embeddings) >= tensor_bytes(table));
    embeddings_close(&embeddings);
    bytes_close(&content);
  }
}

/* Two words, whichever comes first: their vectors lie one after another, sorted by word. */
static void words_lie_in_one_order(void **state) {
  (void)state;
  struct made a, b;
  struct embeddings *embeddings[2] = {NULL};
  made_open(&a);
  made_open(&b);
  made_add(&a, "emb_params", TENSOR_SHAPE(3, WIDTH));
  made_add(&b, "string_to_param.*", TENSOR_SHAPE(WIDTH));
  struct adapter_source files[2] = {made_source(&a, NULL), made_source(&b, NULL)};
  struct embedding_source sources[2] = {as_embedding(&files[0], "zebra"),
                                        as_embedding(&files[1], "ant")};
  struct embedding_source turned[2] = {sources[1], sources[0]};
  assert_ok(embeddings_open(tiny.model, sources, 2, &embeddings[0]));
  assert_ok(embeddings_open(tiny.model, turned, 2, &embeddings[1]));
  for (int i = 0; i < 2; i++) {
    assert_string_equal(embeddings_at(embeddings[i], 0)->token, "ant");
    assert_int_equal(embeddings_at(embeddings[i], 1)->first, 1);
    assert_int_equal(embeddings_at(embeddings[i], 1)->vectors, 3);
    assert_row(embeddings[i], 0, "string_to_param.*", 0);
    assert_row(embeddings[i], 3, "emb_params", 2 * WIDTH);
  }
  assert_memory_equal(embeddings_digest(embeddings[0]), embeddings_digest(embeddings[1]),
                      EMBEDDINGS_DIGEST_BYTES);
  embeddings_close(&embeddings[1]);
  turned[0].token = "bee";
  assert_ok(embeddings_open(tiny.model, turned, 2, &embeddings[1]));
  assert_memory_not_equal(embeddings_digest(embeddings[0]), embeddings_digest(embeddings[1]),
                          EMBEDDINGS_DIGEST_BYTES);
  embeddings_close(&embeddings[0]);
  embeddings_close(&embeddings[1]);
  made_close(&a);
  made_close(&b);
}

static void none_is_an_empty_set(void **state) {
  (void)state;
  struct embeddings *embeddings = NULL;
  assert_ok(embeddings_open(tiny.model, NULL, 0, &embeddings));
  assert_int_equal(embeddings_count(embeddings), 0);
  assert_null(embeddings_table(embeddings, NETWORK_TEXT));
  embeddings_close(&embeddings);
}

static void refused(const struct embedding_source *sources, size_t count, const char *reason) {
  struct embeddings *embeddings = NULL;
  size_t before = device_memory_used(tiny.device);
  assert_refused(embeddings_open(tiny.model, sources, count, &embeddings), reason);
  assert_string_equal(fail_field_name(), "embedding");
  assert_int_equal(device_memory_used(tiny.device), before);
}

static void bad_files_are_refused(void **state) {
  (void)state;
  static char long_word[EMBEDDING_TOKEN_BYTES_MAX + 2];
  memset(long_word, 'x', sizeof long_word - 1);
  static const struct {
    const char *names[2], *token;
    int rank;
    int64_t shape[3];
    const char *reason;
  } rows[] = {
      {{"emb_params"}, "a", 2, {2, 768}, "vectors of 768 values"},
      {{"emb_params"}, "a", 3, {1, 1, WIDTH}, "in 3 dimensions"},
      {{"emb_params"}, "a", 2, {1025, WIDTH}, "has 1025 vectors, allowed are 1 to 1024"},
      {{"emb_params"}, NULL, 2, {2, WIDTH}, "does not name the word"},
      {{"emb_params"}, "", 2, {2, WIDTH}, "its word has 0 bytes"},
      {{"emb_params"}, "two words", 2, {2, WIDTH}, "has a space"},
      {{"emb_params"}, long_word, 2, {2, WIDTH}, "its word has 129 bytes"},
      {{"clip_g"}, "a", 2, {2, WIDTH}, "\"clip_l\" is missing"},
      {{"emb_params", "other"}, "a", 2, {2, WIDTH}, "is one of 2 tensors"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct made made;
    made_open(&made);
    for (int j = 0; j < 2 && rows[i].names[j] != NULL; j++) {
      made_add(&made, rows[i].names[j], rows[i].rank, rows[i].shape);
    }
    struct adapter_source file = made_source(&made, NULL);
    struct embedding_source source = as_embedding(&file, rows[i].token);
    refused(&source, 1, rows[i].reason);
    made_close(&made);
  }
}

static void pickles_are_refused_with_a_way_out(void **state) {
  (void)state;
  static const uint8_t zip[] = {'P', 'K', 3, 4, 0, 0, 0, 0, 0, 0, 0, 0};
  struct embedding_source source = {
      .name = "bad.pt", .token = "bad", .data = zip, .bytes = sizeof zip};
  refused(&source, 1, "save_file({'emb_params'");
}

static void values_that_are_no_numbers_are_refused(void **state) {
  (void)state;
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct made made;
    float values[2 * WIDTH] = {0};
    values[2 * WIDTH - 1] = bad[i];
    made_open(&made);
    made_add_values(&made, "emb_params", TENSOR_SHAPE(2, WIDTH), values);
    struct adapter_source file = made_source(&made, NULL);
    struct embedding_source source = as_embedding(&file, "castle");
    refused(&source, 1, "has values that are no finite numbers");
    made_close(&made);
  }
}

static void words_there_twice_and_too_many_are_refused(void **state) {
  (void)state;
  struct made made;
  made_open(&made);
  made_add(&made, "emb_params", TENSOR_SHAPE(600, WIDTH));
  struct adapter_source file = made_source(&made, NULL);
  struct embedding_source sources[EMBEDDINGS_MAX + 1];
  for (int i = 0; i <= EMBEDDINGS_MAX; i++) {
    sources[i] = as_embedding(&file, "castle");
  }
  refused(sources, 2, "two embeddings have the word \"castle\"");
  refused(sources, EMBEDDINGS_MAX + 1, "at most 16 are allowed");
  sources[1].token = "tower";
  refused(sources, 2, "have 1200 vectors");
  made_close(&made);
}

/* An XL model's two encoders get a tensor each, of as many vectors. */
static void two_encoders_get_one_each(void **state) {
  (void)state;
  static const struct embedding_target xl = {
      "sdxl", 2, {NETWORK_TEXT, NETWORK_TEXT_2}, {WIDTH, 48}};
  struct embedding_vectors read;
  struct arena *arena = NULL;
  struct bytes content;
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &arena));
  struct adapter_source file = fixture_source(&content, "embedding/xl");
  struct embedding_source source = as_embedding(&file, "castle");
  assert_ok(embedding_read(&xl, &source, arena, &read));
  assert_int_equal(read.vectors, 2);
  assert_non_null(read.value[1]);
  bytes_close(&content);
  file = fixture_source(&content, "embedding/a1111");
  source = as_embedding(&file, "castle");
  assert_refused(embedding_read(&xl, &source, arena, &read), "\"clip_l\" is missing");
  bytes_close(&content);
  struct made made;
  made_open(&made);
  made_add(&made, "clip_l", TENSOR_SHAPE(2, WIDTH));
  made_add(&made, "clip_g", TENSOR_SHAPE(3, 48));
  file = made_source(&made, NULL);
  source = as_embedding(&file, "castle");
  assert_refused(embedding_read(&xl, &source, arena, &read),
                 "\"clip_g\" has 3 vectors, those of the other encoder are 2");
  made_close(&made);
  arena_close(&arena);
}

/* ---- in prompts ---- */

/* The tokens of a word, and their rows of the model's own table, as a file of embeddings. */
static int make_twin(const char *word, struct made *made) {
  static float values[16 * WIDTH];
  struct tokenizer *tokenizer = NULL;
  const struct family *family = model_family(tiny.model);
  struct tokenizer_shape shape = {family->clip[0].vocabulary, family->clip[0].positions,
                                  family->prompt[0]};
  int32_t ids[16];
  struct token_list list = {.id = ids, .max = 16};
  struct bytes file;
  struct arena *arena = NULL;
  struct safetensors table;
  assert_ok(tokenizer_open(tiny_folder("tiny-eps"), "tokenizer", shape, &tokenizer));
  assert_ok(tokenizer_append(tokenizer, word, strlen(word), &list));
  tokenizer_close(&tokenizer);
  assert_ok(arena_open(NULL, TINY_ARENA_BYTES, &arena));
  bytes_open(&file, TINY_ARENA_BYTES);
  assert_ok(bytes_read_file(&file, TINY_FIXTURES "/tiny-eps/text_encoder/model.safetensors"));
  assert_ok(safetensors_read("model", file.data, file.length, arena, &table));
  const struct safetensors_entry *entry =
      safetensors_find(&table, "text_model.embeddings.token_embedding.weight");
  assert_non_null(entry);
  for (int i = 0; i < list.count; i++) {
    memcpy(values + i * WIDTH, table.data + entry->begin + (size_t)ids[i] * WIDTH * sizeof(float),
           WIDTH * sizeof(float));
  }
  made_add_values(made, "emb_params", TENSOR_SHAPE(list.count, WIDTH), values);
  arena_close(&arena);
  bytes_close(&file);
  return list.count;
}

/* A word with the vectors of a word that is there is that word, bit for bit. */
static void a_twin_of_a_word_is_that_word(void **state) {
  (void)state;
  static float want[77 * WIDTH], got[77 * WIDTH];
  struct made made;
  struct embeddings *embeddings = NULL;
  struct conditioning conditioning;
  struct condition condition = {.prompt = "a red house by the lake at night"};
  made_open(&made);
  assert_in_range(make_twin("house", &made), 1, 16);
  assert_ok(model_condition(tiny.model, tiny.keep, tiny.turn, &condition, &conditioning, NULL));
  assert_ok(device_get(tiny.device, &conditioning.embedding, want, sizeof want));
  struct adapter_source file = made_source(&made, NULL);
  struct embedding_source source = as_embedding(&file, "<castle>");
  assert_ok(embeddings_open(tiny.model, &source, 1, &embeddings));
  condition.prompt = "a red <castle> by the lake at night";
  condition.embeddings = embeddings;
  assert_ok(model_condition(tiny.model, tiny.keep, tiny.turn, &condition, &conditioning, NULL));
  assert_ok(device_get(tiny.device, &conditioning.embedding, got, sizeof got));
  assert_memory_equal(got, want, sizeof got);
  embeddings_close(&embeddings);
  made_close(&made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_is_read),
      cmocka_unit_test(words_lie_in_one_order),
      cmocka_unit_test(none_is_an_empty_set),
      cmocka_unit_test(bad_files_are_refused),
      cmocka_unit_test(pickles_are_refused_with_a_way_out),
      cmocka_unit_test(values_that_are_no_numbers_are_refused),
      cmocka_unit_test(words_there_twice_and_too_many_are_refused),
      cmocka_unit_test(two_encoders_get_one_each),
      cmocka_unit_test(a_twin_of_a_word_is_that_word),
  };
  return cmocka_run_group_tests(tests, open_ref, close_tiny);
}
