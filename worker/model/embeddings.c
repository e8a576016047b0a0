/* embeddings.c - the words of a job, their vectors one after another on the device. */
#include "worker/model/embeddings.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "worker/model/embedding_file.h"
#include "worker/model/model_inside.h"

/* The most that all files of a job can ask for before their sum is known: 2048 values a vector, in
 * f32, and as they lie in the file. */
#define HOST_BYTES_MAX ((size_t)512 * 1024 * 1024)

#define REFUSE(...) fail_field(BAD_INPUT, "embedding", __VA_ARGS__)

_Static_assert((size_t)EMBEDDINGS_MAX *EMBEDDING_VECTORS_MAX * 2048 * 8 < HOST_BYTES_MAX,
               "all of them can be read");

struct embeddings {
  struct arena *host; /* this struct, words */
  struct arena *on_device;
  size_t count;
  int encoders, vectors;
  enum network network[TEXT_ENCODERS_MAX];
  struct tensor table[TEXT_ENCODERS_MAX];
  struct embedding_word word[EMBEDDINGS_MAX];
  uint8_t digest[EMBEDDINGS_DIGEST_BYTES];
};

static struct embedding_target target_of(const struct model *model) {
  const struct family *family = &model->family;
  struct embedding_target target = {.family = family->row->name,
                                    .encoders = family->row->text_encoders};
  for (int i = 0; i < target.encoders; i++) {
    target.network[i] = family->row->place[i].network;
    target.width[i] = family->clip[i].width;
  }
  return target;
}

/* ---- reading ---- */

static int by_token(const void *a, const void *b) {
  const struct embedding_vectors *x = a, *y = b;
  return strcmp(x->token, y->token);
}

static enum status check_set(const struct embedding_vectors *read, size_t count) {
  int vectors = 0;
  for (size_t i = 0; i < count; i++) {
    vectors += read[i].vectors;
    if (i > 0 && strcmp(read[i].token, read[i - 1].token) == 0) {
      return REFUSE("two embeddings have the word \"%s\"", read[i].token);
    }
  }
  if (vectors > EMBEDDING_VECTORS_MAX) {
    return REFUSE("the embeddings of one job have %d vectors, at most %d are allowed", vectors,
                  EMBEDDING_VECTORS_MAX);
  }
  return OK;
}

/* Sorted by word, so that who names them in another order gets the same. */
static enum status read_set(const struct embedding_target *target,
                            const struct embedding_source *sources, size_t count,
                            struct arena *arena, struct embedding_vectors *out) {
  if (count > EMBEDDINGS_MAX) {
    return REFUSE("%zu embeddings in one job, at most %d are allowed", count, EMBEDDINGS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    TRY(embedding_read(target, &sources[i], arena, &out[i]));
  }
  qsort(out, count, sizeof *out, by_token);
  return check_set(out, count);
}

/* ---- keeping ---- */

static bool digest_word(EVP_MD_CTX *context, const struct embedding_target *target,
                        const struct embedding_vectors *read) {
  bool good = EVP_DigestUpdate(context, read->token, strlen(read->token) + 1) == 1 &&
              EVP_DigestUpdate(context, &read->vectors, sizeof read->vectors) == 1;
  for (int i = 0; i < target->encoders && good; i++) {
    size_t values = (size_t)(read->vectors * target->width[i]);
    good = EVP_DigestUpdate(context, read->value[i], values * sizeof(float)) == 1;
  }
  return good;
}

static enum status digest_set(const struct embedding_target *target,
                              const struct embedding_vectors *read, size_t count, uint8_t *out) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
  for (size_t i = 0; i < count && good; i++) {
    good = digest_word(context, target, &read[i]);
  }
  good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
  EVP_MD_CTX_free(context);
  return good ? OK : fail(BROKEN, "libcrypto cannot compute a sha256");
}

static enum status keep_words(struct embeddings *embeddings, const struct embedding_vectors *read,
                              size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct embedding_word *word = &embeddings->word[i];
    *word = (struct embedding_word){.first = embeddings->vectors, .vectors = read[i].vectors};
    TRY(arena_keep_text(embeddings->host, read[i].token, &word->token));
    embeddings->vectors += read[i].vectors;
  }
  embeddings->count = count;
  return OK;
}

/* All vectors of one encoder, in the type of the activations. */
static enum status put_table(struct device *device, const struct embeddings *embeddings,
                             const struct embedding_vectors *read, int encoder,
                             struct arena *scratch, struct tensor *table) {
  struct tensor host;
  size_t value = element_bytes(table->element);
  int64_t width = table->shape[1];
  TRY(tensor_take(scratch, table->element, table->rank, table->shape, &host));
  for (size_t i = 0; i < embeddings->count; i++) {
    const struct embedding_word *word = &embeddings->word[i];
    elements_from_f32(table->element, read[i].value[encoder], word->vectors * width,
                      (char *)host.data + (size_t)(word->first * width) * value);
  }
  return device_put(device, host.data, tensor_bytes(&host), table);
}

static enum status put_tables(struct model *model, const struct embedding_target *target,
                              const struct embedding_vectors *read, struct arena *scratch,
                              struct embeddings *out) {
  enum element element = device_element(model->device);
  out->encoders = target->encoders;
  if (out->vectors == 0) {
    return OK;
  }
  TRY(device_arena(model->device, HOST_BYTES_MAX, &out->on_device));
  for (int i = 0; i < target->encoders; i++) {
    out->network[i] = target->network[i];
    TRY(tensor_take(out->on_device, element, TENSOR_SHAPE(out->vectors, target->width[i]),
                    &out->table[i]));
    TRY(put_table(model->device, out, read, i, scratch, &out->table[i]));
  }
  return OK;
}

static enum status fill(struct model *model, const struct embedding_source *sources, size_t count,
                        struct embeddings *embeddings) {
  struct embedding_target target = target_of(model);
  struct embedding_vectors read[EMBEDDINGS_MAX];
  struct arena *scratch = NULL;
  TRY(arena_open(NULL, HOST_BYTES_MAX, &scratch));
  enum status status = read_set(&target, sources, count, scratch, read);
  status = status == OK ? digest_set(&target, read, count, embeddings->digest) : status;
  status = status == OK ? keep_words(embeddings, read, count) : status;
  status = status == OK ? put_tables(model, &target, read, scratch, embeddings) : status;
  arena_close(&scratch);
  return status;
}

enum status embeddings_open(struct model *model, const struct embedding_source *sources,
                            size_t count, struct embeddings **out) {
  struct arena *host = NULL;
  TRY(arena_open(NULL, HOST_BYTES_MAX, &host));
  struct embeddings *embeddings = arena_take_zeroed(host, sizeof *embeddings);
  if (embeddings == NULL) {
    arena_close(&host);
    return EXHAUSTED;
  }
  embeddings->host = host;
  enum status status = fill(model, sources, count, embeddings);
  if (status != OK) {
    embeddings_close(&embeddings);
    return status;
  }
  *out = embeddings;
  return OK;
}

void embeddings_close(struct embeddings **embeddings) {
  if (embeddings != NULL && *embeddings != NULL) {
    struct arena *host = (*embeddings)->host;
    arena_close(&(*embeddings)->on_device);
    arena_close(&host); /* the struct itself lies in it */
    *embeddings = NULL;
  }
}

/* ---- asking ---- */

size_t embeddings_count(const struct embeddings *embeddings) { return embeddings->count; }

const struct embedding_word *embeddings_at(const struct embeddings *embeddings, size_t index) {
  assert(index < embeddings->count);
  return &embeddings->word[index];
}

const struct tensor *embeddings_table(const struct embeddings *embeddings, enum network encoder) {
  for (int i = 0; i < embeddings->encoders && embeddings->vectors > 0; i++) {
    if (embeddings->network[i] == encoder) {
      return &embeddings->table[i];
    }
  }
  return NULL;
}

size_t embeddings_bytes(const struct embeddings *embeddings) {
  return embeddings->on_device != NULL ? arena_used(embeddings->on_device) : 0;
}

const uint8_t *embeddings_digest(const struct embeddings *embeddings) { return embeddings->digest; }
