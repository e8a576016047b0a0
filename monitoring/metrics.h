/* metrics.h - counters, gauges and histograms of the rows in metrics.def, and their Prometheus
 * text.
 *
 * All calls are thread safe and cheap (one short lock). A row that is not of this program may be
 * counted, and is not shown. Series: at most METRIC_SERIES_MAX label values per row; further ones
 * are counted under "other".
 */
#ifndef DARKROOM_MONITORING_METRICS_H
#define DARKROOM_MONITORING_METRICS_H

#include "base/bytes.h"
#include "base/status.h"

enum metric {
#define METRIC(id, kind, name, buckets, programs, labels, help) M_##id,
#include "monitoring/metrics.def"
#undef METRIC
  METRICS_COUNT
};

enum { METRICS_OF_BROKER = 1, METRICS_OF_WORKER = 2 };

#define METRIC_SERIES_MAX 32
#define METRICS_TEXT_BYTES_MAX (1024 * 1024)
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Says whose rows metrics_text shows, and sets build_info. Call once, before threads. */
void metrics_open(unsigned program, const char *version);

/* Rows without labels. amount of a counter is not negative. Histograms are observed in the row's
 * unit (seconds). */
void metric_add(enum metric metric, double amount);
void metric_set(enum metric metric, double value);
void metric_observe(enum metric metric, double value);

/* Rows with labels: values is one text, "interactive", or "put,200" for two labels, in the order of
 * the row. */
void metric_add_labelled(enum metric metric, const char *values, double amount);
void metric_set_labelled(enum metric metric, const char *values, double value);
void metric_observe_labelled(enum metric metric, const char *values, double value);

/* The present value of a counter or gauge, the count of a histogram; values NULL or "" without
 * labels. For tests and status lines; 0 for a series that does not exist. */
double metric_value(enum metric metric, const char *values);

/* Appends the Prometheus text format 0.0.4 of all rows of this program. */
enum status metrics_text(struct bytes *out);

#endif
