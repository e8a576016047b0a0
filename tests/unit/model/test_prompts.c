/* test_prompts.c - weights in a prompt, and its tokens in chunks. */
#include "worker/model/prompt_chunks.h"

#include "tests/unit/model/tiny.h"
#include "worker/model/embeddings.h"
#include "worker/model/prompt_weights.h"

#include <math.h>

#define ROOM 75 /* tokens of a chunk */

/* ---- textual inversion, played ---- */

static struct embedding_word words[] = {{"lake", 0, 2}, {"lakeside", 2, 3}, {"many", 5, 80}};
size_t embeddings_count(const struct embeddings *embeddings) {
  (void)embeddings;
  return sizeof words / sizeof *words;
}
const struct embedding_word *embeddings_at(const struct embeddings *embeddings, size_t index) {
  (void)embeddings;
  return &words[index];
}
static const struct embeddings *const played = (const struct embeddings *)words;

/* ---- weights ---- */

/* Runs of one weight as "text@weight|...", BREAK as "/". */
static void assert_weights(const char *prompt, const char *want) {
  struct arena *arena = NULL;
  struct weighted_text text;
  char got[1024] = "";
  assert_ok(arena_open(NULL, (size_t)1 << 24, &arena));
  assert_ok(prompt_weights_read(arena, prompt, &text));
  size_t used = 0;
  for (size_t i = 0; i <= text.length; i++) {
    for (int b = 0; b < text.breaks[i]; b++) {
      used += (size_t)snprintf(got + used, sizeof got - used, "/");
    }
    if (i == text.length) {
      break;
    }
    used += (size_t)snprintf(got + used, sizeof got - used, "%c", text.text[i]);
    bool last = i + 1 == text.length || text.weight[i + 1] != text.weight[i] || text.breaks[i + 1];
    if (last) {
      used += (size_t)snprintf(got + used, sizeof got - used, "@%.6g|", text.weight[i]);
    }
  }
  assert_string_equal(got, want);
  arena_close(&arena);
}

/* The first six are the examples that stable-diffusion-webui gives for its rules. */
static void weights_as_the_web_ui_reads_them(void **state) {
  (void)state;
  assert_weights("normal text", "normal text@1|");
  assert_weights("an (important) word", "an @1|important@1.1| word@1|");
  assert_weights("(unbalanced", "unbalanced@1.1|");
  assert_weights("\\(literal\\]", "(literal]@1|");
  assert_weights("(unnecessary)(parens)", "unnecessaryparens@1.1|");
  assert_weights("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
                 "a @1|house@1.573| @1.1|on@1| a @1.1|hill@0.55|, sun, @1.1|sky@1.4641|.@1.1|");
  assert_weights("", "");
  assert_weights("[less]", "less@0.909091|");
  assert_weights("[[less]", "less@0.826446|");
  assert_weights("(a:1.3", "a:1.3@1.1|");
  assert_weights("a:1.3)", "a:1.3)@1|");
  assert_weights("a) b]", "a) b]@1|");
  assert_weights("(a: -0.5 )", "a@-0.5|");
  assert_weights("(a:b)", "a:b@1.1|");
  assert_weights("(a:.5)b", "a@0.5|b@1|");
  assert_weights("((a:2) b:3)", "a@6| b@3|");
  assert_weights("\\\\ \\x", "\\ x@1|");
  assert_weights("a\\", "a@1|");
}

static void breaks_end_a_chunk(void **state) {
  (void)state;
  assert_weights("a BREAK b", "a @1|/ b@1|");
  assert_weights("BREAK", "/");
  assert_weights("BREAK BREAK", "/ @1|/");
  assert_weights("(a BREAK b:2)", "a @2|/ b@2|");
  assert_weights("BREAKFAST xBREAK BREAK_ BREAK1", "BREAKFAST xBREAK BREAK_ BREAK1@1|");
  assert_weights("a,BREAK,b", "a,@1|/,b@1|");
  assert_weights(
      "\xc3\xa4"
      "BREAK",
      "\xc3\xa4"
      "BREAK@1|");
}

static void weights_that_are_refused(void **state) {
  (void)state;
  static const char *const prompts[] = {"(a:1.2.3)",
                                        "(a:101)",
                                        "(a:-101)",
                                        "(a:...)",
                                        "((a:60):2)",
                                        "(a:+)",
                                        "(a:11111111111111111111111111111111111111111111111111)"};
  struct arena *arena = NULL;
  struct weighted_text text;
  assert_ok(arena_open(NULL, (size_t)1 << 24, &arena));
  for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
    bool plain = strcmp(prompts[i], "(a:+)") == 0; /* no digit: not a weight, but text */
    assert_int_equal(prompt_weights_read(arena, prompts[i], &text), plain ? OK : BAD_INPUT);
    if (!plain) {
      assert_string_equal(fail_field_name(), "prompt");
    }
  }
  arena_close(&arena);
}

/* ---- chunks ---- */

struct bench {
  struct arena *arena;
  struct tokenizer *tokenizer;
  struct prompt_reader reader;
};

static int open_tokens(void **state, const char *model) {
  static struct bench bench;
  struct family family;
  assert_ok(family_read(tiny_folder(model), &family));
  struct tokenizer_shape shape = {family.clip[0].vocabulary, 77, PROMPT_PLAIN};
  assert_ok(arena_open(NULL, (size_t)1 << 26, &bench.arena));
  assert_ok(tokenizer_open(tiny_folder(model), "tokenizer", shape, &bench.tokenizer));
  bench.reader = (struct prompt_reader){bench.tokenizer, family.clip[0].vocabulary, 77};
  *state = &bench;
  return 0;
}
static int open_filled_with_end(void **state) { return open_tokens(state, "tiny-eps"); }
static int open_filled_with_first(void **state) { return open_tokens(state, "tiny-sd2"); }
static int close_tokens(void **state) {
  struct bench *bench = *state;
  tokenizer_close(&bench->tokenizer);
  arena_close(&bench->arena);
  return 0;
}

/* count times "a ", each of which is one token. */
static const char *letters(int count) {
  static char text[JOB_PROMPT_BYTES_MAX + 3];
  text[0] = '\0';
  for (int i = 0; i < count; i++) {
    memcpy(text + 2 * (size_t)i, "a ", 3);
  }
  return text;
}

static struct prompt_chunks make(struct bench *bench, enum prompt_mode mode, const char *prompt) {
  struct condition condition = {.prompt = prompt, .mode = mode};
  struct prompt_chunks chunks;
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  return chunks;
}

static void plain_is_what_the_tokenizer_makes(void **state) {
  struct bench *bench = *state;
  const char *prompts[] = {"", "a red house by the lake at night", "<|endoftext|> a", "  ", NULL};
  int lengths[] = {74, 75, 76, 300};
  for (int i = 0; i < 8; i++) {
    const char *prompt = i < 4 ? prompts[i] : letters(lengths[i - 4]);
    int32_t ids[77];
    assert_ok(tokenizer_encode(bench->tokenizer, prompt, ids));
    struct prompt_chunks chunks = make(bench, PROMPT_MODE_PLAIN, prompt);
    assert_int_equal(chunks.chunks, 1);
    assert_memory_equal(chunks.id, ids, sizeof ids);
    assert_false(chunks.weighted[0]);
    if (i >= 4) {
      assert_int_equal(chunks.tokens, lengths[i - 4]);
      assert_int_equal(chunks.cut, lengths[i - 4] > ROOM ? lengths[i - 4] - ROOM : 0);
    }
  }
}

static void long_prompts_go_on_in_further_chunks(void **state) {
  struct bench *bench = *state;
  static const struct {
    int tokens, chunks;
  } rows[] = {{0, 1}, {75, 1}, {76, 2}, {150, 2}, {151, 3}, {16 * 75, 16}};
  struct token_marks marks = tokenizer_marks(bench->tokenizer);
  int32_t one[77], letter[77];
  assert_ok(tokenizer_encode(bench->tokenizer, letters(1), one));
  assert_ok(tokenizer_encode(bench->tokenizer, letters(ROOM), letter));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct prompt_chunks chunks = make(bench, PROMPT_MODE_LONG, letters(rows[i].tokens));
    assert_int_equal(chunks.chunks, rows[i].chunks);
    assert_int_equal(chunks.tokens, rows[i].tokens);
    assert_int_equal(chunks.cut, 0);
    for (int c = 0; c < chunks.chunks; c++) {
      int left = rows[i].tokens - c * ROOM;
      assert_int_equal(chunks.id[c * 77], marks.start);
      assert_int_equal(chunks.id[c * 77 + (left < ROOM ? left : ROOM) + 1], marks.end);
      if (left >= ROOM) {
        assert_memory_equal(chunks.id + (size_t)c * 77, letter, sizeof letter);
      } else if (left == 1) {
        assert_memory_equal(chunks.id + (size_t)c * 77, one, sizeof one);
      }
    }
  }
  struct condition condition = {.prompt = letters(16 * 75 + 1), .mode = PROMPT_MODE_LONG};
  struct prompt_chunks chunks;
  assert_refused(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks),
                 "more than 16 chunks");
  assert_string_equal(fail_field_name(), "prompt");
}

static void weights_go_with_their_tokens(void **state) {
  struct bench *bench = *state;
  struct prompt_chunks plain = make(bench, PROMPT_MODE_LONG, "a house by a lake");
  struct prompt_chunks chunks = make(bench, PROMPT_MODE_WEIGHTED, "a (house:1.5) by a lake");
  assert_memory_equal(chunks.id, plain.id, 77 * sizeof *plain.id);
  assert_true(chunks.weighted[0]);
  int weighted = 0;
  for (int i = 0; i < 77; i++) {
    assert_true(chunks.weight[i] == 1 || chunks.weight[i] == 1.5f);
    weighted += chunks.weight[i] == 1.5f;
  }
  struct prompt_chunks house = make(bench, PROMPT_MODE_LONG, "house");
  assert_int_equal(weighted, house.tokens);
  assert_false(make(bench, PROMPT_MODE_WEIGHTED, "a (house:1) by a lake").weighted[0]);
  /* no markup is read where none was asked for */
  assert_true(make(bench, PROMPT_MODE_LONG, "a (house:1.5)").tokens > plain.tokens);
}

static void breaks_begin_chunks(void **state) {
  struct bench *bench = *state;
  assert_int_equal(make(bench, PROMPT_MODE_WEIGHTED, "a BREAK a").chunks, 2);
  assert_int_equal(make(bench, PROMPT_MODE_WEIGHTED, "a BREAK").chunks, 1);
  assert_int_equal(make(bench, PROMPT_MODE_WEIGHTED, "BREAK a").chunks, 2);
  assert_int_equal(make(bench, PROMPT_MODE_WEIGHTED, "a BREAK BREAK a").chunks, 3);
  assert_int_equal(make(bench, PROMPT_MODE_WEIGHTED, "BREAK").chunks, 1);
}

static void words_stand_for_their_vectors(void **state) {
  struct bench *bench = *state;
  struct condition condition = {.prompt = "a lakeside lake", .embeddings = played};
  struct prompt_chunks chunks;
  int32_t first = bench->reader.vocabulary;
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  assert_int_equal(chunks.tokens, 1 + 3 + 2);
  const int32_t want[] = {first + 2, first + 3, first + 4, first, first + 1};
  assert_memory_equal(chunks.id + 2, want, sizeof want);
  /* in one chunk where a chunk has room for them, else over several */
  char prompt[512];
  snprintf(prompt, sizeof prompt, "%s lake", letters(74));
  condition = (struct condition){prompt, PROMPT_MODE_LONG, .embeddings = played};
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  assert_int_equal(chunks.chunks, 2);
  assert_int_equal(chunks.id[77 + 1], first);
  assert_int_equal(chunks.id[77 + 2], first + 1);
  condition.prompt = "many";
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  assert_int_equal(chunks.chunks, 2);
  condition.mode = PROMPT_MODE_PLAIN;
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  assert_int_equal(chunks.cut, 5);
}

static void a_text_is_pooled_at_its_end(void **state) {
  struct bench *bench = *state;
  struct condition condition = {.prompt = "a lake", .embeddings = played};
  struct prompt_chunks chunks;
  int32_t end = tokenizer_marks(bench->tokenizer).end;
  assert_ok(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks));
  assert_int_equal(prompt_chunks_end(&chunks, &bench->reader, 0, end), 4);
  assert_int_equal(prompt_chunks_end(&chunks, &bench->reader, 0, 2), 4); /* no word is an end */
  assert_ok(prompt_chunks_fill(&bench->reader, 3, &chunks));
  assert_int_equal(chunks.chunks, 3);
  assert_int_equal(prompt_chunks_end(&chunks, &bench->reader, 2, end), 1);
}

static void prompts_that_are_refused(void **state) {
  struct bench *bench = *state;
  static char longest[JOB_PROMPT_BYTES_MAX + 2];
  memset(longest, 'a', sizeof longest - 1);
  const char *const prompts[] = {longest, "\xff"};
  for (int mode = PROMPT_MODE_PLAIN; mode <= PROMPT_MODE_WEIGHTED; mode++) {
    for (size_t i = 0; i < 2; i++) {
      struct condition condition = {.prompt = prompts[i], .mode = (enum prompt_mode)mode};
      struct prompt_chunks chunks;
      assert_int_equal(prompt_chunks_make(bench->arena, &bench->reader, &condition, &chunks),
                       BAD_INPUT);
      assert_string_equal(fail_field_name(), "prompt");
    }
  }
}

int main(void) {
#define FILLED(test, with) \
  cmocka_unit_test_setup_teardown(test, open_filled_with_##with, close_tokens)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_as_the_web_ui_reads_them),
      cmocka_unit_test(breaks_end_a_chunk),
      cmocka_unit_test(weights_that_are_refused),
      FILLED(plain_is_what_the_tokenizer_makes, end),
      FILLED(plain_is_what_the_tokenizer_makes, first),
      FILLED(long_prompts_go_on_in_further_chunks, end),
      FILLED(long_prompts_go_on_in_further_chunks, first),
      FILLED(weights_go_with_their_tokens, end),
      FILLED(breaks_begin_chunks, end),
      FILLED(words_stand_for_their_vectors, end),
      FILLED(a_text_is_pooled_at_its_end, first),
      FILLED(prompts_that_are_refused, end),
  };
  return cmocka_run_group_tests_name("prompts", tests, NULL, NULL);
}
