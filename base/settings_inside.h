/* settings_inside.h - what the three files of settings share; not for others. */
#ifndef DARKROOM_BASE_SETTINGS_INSIDE_H
#define DARKROOM_BASE_SETTINGS_INSIDE_H

#include "base/settings.h"

enum settings_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

/* A value as text, and who gave it: "--steps", "DARKROOM_STEPS" or "settings.conf:12 steps". */
struct settings_value {
  const char *text; /* NULL: nobody gave one */
  enum settings_source source;
  const char *from;
};

#define SETTING_NAME_BYTES_MAX 64
#define SETTING_LIMIT_BYTES_MAX 160

/* The row's limit in words: "an integer within 1..1000", "one of logfmt|json". */
void setting_limit(const struct setting *row, char limit[SETTING_LIMIT_BYTES_MAX]);

/* "DARKROOM_LEASE_MS" for "lease-ms" of the program "darkroom", the name that all programs read;
 * "DARKROOM_BROKER_LEASE_MS" of "darkroom-broker". */
#define SETTING_COMMON_PROGRAM "darkroom"
void setting_environment_name(const char *program, const char *setting,
                              char name[SETTING_NAME_BYTES_MAX]);

/* Checks value against the row and stores it in the row's field of *out. */
enum status setting_store(const struct setting *row, const struct settings_value *value, void *out);

/* A row that is for every verb, or for the one at hand. */
bool setting_in_use(const struct settings_program *about, const struct setting *row);

void settings_print_help(const struct settings_program *about);
void settings_print_config(const struct settings_program *about,
                           const struct settings_value *values);

#endif
