/* config.h - a model's JSON files against tables of known keys.
 *
 * Every key of a file must have a row: a key without one, or a value that a row does not accept, is
 * refused by name. So nothing that would change the picture is ever ignored silently.
 */
#ifndef DARKROOM_WORKER_MODEL_CONFIG_H
#define DARKROOM_WORKER_MODEL_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/status.h"

#define CONFIG_LIST_MAX 8
#define CONFIG_NUMBERS_MAX 64
#define CONFIG_DEPTH_MAX 8
#define CONFIG_PATH_MAX 4096

/* What a row does with its value, and the C type of its field. */
enum config_kind {
  CONFIG_INTEGER,  /* int                 within min..max */
  CONFIG_COUNT,    /* int                 the same, or 0 where it is null or absent */
  CONFIG_NUMBER,   /* double              within min..max */
  CONFIG_FLAG,     /* bool */
  CONFIG_WORD,     /* int                 index in `accepted` */
  CONFIG_INTEGERS, /* struct config_list  a list, or one number for all */
  CONFIG_NUMBERS,  /* struct config_numbers  a list, or one number, within min..max; none where it
                      is null or absent */
  CONFIG_WORDS,    /* struct config_list  a list of indices in `accepted` */
  CONFIG_ONLY,     /* nothing is read: what is implemented is in `accepted` */
  CONFIG_ANY,      /* nothing is read: has no influence on the picture */
};
struct config_list {
  int count;
  bool scalar; /* one number was given: it stands for every level */
  int value[CONFIG_LIST_MAX];
};
struct config_numbers {
  int count;
  double value[CONFIG_NUMBERS_MAX];
};
struct config_key {
  const char *key;
  enum config_kind kind;
  size_t field;         /* offset in the struct that is filled */
  double min, max;      /* inclusive */
  const char *accepted; /* JSON values with single quotes for strings, joined by '|':
                           "'silu'|'swish'|null" */
  const char *standard; /* the value when the key is absent, written alike; NULL: it must be there
                           if it is read */
};

/* Reads folder/name and fills *out by the table. BAD_INPUT (field "config") names file, key and
 * value. */
enum status config_read(const char *folder, const char *name, const struct config_key *table,
                        void *out);
/* The same for bytes already read; `name` is for messages. The table ends with a row without a key.
 */
enum status config_parse(const char *name, const char *text, size_t length,
                         const struct config_key *table, void *out);

struct json_rules {
  int depth_max;
  bool huge_integers; /* all numbers become reals, so that no integer is too large */
};
/* Parses JSON with duplicates refused and nesting limited. Spaces may follow, nothing else. The
 * caller releases *out with json_decref. */
enum status config_json(const char *name, const char *text, size_t length, struct json_rules rules,
                        json_t **out);

/* Reads a whole small file and parses it. */
enum status config_json_file(const char *folder, const char *name, size_t bytes_max, json_t **out);
/* Reads a whole file into content, up to its maximum. BAD_INPUT (field "config") if it is not
 * there. */
enum status config_file(const char *folder, const char *name, struct bytes *content);
bool config_file_exists(const char *folder, const char *name);

#endif
