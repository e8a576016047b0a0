/* parts.c - runs the rows of a table, each in its own process, and writes what they found after
 * each of them: a run that is cut short has still told what it knew. */
#include "tests/gpu/part.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "tests/gpu/child.h"
#include "tests/gpu/numbers.h"

/* Less than this and a part is not begun. */
#define SECONDS_MIN 2.0
/* What is tiny is done by something slow: a part may take so many times as long. */
#define TINY_STRETCH 20.0

struct course {
  const struct table *table;
  const struct gpu_settings *settings;
  json_t *result, *parts;
  int64_t end_ns;
  struct child child[PARTS_MAX];
  bool fine;
};

const char *beside_program(const char *name) {
  static char path[PATH_MAX + 256];
  char program[PATH_MAX] = "";
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  char *slash = length > 0 ? strrchr(program, '/') : NULL;
  if (slash != NULL) {
    slash[1] = '\0';
  }
  snprintf(path, sizeof path, "%s%s", program, name);
  if (access(path, R_OK) != 0) {
    snprintf(path, sizeof path, "tests/gpu/%s", name); /* in the source tree */
  }
  return path;
}

/* Whether `name` is one of the words of "a,b,c". */
static bool named(const char *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list; (at = strstr(at, name)) != NULL; at += length) {
    if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) {
      return true;
    }
  }
  return false;
}

static bool selected(const struct gpu_settings *settings, const struct part *part) {
  return settings->only == NULL ? !part->asked : named(settings->only, part->name);
}

const struct part *parts_find(const struct table *table, const char *name) {
  for (size_t p = 0; p < table->count + table->inner_count; p++) {
    const struct part *part = p < table->count ? &table->parts[p] : &table->inner[p - table->count];
    if (strcmp(part->name, name) == 0) {
      return part;
    }
  }
  return NULL;
}

/* Every word of --only is a part. */
static enum status check_only(const struct table *table, const char *only) {
  char list[512];
  const char *word[PARTS_MAX];
  size_t count = 0;
  if (only == NULL) {
    return OK;
  }
  snprintf(list, sizeof list, "%s", only);
  TRY(text_split("only", list, PARTS_MAX, word, &count));
  for (size_t w = 0; w < count; w++) {
    bool found = false;
    for (size_t p = 0; p < table->count; p++) {
      found = found || strcmp(word[w], table->parts[p].name) == 0;
    }
    if (!found) {
      return fail_field(BAD_INPUT, "only", "only: %s has no part \"%.40s\" (see --list)",
                        table->name, word[w]);
    }
  }
  return OK;
}

static void list_parts(const struct table *table) {
  printf("%s: %d s\n", table->name, table->seconds);
  for (size_t p = 0; p < table->count; p++) {
    printf("  %-14s %4d s  %s\n", table->parts[p].name, table->parts[p].seconds,
           table->parts[p].what);
  }
}

/* Where the package was made from: a file beside the program. */
static json_t *text_beside(const char *name) {
  char line[128] = "";
  FILE *file = fopen(beside_program(name), "re");
  if (file != NULL) {
    if (fgets(line, sizeof line, file) == NULL) {
      line[0] = '\0';
    }
    fclose(file);
  }
  line[strcspn(line, "\n")] = '\0';
  return json_string(line);
}

/* The rows that a part told; whole lines only. */
static json_t *rows_of(const char *path) {
  json_t *rows = json_array();
  char *line = NULL;
  size_t room = 0;
  FILE *file = fopen(path, "re");
  while (file != NULL && getline(&line, &room, file) > 0) {
    json_t *row = json_loads(line, JSON_DECODE_ANY, NULL);
    if (json_is_object(row)) {
      json_array_append(rows, row);
    }
    json_decref(row);
  }
  free(line);
  if (file != NULL) {
    fclose(file);
  }
  return rows;
}

/* A part that ran and told nothing has not passed; nor has one of whose rows any does not hold, or
 * that did not leave as it should. One that only told figures is DONE. */
static const char *outcome_of(const json_t *rows, const char *how) {
  size_t i, judged = 0;
  json_t *row;
  bool skipped = false, wrong = json_array_size(rows) == 0 || how[0] != '\0';
  json_array_foreach(rows, i, row) {
    const json_t *holds = json_object_get(row, "holds");
    judged += holds != NULL;
    wrong = wrong || json_is_false(holds);
    skipped = skipped || json_object_get(row, "skip") != NULL;
  }
  return wrong ? "FAIL" : skipped && judged == 0 ? "SKIP" : judged > 0 ? "PASS" : "DONE";
}

/* Of the judged rows the one nearest to, or furthest beyond, what is allowed. */
static const json_t *worst_of(const json_t *rows) {
  const json_t *worst = NULL;
  size_t i;
  json_t *row;
  double most = -1;
  json_array_foreach(rows, i, row) {
    double allowed = json_number_value(json_object_get(row, "allowed"));
    const json_t *figure = json_object_get(row, "worst");
    bool wrong = json_is_false(json_object_get(row, "holds"));
    double share = wrong ? 1e300 : allowed > 0 ? json_number_value(figure) / allowed : 0;
    if (json_object_get(row, "holds") != NULL && share > most) {
      most = share;
      worst = row;
    }
  }
  return worst;
}

static void say(const struct part *part, const char *outcome, double seconds, const char *how,
                const json_t *rows) {
  const json_t *worst = worst_of(rows);
  printf("%-4s %-14s %6.1f s  %zu rows", outcome, part->name, seconds, json_array_size(rows));
  if (worst != NULL) {
    printf("; worst %s", json_string_value(json_object_get(worst, "name")));
    if (json_is_number(json_object_get(worst, "worst"))) {
      printf(" %.2g of %.2g", json_number_value(json_object_get(worst, "worst")),
             json_number_value(json_object_get(worst, "allowed")));
    }
  }
  printf("%s%s\n", how[0] != '\0' ? "; " : "", how);
  fflush(stdout);
}

static void append_part(struct course *course, const struct part *part, const char *outcome,
                        json_t *told) {
  json_object_set_new(told, "name", json_string(part->name));
  json_object_set_new(told, "outcome", json_string(outcome));
  json_array_append_new(course->parts, told);
  course->fine = course->fine && strcmp(outcome, "FAIL") != 0 && strcmp(outcome, "CUT") != 0;
}

/* Writes all that is known by now: beside its place, then moved there. */
static enum status write_results(const struct course *course) {
  char path[PATH_MAX], fresh[PATH_MAX + 8];
  json_object_set_new(course->result, "numbers", numbers_of(course->parts));
  snprintf(path, sizeof path, "%s/%s.json", course->settings->out, course->table->name);
  snprintf(fresh, sizeof fresh, "%s.part", path);
  if (json_dump_file(course->result, fresh, JSON_INDENT(1) | JSON_PRESERVE_ORDER) != 0 ||
      rename(fresh, path) != 0) {
    return fail(UNAVAILABLE, "%s: %s", path, strerror(errno));
  }
  return OK;
}

static enum status begin_part(struct course *course, size_t p) {
  const struct part *part = &course->table->parts[p];
  double left = (double)(course->end_ns - clock_ns()) / 1e9;
  double whole = part->seconds * (course->settings->tiny ? TINY_STRETCH : 1.0);
  double seconds = whole < left ? whole : left;
  if (left < SECONDS_MIN) {
    return OK; /* child.pid stays 0 */
  }
  if (!part->ahead) {
    printf("%s: %s\n", part->name, part->what);
  }
  return child_begin(course->table, part, course->settings, seconds, &course->child[p]);
}

static enum status take_part(struct course *course, size_t p) {
  const struct part *part = &course->table->parts[p];
  struct child *child = &course->child[p];
  char how[128] = "";
  if (child->pid == 0) {
    TRY(begin_part(course, p));
  }
  if (child->pid == 0) {
    printf("CUT  %-14s the time for all is over\n", part->name);
    append_part(course, part, "CUT", json_object());
    return write_results(course);
  }
  child_end(child, how, sizeof how);
  double seconds = (double)(child->end_ns - child->begin_ns) / 1e9;
  json_t *rows = rows_of(child->rows);
  const char *outcome = outcome_of(rows, how);
  say(part, outcome, seconds, how, rows);
  append_part(course, part, outcome,
              json_pack("{sf ss so}", "seconds", seconds, "how", how, "rows", rows));
  return write_results(course);
}

static void open_course(struct course *course) {
  char date[CLOCK_TEXT_MAX];
  clock_text(clock_wall_ms(), date);
  int64_t seconds = course->table->seconds * (course->settings->tiny ? (int)TINY_STRETCH : 1);
  if (course->settings->budget != SETTING_UNSET) {
    seconds = course->settings->budget;
  }
  course->end_ns = clock_ns() + seconds * 1000000000;
  course->parts = json_array();
  course->result =
      json_pack("{ss so ss ss sb so}", "program", course->table->name, "commit",
                text_beside("COMMIT"), "date", date, "device", course->settings->device, "tiny",
                course->settings->tiny, "parts", course->parts);
}

static enum status run_course(struct course *course) {
  const struct table *table = course->table;
  for (size_t p = 0; p < table->count; p++) {
    if (table->parts[p].ahead && selected(course->settings, &table->parts[p])) {
      TRY(begin_part(course, p));
    }
  }
  for (size_t p = 0; p < table->count; p++) {
    if (selected(course->settings, &table->parts[p])) {
      TRY(take_part(course, p));
    }
  }
  return OK;
}

enum status parts_run(const struct table *table, const struct gpu_settings *settings, bool *out) {
  struct course course = {.table = table, .settings = settings, .fine = true};
  if (settings->list) {
    list_parts(table);
    *out = true;
    return OK;
  }
  TRY(check_only(table, settings->only));
  mkdir(settings->out, 0777); /* what fails shows when the results are written */
  mkdir(settings->scratch, 0777);
  open_course(&course);
  enum status status = run_course(&course);
  if (status == OK) {
    numbers_print(json_object_get(course.result, "numbers"));
    *out = course.fine;
  }
  json_decref(course.result);
  return status;
}
