/* table.h - what a device is told of a call, and where each part lies in its memory: the used parts
 * of a struct batch_table one behind the other, so that few rows are few bytes. */
#ifndef DARKROOM_WORKER_ENGINE_TABLE_H
#define DARKROOM_WORKER_ENGINE_TABLE_H

#include "kernels/rows.h"
#include "worker/engine/sample.h"

/* A sample's rows and its update go into place `index` of the samples and from `row` on; gives the
 * row behind them. */
int table_add(struct batch_table *table, int index, int row, const struct sample *sample);
/* One row of it alone, as place `row`. */
void table_add_row(struct batch_table *table, int row, const struct sample *sample);
/* Rows [from, rows) repeat the first: no sample's slots are written for them. */
void table_fill_idle(struct batch_table *table, int from, int rows);

/* Of so many rows and control nets. A call has at most as many samples as rows. */
struct table_shape {
  int rows, controls;
};
size_t table_bytes(struct table_shape shape);
/* Writes the used parts to out, table_bytes long. */
void table_pack(const struct batch_table *table, struct table_shape shape, void *out);

/* The parts of one that was packed, wherever it lies. */
const struct batch_row *table_rows(const void *packed);
const struct batch_sample *table_samples(const void *packed, struct table_shape shape);
const struct batch_row *table_control_rows(const void *packed, struct table_shape shape, int net);
const struct batch_control *table_controls(const void *packed, struct table_shape shape, int net);

#endif
