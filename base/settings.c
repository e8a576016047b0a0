/* settings.c - gathers every setting's text from flags, environment and file, then stores them all.
 */
#include "base/settings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/nearest.h"
#include "base/settings_inside.h"
#include "base/text.h"

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* The loader's own flags, in the order of their rows below. */
enum own_flag { OWN_CONFIG, OWN_HELP, OWN_VERSION, OWN_PRINT_CONFIG, OWN_COUNT };

static const struct setting own_rows[OWN_COUNT] = {
    [OWN_CONFIG] = {.name = "config", .type = SETTING_TEXT},
    [OWN_HELP] = {.name = "help", .type = SETTING_FLAG, .letter = 'h'},
    [OWN_VERSION] = {.name = "version", .type = SETTING_FLAG},
    [OWN_PRINT_CONFIG] = {.name = "print-config", .type = SETTING_FLAG},
};

struct loader {
  const struct settings_program *about;
  struct settings_value values[SETTINGS_MAX];
  const char *own[OWN_COUNT];
  struct settings_rest *rest;
};

/* A flag taken apart: exactly one of row and own is set. */
struct flag {
  const struct setting *row;
  size_t index;
  bool own;
  const char *value; /* behind '=', or NULL */
  bool negated;      /* --no-name */
};

/* Texts that outlive the call: kept for the process, as settings are. */
static struct arena *kept;

static const char *keep(const char *text, size_t bytes) {
  if (kept == NULL && arena_open(NULL, ARENA_BYTES_MAX, &kept) != OK) {
    return NULL;
  }
  return arena_copy_text(kept, text, bytes);
}

/* A list grows by each of its texts that comes from the same source. */
static const char *text_with(const struct setting *row, const struct settings_value *before,
                             enum settings_source source, const char *text) {
  if (row->type != SETTING_LIST || before->source != source) {
    return text;
  }
  size_t first = strlen(before->text);
  size_t second = strlen(text);
  char *both = (char *)keep("", 0);
  both = both != NULL ? arena_take(kept, first + second + 2) : NULL;
  if (both == NULL) {
    return text;
  }
  snprintf(both, first + second + 2, "%s\n%s", before->text, text);
  return both;
}

/* flags -------------------------------------------------------------------------------------- */

static bool names(const struct setting *row, const char *name, size_t bytes) {
  return strlen(row->name) == bytes && memcmp(row->name, name, bytes) == 0;
}

static bool find(const struct settings_program *about, const char *name, size_t bytes,
                 struct flag *flag) {
  for (size_t i = 0; i < about->count; i++) {
    if (names(&about->table[i], name, bytes)) {
      flag->row = &about->table[i];
      flag->index = i;
      return true;
    }
  }
  for (size_t i = 0; i < OWN_COUNT; i++) {
    if (names(&own_rows[i], name, bytes)) {
      flag->row = &own_rows[i];
      flag->index = i;
      flag->own = true;
      return true;
    }
  }
  return false;
}

static bool find_letter(const struct settings_program *about, char letter, struct flag *flag) {
  if (letter == own_rows[OWN_HELP].letter) {
    *flag = (struct flag){.row = &own_rows[OWN_HELP], .index = OWN_HELP, .own = true};
    return true;
  }
  for (size_t i = 0; i < about->count; i++) {
    if (about->table[i].letter == letter) {
      *flag = (struct flag){.row = &about->table[i], .index = i};
      return true;
    }
  }
  return false;
}

static enum status unknown(const struct settings_program *about, const char *from,
                           const char *name) {
  struct nearest nearest = {.typed = name};
  for (size_t i = 0; i < about->count; i++) {
    if (setting_in_use(about, &about->table[i])) {
      nearest_offer(&nearest, about->table[i].name);
    }
  }
  for (size_t i = 0; i < OWN_COUNT; i++) {
    nearest_offer(&nearest, own_rows[i].name);
  }
  if (nearest.name != NULL) {
    return fail_field(BAD_INPUT, name, "%s: there is no such setting; did you mean %s?", from,
                      nearest.name);
  }
  return fail_field(BAD_INPUT, name, "%s: there is no such setting (--help lists them)", from);
}

/* Takes one word apart that begins with '-' and is more than that. */
static enum status flag_read(const struct settings_program *about, const char *word,
                             struct flag *flag) {
  *flag = (struct flag){0};
  if (word[1] != '-') {
    if (word[2] == '\0' && find_letter(about, word[1], flag)) {
      return OK;
    }
    unknown(about, word, word + 1);
    return BAD_INPUT;
  }
  const char *name = word + 2;
  size_t bytes = strcspn(name, "=");
  flag->value = name[bytes] == '=' ? name + bytes + 1 : NULL;
  if (find(about, name, bytes, flag)) {
    return OK;
  }
  if (bytes > 3 && memcmp(name, "no-", 3) == 0 && flag->value == NULL &&
      find(about, name + 3, bytes - 3, flag) && flag->row->type == SETTING_FLAG) {
    flag->negated = true;
    return OK;
  }
  char shown[SETTING_NAME_BYTES_MAX];
  snprintf(shown, sizeof shown, "%.*s", (int)bytes, name);
  unknown(about, word, shown);
  return BAD_INPUT;
}

/* Finds the value: behind '=', the next word, or for a bare flag true. */
static enum status flag_value(struct flag *flag, const char *word, const char *next, bool *used) {
  *used = false;
  if (flag->value != NULL) {
    return OK;
  }
  if (flag->row->type == SETTING_FLAG) {
    flag->value = flag->negated ? "false" : "true";
    return OK;
  }
  if (next == NULL || strncmp(next, "--", 2) == 0) {
    return fail_field(BAD_INPUT, flag->row->name, "%s needs a value: %s VALUE or --%s=VALUE", word,
                      word, flag->row->name);
  }
  flag->value = next;
  *used = true;
  return OK;
}

static enum status flag_take(struct loader *loader, const struct flag *flag) {
  if (flag->own) {
    loader->own[flag->index] = flag->value;
    return OK;
  }
  if (!setting_in_use(loader->about, flag->row)) {
    return fail_field(BAD_INPUT, flag->row->name, "--%s does not go with this command",
                      flag->row->name);
  }
  char from[SETTING_NAME_BYTES_MAX];
  int bytes = snprintf(from, sizeof from, "--%s", flag->row->name);
  struct settings_value *slot = &loader->values[flag->index];
  const char *text = text_with(flag->row, slot, FROM_FLAG, flag->value);
  *slot = (struct settings_value){text, FROM_FLAG, keep(from, (size_t)bytes)};
  return OK;
}

static enum status positional(struct settings_rest *rest, const char *word) {
  if (rest->count >= SETTINGS_ARGUMENTS_MAX) {
    return fail(BAD_INPUT, "more than %d arguments", SETTINGS_ARGUMENTS_MAX);
  }
  rest->argument[rest->count++] = word;
  return OK;
}

static bool is_flag(const char *word) { return word[0] == '-' && word[1] != '\0'; }

static enum status read_flags(struct loader *loader, int argc, char **argv) {
  bool flags_end = false;
  for (int i = 1; i < argc; i++) {
    if (!flags_end && strcmp(argv[i], "--") == 0) {
      flags_end = true;
    } else if (flags_end || !is_flag(argv[i])) {
      TRY(positional(loader->rest, argv[i]));
    } else {
      struct flag flag;
      bool next_used = false;
      TRY(flag_read(loader->about, argv[i], &flag));
      TRY(flag_value(&flag, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &next_used));
      TRY(flag_take(loader, &flag));
      i += next_used;
    }
  }
  return OK;
}

const char *settings_positional(const struct settings_program *about, int argc, char **argv,
                                int index) {
  bool flags_end = false;
  for (int i = 1; i < argc; i++) {
    if (!flags_end && strcmp(argv[i], "--") == 0) {
      flags_end = true;
    } else if (flags_end || !is_flag(argv[i])) {
      if (index-- == 0) {
        return argv[i];
      }
    } else {
      struct flag flag;
      bool next_used = false;
      if (flag_read(about, argv[i], &flag) == OK) {
        (void)flag_value(&flag, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &next_used);
      }
      i += next_used;
    }
  }
  return NULL;
}

/* environment and file ------------------------------------------------------------------------ */

/* A variable that is set but empty counts as not set: that is how one is taken back in a shell. */
static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The setting's variable: the program's own before the common one, so that programs that share an
 * environment can still differ. */
static const char *environment_value(const struct settings_program *about, const char *setting,
                                     char name[SETTING_NAME_BYTES_MAX]) {
  setting_environment_name(about->name, setting, name);
  const char *value = variable(name);
  if (value == NULL) {
    setting_environment_name(SETTING_COMMON_PROGRAM, setting, name);
    value = variable(name);
  }
  return value;
}

static enum status read_environment(struct loader *loader) {
  for (size_t i = 0; i < loader->about->count; i++) {
    char name[SETTING_NAME_BYTES_MAX];
    const char *value = environment_value(loader->about, loader->about->table[i].name, name);
    if (value != NULL && loader->values[i].source < FROM_ENVIRONMENT) {
      loader->values[i] =
          (struct settings_value){value, FROM_ENVIRONMENT, keep(name, strlen(name))};
    }
  }
  return OK;
}

/* place is "FILE:LINE". */
static enum status read_line(struct loader *loader, char *line, const char *place) {
  line = text_trim(line);
  if (line[0] == '\0' || line[0] == '#') {
    return OK;
  }
  char *equals = strchr(line, '=');
  if (equals == NULL) {
    return fail(BAD_INPUT, "%s: expected \"name = value\"", place);
  }
  *equals = '\0';
  const char *name = text_trim(line);
  const char *value = text_trim(equals + 1);
  char from[256];
  int bytes = snprintf(from, sizeof from, "%s %.*s", place, SETTING_NAME_BYTES_MAX, name);
  struct flag flag = {0};
  if (!find(loader->about, name, strlen(name), &flag) || flag.own) {
    return unknown(loader->about, from, name);
  }
  struct settings_value *slot = &loader->values[flag.index];
  bool list = flag.row->type == SETTING_LIST;
  if (slot->source == FROM_FILE && !list) {
    return fail_field(BAD_INPUT, name, "%s: given twice", from);
  }
  if (slot->source <= FROM_FILE) {
    const char *text = text_with(flag.row, slot, FROM_FILE, keep(value, strlen(value)));
    *slot = (struct settings_value){text, FROM_FILE, keep(from, (size_t)bytes)};
  }
  return OK;
}

static enum status read_lines(struct loader *loader, char *text, const char *path) {
  for (int number = 1; text != NULL; number++) {
    char *line = strsep(&text, "\n");
    char place[160];
    snprintf(place, sizeof place, "%.120s:%d", path, number);
    TRY(read_line(loader, line, place));
  }
  return OK;
}

static enum status read_file(struct loader *loader, const char *path) {
  struct bytes content;
  bytes_open(&content, FILE_BYTES_MAX);
  enum status status = bytes_read_text_file(&content, path);
  if (status == OK && content.length > 0) {
    status = read_lines(loader, (char *)content.data, path);
  }
  bytes_close(&content);
  return status;
}

/* all together -------------------------------------------------------------------------------- */

static enum status store_all(const struct loader *loader, void *out) {
  for (size_t i = 0; i < loader->about->count; i++) {
    const struct setting *row = &loader->about->table[i];
    struct settings_value value = loader->values[i];
    bool in_use = setting_in_use(loader->about, row);
    if (!in_use) {
      value = (struct settings_value){.text = row->standard, .from = "default"};
    }
    if (value.text == NULL && row->required && in_use) {
      char name[SETTING_NAME_BYTES_MAX];
      setting_environment_name(SETTING_COMMON_PROGRAM, row->name, name);
      return fail_field(BAD_INPUT, row->name, "--%s (or %s) is required: %s", row->name, name,
                        row->help);
    }
    TRY(setting_store(row, &value, out));
  }
  return OK;
}

static bool own_flag_given(const struct loader *loader, enum own_flag flag) {
  return loader->own[flag] != NULL && strcmp(loader->own[flag], "false") != 0;
}

static bool answer_help(struct loader *loader) {
  const struct settings_program *about = loader->about;
  bool help = own_flag_given(loader, OWN_HELP);
  bool version = own_flag_given(loader, OWN_VERSION);
  if (help) {
    settings_print_help(about);
  } else if (version) {
    printf("%s %s\n", about->name, about->version);
  }
  return help || version;
}

enum status settings_load(const struct settings_program *about, int argc, char **argv, void *out,
                          struct settings_rest *rest) {
  assert(about->count <= SETTINGS_MAX);
  struct loader loader = {.about = about, .rest = rest};
  rest->count = 0;
  rest->leave = false;
  for (size_t i = 0; i < about->count; i++) {
    loader.values[i] = (struct settings_value){about->table[i].standard, FROM_DEFAULT, "default"};
  }
  TRY(read_flags(&loader, argc, argv));
  if (answer_help(&loader)) {
    rest->leave = true;
    return OK;
  }
  TRY(read_environment(&loader));
  char name[SETTING_NAME_BYTES_MAX];
  const char *path = loader.own[OWN_CONFIG] != NULL ? loader.own[OWN_CONFIG]
                                                    : environment_value(about, "config", name);
  if (path != NULL) {
    TRY(read_file(&loader, path));
  }
  TRY(store_all(&loader, out));
  if (own_flag_given(&loader, OWN_PRINT_CONFIG)) {
    settings_print_config(about, loader.values);
    rest->leave = true;
  }
  return OK;
}
