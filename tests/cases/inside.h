/* inside.h - what the files of this folder share: a run of a case, and how its operands are
 * made. */
#ifndef DARKROOM_TESTS_CASES_INSIDE_H
#define DARKROOM_TESTS_CASES_INSIDE_H

#include "tests/cases/cases.h"

enum { INPUTS = 5 };

struct case_run {
  struct device *device;
  enum precision precision;
  const struct op_case *c;
  const struct case_kind *kind;
  int batch;
  const int *identities;
  struct arena *arena; /* on the device */
  struct tensor inputs[INPUTS];
  struct tensor y;
  struct weight *weight;
  struct norm norm;
  const struct batch_row *rows;       /* on the device, for ops that take rows */
  const struct batch_sample *samples; /* likewise */
  const struct batch_control *controls;
  struct tensor finite;
};

/* A value of a stream: even over +-sqrt(3), so of variance one, and holdable in bf16. */
float case_value(uint64_t stream, int64_t i);
/* A hash of x. */
uint64_t case_hash(uint64_t x);

/* Streams from here on are shared by all rows: tables and norms. */
enum { SHARED = 20 };
/* Fills rows of a tensor, each from its identity. */
enum status case_fill(struct case_run *run, const struct tensor *to, int stream);
/* The same, times a power of two. */
enum status case_fill_scaled(struct case_run *run, const struct tensor *to, int stream,
                             float scale);
/* Takes input `index`, [batch, height, width, channels] without the dimensions that the case does
 * not have, and fills it; takes the output likewise. */
enum status case_take_input(struct case_run *run, int index, enum element element,
                            int64_t channels);
enum status case_take_output(struct case_run *run, int64_t channels);
enum element case_activations(const struct case_run *run);

/* ---- ops that read tables on the device (tables.c) ---- */

/* Gives the device a table of plain data. */
enum status case_put_table(struct case_run *run, const void *table, size_t bytes, const void **out);
/* Where row b of an input lies on the device. */
char *case_row(const struct case_run *run, int index, int b);
/* A row for each of the batch becomes run->rows. */
enum status case_put_rows(struct case_run *run, const struct batch_row *rows);

enum status prepare_attention(struct case_run *run);
enum status execute_attention(struct case_run *run);
enum status prepare_timesteps(struct case_run *run);
enum status execute_timesteps(struct case_run *run);
enum status prepare_embed(struct case_run *run);
enum status execute_embed(struct case_run *run);
enum status prepare_adapt(struct case_run *run);
enum status execute_adapt(struct case_run *run);
enum status prepare_activate(struct case_run *run);
enum status execute_activate(struct case_run *run);
enum status prepare_add_rows(struct case_run *run);
enum status execute_add_rows(struct case_run *run);
enum status prepare_controls(struct case_run *run);
enum status execute_control_add(struct case_run *run);
enum status execute_hint_add(struct case_run *run);
enum status prepare_weigh(struct case_run *run);
enum status execute_weigh(struct case_run *run);
enum status prepare_posterior(struct case_run *run);
enum status execute_posterior(struct case_run *run);
enum status prepare_gather(struct case_run *run);
enum status execute_gather(struct case_run *run);
enum status prepare_advance(struct case_run *run);
enum status execute_advance(struct case_run *run);
enum status prepare_finite(struct case_run *run);
enum status execute_finite(struct case_run *run);

#endif
