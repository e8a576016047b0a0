/* settings.h - a program's settings from one table: flags, environment, file, --help and
 * --print-config.
 *
 * Precedence: flag > environment > file > default. A row named "lease-ms" is --lease-ms VALUE or
 * --lease-ms=VALUE, DARKROOM_LEASE_MS and the file line "lease-ms = VALUE"; a program named
 * "darkroom-broker" reads DARKROOM_BROKER_LEASE_MS before DARKROOM_LEASE_MS. Flags the loader adds
 * itself: --config FILE (also DARKROOM_CONFIG), --help or -h, --version, --print-config. Values
 * outlive the call (they are kept until exit).
 */
#ifndef DARKROOM_BASE_SETTINGS_H
#define DARKROOM_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exit_code.h"
#include "base/status.h"

/* What a row is, the C type of its field, and the field's value when nobody gave one and the
 * default is NULL. */
enum setting_type {
  SETTING_TEXT,    /* const char *  NULL             min and max count bytes */
  SETTING_INTEGER, /* int64_t       SETTING_UNSET    */
  SETTING_NUMBER,  /* double        NAN              never infinite */
  SETTING_FLAG,    /* bool          false            --name, --no-name,
                      --name=true|false|yes|no|on|off|1|0 */
  SETTING_CHOICE,  /* int           -1               the index of the word in choices */
  SETTING_LIST,    /* const char *  NULL             texts, each given by itself (the flag, or the
                      file's line, as often as wanted), joined by line ends; min and max as TEXT */
};
#define SETTING_UNSET INT64_MIN

struct setting {
  const char *name; /* lower case, words joined by '-' */
  enum setting_type type;
  size_t field;         /* offsetof(struct program_settings, field) */
  const char *standard; /* the default as text; NULL: may be left out */
  double min, max;      /* inclusive; both 0: no limit (TEXT: at most SETTING_TEXT_BYTES_MAX) */
  const char *help;     /* one line; what it means, with the unit */
  const char *choices;  /* CHOICE: "logfmt|json" */
  char letter;          /* 'o' for -o; 0: none */
  bool required;        /* left out everywhere is an error */
  bool secret;          /* shown as **** by --print-config */
  unsigned uses;        /* which verbs take it, as a bit set; 0: all */
};
#define SETTING_TEXT_BYTES_MAX 16384
#define SETTINGS_MAX 64
#define SETTINGS_ARGUMENTS_MAX 256

struct settings_program {
  const char *name;    /* "darkroom-broker" */
  const char *version; /* printed by --version */
  const char *summary; /* what the program is, one line */
  const char *usage;   /* what follows the name: "[settings]", "generate [settings] PROMPT" */
  const char *ending;  /* text below the settings in --help: examples, commands; NULL: none */
  const struct exit_row *exits; /* what it leaves with, shown last in --help */
  size_t exit_count;
  const struct setting *table;
  size_t count;
  unsigned use; /* the verb at hand, one bit; rows of other verbs are refused as flags, ignored
                   elsewhere; 0: none */
};

/* What is left of the command line. */
struct settings_rest {
  bool leave; /* --help, --version or --print-config was answered on stdout: exit with 0 */
  int count;
  const char *argument[SETTINGS_ARGUMENTS_MAX]; /* positional, in order; borrowed from argv */
};

/* Fills the fields of *out from all four sources. BAD_INPUT names the setting, where it came from
 * and its limit; the fields are then undefined. UNAVAILABLE: the settings file cannot be read. Call
 * once, before threads. */
enum status settings_load(const struct settings_program *about, int argc, char **argv, void *out,
                          struct settings_rest *rest);

/* The index-th positional argument, NULL if there are fewer; never an error. For programs whose
 * first is a verb. */
const char *settings_positional(const struct settings_program *about, int argc, char **argv,
                                int index);

#endif
