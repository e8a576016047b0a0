/* part.h - the parts of gpu-check and gpu-bench: a table each, every row run in a process of its
 * own with a time of its own. */
#ifndef DARKROOM_TESTS_GPU_PART_H
#define DARKROOM_TESTS_GPU_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/settings.h"
#include "tests/gpu/report.h"

/* The command line; main.c has the table. */
struct gpu_settings {
  const char *device;
  const char *only;
  const char *out;     /* results: a JSON file and a table */
  const char *scratch; /* what need not come back: models made here, rows of parts */
  const char *demo;    /* the demo model's folder */
  const char *python;
  int64_t budget; /* seconds for all parts together; SETTING_UNSET: the table's */
  bool list, tiny;
  const char *part; /* a child's: run this part and nothing else */
  const char *rows; /* a child's: where its rows go */
  double seconds;   /* a child's: what it may take */
};

struct part {
  const char *name, *what;
  int seconds; /* it is ended then */
  void (*run)(const struct gpu_settings *settings, struct report *report);
  const char *script;      /* instead of run: a Python file beside the program and its words */
  const char *environment; /* "NAME=value" for this part alone, or NULL */
  bool ahead;              /* begun with the first part, beside them; awaited in its turn */
  bool asked;              /* run only when --only names it */
};

/* What gpu-check and gpu-bench are. */
struct table {
  const char *name, *summary;
  const struct part *parts;
  size_t count;
  const struct part *inner; /* run by other parts alone */
  size_t inner_count;
  int seconds; /* all parts together, unless --budget says otherwise */
};
extern const struct table gpu_check, gpu_bench;
#define PARTS_MAX 32

/* The part of that name, of the inner ones too; NULL. */
const struct part *parts_find(const struct table *table, const char *name);

/* Runs the parts that --only names, or all, one after another while there is time; results are
 * written after each. Gives whether all went well. */
enum status parts_run(const struct table *table, const struct gpu_settings *settings, bool *out);

/* The path of a file that came with the program. Borrowed until the next call. */
const char *beside_program(const char *name);

#endif
