/* command.c - finds the verb, loads its settings, opens what it needs, runs it. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/nearest.h"
#include "base/version.h"
#include "cli/verbs.h"

#define ARENA_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define HELP_BYTES_MAX ((size_t)16 * 1024)

/* What --help says below the settings: of a verb its own words, otherwise the verbs. */
static enum status append_ending(const struct cli_verb *verb, struct bytes *text) {
  if (verb != NULL) {
    return bytes_append_text(text, verb->documentation);
  }
  TRY(bytes_append_text(text, "Commands (darkroom COMMAND --help says more):\n"));
  for (size_t i = 0; cli_verb(i) != NULL; i++) {
    const struct cli_verb *row = cli_verb(i);
    TRY(bytes_printf(text, "  %-10s %-7s %s\n", row->name,
                     row->argument != NULL ? row->argument : "", row->summary));
  }
  return bytes_append_text(text, "\nResults go to stdout, messages and progress to stderr.\n");
}

static enum exit_code usage(const char *what, const char *word) {
  fprintf(stderr, "darkroom: %s%s%s (darkroom --help shows how)\n", what, word != NULL ? ": " : "",
          word != NULL ? word : "");
  return EXIT_CODE_USAGE;
}

static enum exit_code unknown_verb(const char *word) {
  struct nearest nearest = {.typed = word};
  for (size_t i = 0; cli_verb(i) != NULL; i++) {
    nearest_offer(&nearest, cli_verb(i)->name);
  }
  if (nearest.name == NULL) {
    return usage("there is no such command", word);
  }
  fprintf(stderr, "darkroom: there is no command %s; did you mean %s?\n", word, nearest.name);
  return EXIT_CODE_USAGE;
}

static enum exit_code run_verb(const struct cli_verb *verb, const struct options *options,
                               const char *argument, const char *more) {
  struct call call = {.options = options, .argument = argument, .more = more};
  enum exit_code code = complain(arena_open(NULL, ARENA_BYTES_MAX, &call.arena));
  if (code == EXIT_CODE_OK) {
    code = complain(link_open(options->broker, options->key, &call.link));
  }
  if (code == EXIT_CODE_OK) {
    code = verb->run(&call);
  }
  link_close(&call.link);
  arena_close(&call.arena);
  return code;
}

static enum exit_code run_with(const struct settings_program *about, int argc, char **argv,
                               const struct cli_verb *verb) {
  struct options options;
  struct settings_rest rest;
  enum status status = settings_load(about, argc, argv, &options, &rest);
  if (status != OK) {
    fprintf(stderr, "darkroom: %s\n", fail_reason());
    return EXIT_CODE_USAGE;
  }
  if (rest.leave) {
    return EXIT_CODE_OK;
  }
  if (verb == NULL) {
    return usage("a command is missing", NULL);
  }
  int wanted = verb->argument != NULL ? 2 : 1;
  if (rest.count < wanted) {
    return usage("missing", verb->argument);
  }
  int most = wanted + (wanted == 2 && strchr(verb->argument, '[') != NULL ? 1 : 0);
  if (rest.count > most) {
    return usage(verb->argument != NULL ? "one argument is enough (quote a prompt); too many at"
                                        : "no argument is taken",
                 rest.argument[most]);
  }
  return run_verb(verb, &options, wanted == 2 ? rest.argument[1] : NULL,
                  rest.count > wanted ? rest.argument[wanted] : NULL);
}

enum exit_code command_run(int argc, char **argv) {
  struct settings_program about = {
      .name = "darkroom",
      .version = DARKROOM_VERSION,
      .summary = "pictures from a fleet of workers",
      .usage = "[settings] COMMAND [settings] [ARGUMENT]",
      .table = options_table,
      .count = options_count,
      .exits = complaint_exits,
      .exit_count = complaint_exit_count,
  };
  const char *word = settings_positional(&about, argc, argv, 0);
  const struct cli_verb *verb = word != NULL ? cli_verb_named(word) : NULL;
  if (word != NULL && verb == NULL) {
    return unknown_verb(word);
  }
  struct bytes ending;
  char shape[64];
  bytes_open(&ending, HELP_BYTES_MAX);
  enum exit_code code = complain(append_ending(verb, &ending));
  if (verb != NULL) {
    snprintf(shape, sizeof shape, "%s [settings]%s%s", verb->name,
             verb->argument != NULL ? " " : "", verb->argument != NULL ? verb->argument : "");
    about.use = verb->use;
    about.usage = shape;
    about.summary = verb->summary;
  }
  about.ending = ending.length > 0 ? bytes_text(&ending) : NULL;
  if (code == EXIT_CODE_OK) {
    code = run_with(&about, argc, argv, verb);
  }
  bytes_close(&ending);
  return code;
}
