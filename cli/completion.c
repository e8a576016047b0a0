/* completion.c - the tables of commands and settings as a bash script. */
#include "cli/completion.h"

#include <string.h>

#include "base/version.h"
#include "cli/options.h"

/* The flags that every program of ours takes beside its table. */
#define OWN_FLAGS "--config --print-config --version --help"

/* The cursor's word is completed by the word before it, or else by the command on the line. */
static const char begin[] =
    "# bash completion of darkroom " DARKROOM_VERSION
    ": source <(darkroom completion)\n"
    "_darkroom() {\n"
    "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= words= at\n"
    "  for ((at = 1; at < COMP_CWORD; at++)); do\n"
    "    case ${COMP_WORDS[at]} in\n"
    "      -*) ;;\n"
    "      ";
static const char after_verbs[] =
    ") verb=${COMP_WORDS[at]}; break ;;\n"
    "    esac\n"
    "  done\n"
    "  COMPREPLY=()\n"
    "  case $before in\n"
    "    --config|--output|-o|--image|--mask|--lora) compopt -o default 2>/dev/null; return ;;\n";
static const char before_flags[] =
    "  esac\n"
    "  case $verb in\n";
static const char end[] =
    "  esac\n"
    "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
    "}\n"
    "complete -F _darkroom darkroom\n";

static enum status append_verbs(verb_at verb_of, const char *between, struct bytes *script) {
  for (size_t i = 0; verb_of(i) != NULL; i++) {
    TRY(bytes_printf(script, "%s%s", i == 0 ? "" : between, verb_of(i)->name));
  }
  return OK;
}

static bool names_file(const struct setting *row) {
  static const char *const rows[] = {"output", "image", "mask", "lora"};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (strcmp(row->name, rows[i]) == 0) {
      return true;
    }
  }
  return false;
}

/* What follows a setting that takes a value: its words, or nothing that we could know. */
static enum status append_value(const struct setting *row, struct bytes *script) {
  if (row->type == SETTING_FLAG || names_file(row)) {
    return OK;
  }
  TRY(bytes_printf(script, "    --%s) ", row->name));
  if (row->type == SETTING_CHOICE) {
    TRY(bytes_append_text(script, "COMPREPLY=($(compgen -W \""));
    for (const char *at = row->choices; *at != '\0'; at++) {
      TRY(bytes_append(script, *at == '|' ? " " : at, 1));
    }
    TRY(bytes_append_text(script, "\" -- \"$word\")); "));
  }
  return bytes_append_text(script, "return ;;\n");
}

/* verb NULL: before a command was typed, the settings that all take. */
static enum status append_flags(verb_at verb_of, const struct cli_verb *verb,
                                struct bytes *script) {
  TRY(bytes_printf(script, "    %s) words=\"", verb != NULL ? verb->name : "*"));
  for (size_t i = 0; i < options_count; i++) {
    unsigned uses = options_table[i].uses;
    if (uses == 0 || (verb != NULL && (uses & verb->use) != 0)) {
      TRY(bytes_printf(script, "--%s ", options_table[i].name));
    }
  }
  TRY(bytes_append_text(script, OWN_FLAGS));
  if (verb == NULL) {
    TRY(bytes_append_text(script, " "));
    TRY(append_verbs(verb_of, " ", script));
  }
  return bytes_append_text(script, "\" ;;\n");
}

enum status completion_bash(verb_at verb_of, struct bytes *script) {
  TRY(bytes_append_text(script, begin));
  TRY(append_verbs(verb_of, "|", script));
  TRY(bytes_append_text(script, after_verbs));
  for (size_t i = 0; i < options_count; i++) {
    TRY(append_value(&options_table[i], script));
  }
  TRY(bytes_append_text(script, before_flags));
  for (size_t i = 0; verb_of(i) != NULL; i++) {
    TRY(append_flags(verb_of, verb_of(i), script));
  }
  TRY(append_flags(verb_of, NULL, script));
  return bytes_append_text(script, end);
}
