/* verbs.h - the commands of the client, one row each. */
#ifndef DARKROOM_CLI_VERBS_H
#define DARKROOM_CLI_VERBS_H

#include "base/arena.h"
#include "cli/complaint.h"
#include "cli/link.h"
#include "cli/options.h"

/* What a command gets to work with. argument is its positional one, NULL if it takes none; more is
 * the second one, of a command that may have one. */
struct call {
  const struct options *options;
  const char *argument, *more;
  struct arena *arena;
  struct link *link;
};

struct cli_verb {
  const char *name;
  enum verb_use use;
  const char *argument; /* "PROMPT", "ID" or NULL; "ACTION [NAME]": a second one may follow */
  const char *summary;
  const char *documentation; /* for --help of the verb */
  enum exit_code (*run)(const struct call *call);
};

/* The table, in table.c: the index-th verb, NULL past the end; and the one of that name, NULL if
 * there is none. */
const struct cli_verb *cli_verb(size_t index);
const struct cli_verb *cli_verb_named(const char *name);

/* Asks a broker. The answer, for the caller to show, with *code EXIT_CODE_OK; NULL when everything
 * has been said: refused, or shown as JSON; *code is then the command's. */
const ProtobufCMessage *verb_ask(const struct call *call, enum wire_verb verb,
                                 const ProtobufCMessage *message, enum wire_verb answer_verb,
                                 enum exit_code *code);

/* One question with one answer: verbs.c. */
enum exit_code run_get(const struct call *call);
enum exit_code run_list(const struct call *call);
enum exit_code run_cancel(const struct call *call);
enum exit_code run_explain(const struct call *call);
enum exit_code run_models(const struct call *call);
enum exit_code run_status(const struct call *call);
enum exit_code run_version(const struct call *call);

/* The verbs that make or follow a job: jobs.c. */
enum exit_code run_generate(const struct call *call);
enum exit_code run_submit(const struct call *call);
enum exit_code run_watch(const struct call *call);

/* Key files and keyrings: keys.c. */
enum exit_code run_keys(const struct call *call);

/* An operator's: quarantine.c. */
enum exit_code run_requeue(const struct call *call);
enum exit_code run_bury(const struct call *call);

#endif
