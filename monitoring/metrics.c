/* metrics.c - one table of rows, one table of series, one lock. */
#include "monitoring/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LABELS_BYTES_MAX 96
#define BUCKETS_MAX 24

enum kind { COUNTER, GAUGE, HISTOGRAM };

enum buckets {
#define BUCKETS(id, ...) BUCKETS_##id,
#include "monitoring/metrics.def"
#undef BUCKETS
  BUCKETS_COUNT
};

struct bucket_row {
  size_t count;
  double bound[BUCKETS_MAX];
};

static const struct bucket_row bucket_rows[BUCKETS_COUNT] = {
#define BUCKETS(id, ...) {sizeof((double[]){__VA_ARGS__}) / sizeof(double), {__VA_ARGS__}},
#include "monitoring/metrics.def"
#undef BUCKETS
};

struct row {
  const char *name;
  enum kind kind;
  enum buckets buckets;
  unsigned programs;
  const char *labels;
  const char *help;
};

enum { BROKER = METRICS_OF_BROKER, WORKER = METRICS_OF_WORKER, BOTH = BROKER | WORKER };

static const struct row rows[METRICS_COUNT] = {
#define METRIC(id, kind, name, buckets, programs, labels, help) \
  {"darkroom_" name, kind, BUCKETS_##buckets, programs, labels, help},
#include "monitoring/metrics.def"
#undef METRIC
};

/* The numbers of one row under one set of label values. */
struct series {
  char values[LABELS_BYTES_MAX]; /* "interactive", "put,200"; "" for a row without labels */
  double value;                  /* of a histogram: the sum */
  uint64_t count;
  uint64_t bucket[BUCKETS_MAX]; /* not cumulated */
};

struct state {
  size_t series_count;
  struct series series[METRIC_SERIES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct state states[METRICS_COUNT];
static bool series_made;
static unsigned program_shown = BOTH;

static size_t label_count(const struct row *row) {
  size_t count = row->labels[0] != '\0';
  for (const char *at = row->labels; *at != '\0'; at++) {
    count += *at == ',';
  }
  return count;
}

static struct series *series_find(struct state *state, const char *values) {
  for (size_t i = 0; i < state->series_count; i++) {
    if (strcmp(state->series[i].values, values) == 0) {
      return &state->series[i];
    }
  }
  return NULL;
}

static struct series *series_append(struct state *state, const char *values) {
  struct series *series = &state->series[state->series_count++];
  snprintf(series->values, sizeof series->values, "%s", values);
  return series;
}

/* Rows without labels and rows that name their values have all their series from the start, at
 * zero, so that a rate() sees the first event. */
static void make_series(enum metric metric) {
  const struct row *row = &rows[metric];
  struct state *state = &states[metric];
  if (row->labels[0] == '\0') {
    series_append(state, "");
    return;
  }
  const char *known = strchr(row->labels, '=');
  while (known != NULL) {
    const char *start = known + 1;
    size_t bytes = strcspn(start, "|");
    char value[LABELS_BYTES_MAX];
    snprintf(value, sizeof value, "%.*s", (int)bytes, start);
    series_append(state, value);
    known = start[bytes] == '|' ? start + bytes : NULL;
  }
}

static void make_all_series(void) {
  for (size_t i = 0; i < METRICS_COUNT && !series_made; i++) {
    make_series((enum metric)i);
  }
  series_made = true;
}

/* "other", or "other,other": where series past the maximum go, so that no peer can grow the table.
 */
static const char *overflow_values(const struct row *row) {
  static const char *const others[] = {"", "other", "other,other", "other,other,other"};
  size_t count = label_count(row);
  assert(count < sizeof others / sizeof others[0]);
  return others[count];
}

/* The lock is held. */
static struct series *series_of(enum metric metric, const char *values) {
  struct state *state = &states[metric];
  make_all_series();
  struct series *series = strlen(values) < LABELS_BYTES_MAX ? series_find(state, values) : NULL;
  if (series != NULL) {
    return series;
  }
  bool room = state->series_count < METRIC_SERIES_MAX - 1 && strlen(values) < LABELS_BYTES_MAX;
  if (room) {
    return series_append(state, values);
  }
  const char *other = overflow_values(&rows[metric]);
  series = series_find(state, other);
  return series != NULL ? series : series_append(state, other);
}

enum change { ADD, SET, OBSERVE };

static void observe(struct series *series, const struct bucket_row *buckets, double value) {
  series->value += value;
  series->count++;
  for (size_t i = 0; i < buckets->count; i++) {
    if (value <= buckets->bound[i]) {
      series->bucket[i]++;
      return;
    }
  }
}

static void change(enum metric metric, const char *values, enum change what, double amount) {
  const struct row *row = &rows[metric];
  assert((what == OBSERVE) == (row->kind == HISTOGRAM));
  assert(row->kind != COUNTER || (what == ADD && amount >= 0));
  assert((values[0] == '\0') == (row->labels[0] == '\0'));
  pthread_mutex_lock(&lock);
  struct series *series = series_of(metric, values);
  if (what == OBSERVE) {
    observe(series, &bucket_rows[row->buckets], amount);
  } else {
    series->value = what == SET ? amount : series->value + amount;
  }
  pthread_mutex_unlock(&lock);
}

void metric_add(enum metric metric, double amount) { change(metric, "", ADD, amount); }
void metric_set(enum metric metric, double value) { change(metric, "", SET, value); }
void metric_observe(enum metric metric, double value) { change(metric, "", OBSERVE, value); }

void metric_add_labelled(enum metric metric, const char *values, double amount) {
  change(metric, values, ADD, amount);
}
void metric_set_labelled(enum metric metric, const char *values, double value) {
  change(metric, values, SET, value);
}
void metric_observe_labelled(enum metric metric, const char *values, double value) {
  change(metric, values, OBSERVE, value);
}

double metric_value(enum metric metric, const char *values) {
  pthread_mutex_lock(&lock);
  make_all_series();
  const struct series *series = series_find(&states[metric], values != NULL ? values : "");
  double value = 0;
  if (series != NULL) {
    value = rows[metric].kind == HISTOGRAM ? (double)series->count : series->value;
  }
  pthread_mutex_unlock(&lock);
  return value;
}

void metrics_open(unsigned program, const char *version) {
  program_shown = program;
  metric_set_labelled(M_BUILD_INFO, version, 1);
}

/* Backslash, quote and line end are the format's three escapes. */
static enum status append_escaped(struct bytes *out, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] == '\n') {
      TRY(bytes_append_text(out, "\\n"));
    } else if (text[i] == '"' || text[i] == '\\') {
      TRY(bytes_printf(out, "\\%c", text[i]));
    } else {
      TRY(bytes_append(out, &text[i], 1));
    }
  }
  return OK;
}

/* {op="put",code="200"}, with extra ("le=\"0.5\"", or "") as the last; nothing when there are none.
 */
static enum status append_labels(struct bytes *out, const struct row *row,
                                 const struct series *series, const char *extra) {
  const char *name = row->labels;
  const char *value = series->values;
  size_t count = label_count(row);
  if (count == 0 && extra[0] == '\0') {
    return OK;
  }
  for (size_t i = 0; i < count; i++) {
    size_t name_bytes = strcspn(name, ",=");
    size_t value_bytes = i + 1 == count ? strlen(value) : strcspn(value, ",");
    TRY(bytes_printf(out, "%s%.*s=\"", i == 0 ? "{" : ",", (int)name_bytes, name));
    TRY(append_escaped(out, value, value_bytes));
    TRY(bytes_append_text(out, "\""));
    name += name_bytes + (name[name_bytes] == ',');
    value += value_bytes + (value[value_bytes] == ',');
  }
  return bytes_printf(out, "%s%s}", count == 0 ? "{" : (extra[0] == '\0' ? "" : ","), extra);
}

static enum status append_line(struct bytes *out, const struct row *row,
                               const struct series *series, const char *suffix, double value) {
  TRY(bytes_printf(out, "%s%s", row->name, suffix));
  TRY(append_labels(out, row, series, ""));
  return bytes_printf(out, " %.15g\n", value);
}

static enum status append_histogram(struct bytes *out, const struct row *row,
                                    const struct series *series) {
  const struct bucket_row *buckets = &bucket_rows[row->buckets];
  uint64_t cumulated = 0;
  for (size_t i = 0; i <= buckets->count; i++) {
    char bound[40];
    bool last = i == buckets->count;
    cumulated = last ? series->count : cumulated + series->bucket[i];
    if (last) {
      snprintf(bound, sizeof bound, "le=\"+Inf\"");
    } else {
      snprintf(bound, sizeof bound, "le=\"%g\"", buckets->bound[i]);
    }
    TRY(bytes_printf(out, "%s_bucket", row->name));
    TRY(append_labels(out, row, series, bound));
    TRY(bytes_printf(out, " %llu\n", (unsigned long long)cumulated));
  }
  TRY(append_line(out, row, series, "_sum", series->value));
  return append_line(out, row, series, "_count", (double)series->count);
}

static enum status append_row(struct bytes *out, enum metric metric) {
  static const char *const kinds[] = {
      [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
  const struct row *row = &rows[metric];
  const struct state *state = &states[metric];
  TRY(bytes_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                   kinds[row->kind]));
  for (size_t i = 0; i < state->series_count; i++) {
    const struct series *series = &state->series[i];
    TRY(row->kind == HISTOGRAM ? append_histogram(out, row, series)
                               : append_line(out, row, series, "", series->value));
  }
  return OK;
}

enum status metrics_text(struct bytes *out) {
  enum status status = OK;
  pthread_mutex_lock(&lock);
  make_all_series();
  for (size_t i = 0; i < METRICS_COUNT && status == OK; i++) {
    if ((rows[i].programs & program_shown) != 0) {
      status = append_row(out, (enum metric)i);
    }
  }
  pthread_mutex_unlock(&lock);
  return status;
}
