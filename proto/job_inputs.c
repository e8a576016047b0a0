/* job_inputs.c - the files of a job: where each is said, and what may be said of it. */
#include "proto/job_inputs.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proto/blob.h"
#include "proto/job.h"
#include "proto/job_rules.h"

typedef Darkroom__V1__Job Job;
typedef Darkroom__V1__Blob Blob;
typedef Darkroom__V1__Control Control;
typedef Darkroom__V1__Adapter Adapter;
typedef Darkroom__V1__Embedding Embedding;

#define KIND(name) DARKROOM__V1__BLOB_KIND__BLOB_##name

/* one after the other -------------------------------------------------------------------- */

static Blob *image_of(const Job *job, size_t index) { return index == 0 ? job->image : NULL; }
static Blob *mask_of(const Job *job, size_t index) { return index == 0 ? job->mask : NULL; }
static Blob *control_of(const Job *job, size_t index) { return job->control[index]->image; }
static Blob *adapter_of(const Job *job, size_t index) { return job->adapter[index]->blob; }
static Blob *embedding_of(const Job *job, size_t index) { return job->embedding[index]->blob; }

static size_t one(const Job *job) { return job != NULL ? 1 : 0; }
static size_t controls(const Job *job) { return job->n_control; }
static size_t adapters(const Job *job) { return job->n_adapter; }
static size_t embeddings(const Job *job) { return job->n_embedding; }

/* A field that holds files. */
static const struct holder {
  const char *field;
  Darkroom__V1__BlobKind kind;
  uint64_t bytes_max;
  size_t (*count)(const Job *job);
  Blob *(*blob)(const Job *job, size_t index); /* NULL: this one has none */
} holders[] = {
    {"image", KIND(IMAGE), INPUT_PICTURE_BYTES_MAX, one, image_of},
    {"mask", KIND(MASK), INPUT_PICTURE_BYTES_MAX, one, mask_of},
    {"control.image", KIND(CONTROL), INPUT_PICTURE_BYTES_MAX, controls, control_of},
    {"adapter.blob", KIND(ADAPTER), INPUT_ADAPTER_BYTES_MAX, adapters, adapter_of},
    {"embedding.blob", KIND(EMBEDDING), INPUT_EMBEDDING_BYTES_MAX, embeddings, embedding_of},
};

bool job_input_at(const Job *job, size_t at, struct job_input *out) {
  for (const struct holder *holder = holders; holder < holders + RULES(holders); holder++) {
    size_t count = holder->count(job);
    for (size_t i = 0; i < count; i++) {
      Blob *blob = holder->blob(job, i);
      if (blob != NULL && at-- == 0) {
        *out =
            (struct job_input){blob, holder->kind, (uint32_t)i, holder->field, holder->bytes_max};
        return true;
      }
    }
  }
  return false;
}

size_t job_input_count(const Job *job) {
  struct job_input input;
  size_t count = 0;
  while (job_input_at(job, count, &input)) {
    count++;
  }
  return count;
}

/* how many --------------------------------------------------------------------------------- */

static enum status check_counts(const Job *job, struct refusal *why) {
  const struct {
    const char *field, *limit;
    size_t count, max;
  } rows[] = {
      {"control", "at most " TEXT_OF(CONTROLS_MAX), job->n_control, CONTROLS_MAX},
      {"adapter", "at most " TEXT_OF(JOB_ADAPTERS_MAX), job->n_adapter, JOB_ADAPTERS_MAX},
      {"embedding", "at most " TEXT_OF(JOB_EMBEDDINGS_MAX), job->n_embedding, JOB_EMBEDDINGS_MAX},
  };
  for (size_t i = 0; i < RULES(rows); i++) {
    if (rows[i].count > rows[i].max) {
      return refuse(why, RULE_FIELD, rows[i].field, rows[i].limit, "a job with %zu of %s",
                    rows[i].count, rows[i].field);
    }
  }
  return OK;
}

/* what each says ------------------------------------------------------------------------- */

static const struct real_rule control_reals[] = {
    RULE_REAL_OF(Control, "control", scale, "0.." TEXT_OF(JOB_CONTROL_SCALE_MAX), 0,
                 JOB_CONTROL_SCALE_MAX),
    RULE_REAL_OF(Control, "control", start, "0..1", 0, 1),
    RULE_REAL_OF(Control, "control", end, "0..1", 0, 1),
};

static enum status check_control(const Control *control, struct refusal *why) {
  static const struct text_rule model = {"control.model", 1, JOB_NAME_BYTES_MAX};
  TRY(rule_text(control->model != NULL ? control->model : "", &model, why));
  if (control->image == NULL) {
    return refuse(why, RULE_FIELD, "control.image", "required", "a control net without an image");
  }
  TRY(rule_reals(control, control_reals, RULES(control_reals), why));
  return control->start <= control->end
             ? OK
             : refuse(why, RULE_FIELD, "control.end", "start..1", "control ends before it starts");
}

static enum status one_of(const char *name, const Blob *blob, const struct text_rule *rule,
                          struct refusal *why) {
  if ((name == NULL) == (blob == NULL)) {
    return refuse(why, RULE_FIELD, rule->field, "either name or blob", "%s has %s", rule->field,
                  name == NULL ? "neither name nor blob" : "both name and blob");
  }
  return name == NULL ? OK : rule_text(name, rule, why);
}

#define WEIGHT_LIMIT "-" TEXT_OF(JOB_ADAPTER_WEIGHT_MAX) ".." TEXT_OF(JOB_ADAPTER_WEIGHT_MAX)
static const struct real_rule adapter_reals[] = {
    RULE_REAL_OF(Adapter, "adapter", weight, WEIGHT_LIMIT, -JOB_ADAPTER_WEIGHT_MAX,
                 JOB_ADAPTER_WEIGHT_MAX),
    RULE_REAL_OF(Adapter, "adapter", text_weight, WEIGHT_LIMIT, -JOB_ADAPTER_WEIGHT_MAX,
                 JOB_ADAPTER_WEIGHT_MAX),
};

static enum status check_adapter(const Adapter *adapter, struct refusal *why) {
  static const struct text_rule name = {"adapter", 1, JOB_NAME_BYTES_MAX};
  TRY(one_of(adapter->name, adapter->blob, &name, why));
  return rule_reals(adapter, adapter_reals, RULES(adapter_reals), why);
}

static enum status check_embedding(const Job *job, size_t index, struct refusal *why) {
  static const struct text_rule token = {"embedding.token", 1, JOB_TOKEN_BYTES_MAX};
  static const struct text_rule name = {"embedding", 1, JOB_NAME_BYTES_MAX};
  const Embedding *embedding = job->embedding[index];
  TRY(rule_text(embedding->token != NULL ? embedding->token : "", &token, why));
  for (size_t i = 0; i < index; i++) {
    if (strcmp(job->embedding[i]->token, embedding->token) == 0) {
      return refuse(why, RULE_FIELD, "embedding.token", "each once",
                    "two embeddings have the same token");
    }
  }
  return one_of(embedding->name, embedding->blob, &name, why);
}

static enum status check_fields(const Job *job, struct refusal *why) {
  for (size_t i = 0; i < job->n_control; i++) {
    TRY(check_control(job->control[i], why));
  }
  for (size_t i = 0; i < job->n_adapter; i++) {
    TRY(check_adapter(job->adapter[i], why));
  }
  for (size_t i = 0; i < job->n_embedding; i++) {
    TRY(check_embedding(job, i, why));
  }
  return OK;
}

/* all of them together -------------------------------------------------------------------- */

static enum status check_sums(uint64_t bytes, uint64_t inline_bytes, struct refusal *why) {
  if (inline_bytes > JOB_INLINE_BYTES_MAX) {
    return refuse(why, RULE_FIELD, "inline", "163840 bytes of all blobs together",
                  "a job with %llu bytes of inline files", (unsigned long long)inline_bytes);
  }
  return bytes <= JOB_INPUT_BYTES_MAX
             ? OK
             : refuse(why, RULE_FIELD, "bytes", "1073741824 of all blobs together",
                      "a job with %llu bytes of files", (unsigned long long)bytes);
}
_Static_assert(JOB_INLINE_BYTES_MAX == 163840, "the limit's text says so");
_Static_assert(JOB_INPUT_BYTES_MAX == 1073741824, "the limit's text says so");

enum status job_check_inputs(const Job *job, struct refusal *why) {
  TRY(check_counts(job, why));
  TRY(check_fields(job, why));
  uint64_t bytes = 0;
  uint64_t inline_bytes = 0;
  struct job_input input;
  for (size_t at = 0; job_input_at(job, at, &input); at++) {
    TRY(blob_check(&input, why));
    bytes += input.blob->has_bytes ? input.blob->bytes : 0;
    inline_bytes += input.blob->has_inline_ ? input.blob->inline_.len : 0;
  }
  return check_sums(bytes, inline_bytes, why);
}
