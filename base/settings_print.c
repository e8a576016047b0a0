/* settings_print.c - --help and --print-config, both wholly from the table. */
#include <stdio.h>
#include <string.h>

#include "base/settings_inside.h"

static void print_row(const struct setting *row) {
  static const char *const words[] = {
      [SETTING_TEXT] = " TEXT", [SETTING_INTEGER] = " INTEGER", [SETTING_NUMBER] = " NUMBER",
      [SETTING_FLAG] = "",      [SETTING_CHOICE] = " WORD",     [SETTING_LIST] = " TEXT ...",
  };
  char environment[SETTING_NAME_BYTES_MAX];
  char limit[SETTING_LIMIT_BYTES_MAX];
  setting_environment_name(SETTING_COMMON_PROGRAM, row->name, environment);
  setting_limit(row, limit);
  if (row->letter != 0) {
    printf("  -%c, --%s%s\n", row->letter, row->name, words[row->type]);
  } else {
    printf("  --%s%s\n", row->name, words[row->type]);
  }
  printf("      %s\n      [", row->help);
  if (row->required) {
    printf("required; ");
  } else if (row->standard != NULL && row->standard[0] != '\0') {
    printf("default %s; ", row->standard);
  }
  if (row->type != SETTING_FLAG &&
      ((row->type != SETTING_TEXT && row->type != SETTING_LIST) || row->max != 0)) {
    printf("%s; ", limit);
  }
  printf("%s]\n", environment);
}

/* Of a program that has variables of its own beside the common ones. */
static void print_own_variables(const struct settings_program *about) {
  char own[SETTING_NAME_BYTES_MAX];
  char common[SETTING_NAME_BYTES_MAX];
  setting_environment_name(about->name, "...", own);
  setting_environment_name(SETTING_COMMON_PROGRAM, "...", common);
  if (strcmp(own, common) != 0) {
    printf("  Programs that share an environment differ by %s, which wins over %s\n", own, common);
  }
}

static void print_exits(const struct settings_program *about) {
  printf(about->exit_count > 0 ? "\nExit codes:\n" : "");
  for (size_t i = 0; i < about->exit_count; i++) {
    printf("  %3d  %s\n", (int)about->exits[i].code, about->exits[i].meaning);
  }
}

void settings_print_help(const struct settings_program *about) {
  printf("%s %s - %s\n\nUsage: %s %s\n", about->name, about->version, about->summary, about->name,
         about->usage);
  printf("\nSettings (flag > environment > file > default):\n");
  print_own_variables(about);
  for (size_t i = 0; i < about->count; i++) {
    if (setting_in_use(about, &about->table[i])) {
      print_row(&about->table[i]);
    }
  }
  printf(
      "  --config TEXT\n      a file of settings, one \"name = value\" a line, # comments"
      " [DARKROOM_CONFIG]\n"
      "  --print-config\n      shows every setting and where it came from, and leaves\n"
      "  --version\n      shows the version and leaves\n"
      "  -h, --help\n      shows this and leaves\n");
  if (about->ending != NULL) {
    printf("\n%s", about->ending);
  }
  print_exits(about);
}

/* A list has a line for each of its texts. */
static void print_value(const struct setting *row, const char *text) {
  for (const char *at = text; at != NULL;) {
    size_t bytes = row->type == SETTING_LIST ? strcspn(at, "\n") : strlen(at);
    printf("%s = %.*s\n", row->name, row->secret ? 4 : (int)bytes, row->secret ? "****" : at);
    at = at[bytes] == '\n' ? at + bytes + 1 : NULL;
  }
}

/* The output is itself a valid settings file, secrets aside. */
void settings_print_config(const struct settings_program *about,
                           const struct settings_value *values) {
  for (size_t i = 0; i < about->count; i++) {
    const struct setting *row = &about->table[i];
    if (!setting_in_use(about, row)) {
      continue;
    }
    if (values[i].source != FROM_DEFAULT) {
      printf("# from %s\n", values[i].from);
    }
    if (values[i].text == NULL) {
      printf("# %s is not set\n", row->name);
    } else {
      print_value(row, values[i].text);
    }
  }
}
