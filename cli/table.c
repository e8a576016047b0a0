/* table.c - the commands, one row each: their words, and what runs them. */
#include <stdio.h>
#include <string.h>

#include "cli/completion.h"
#include "cli/verbs.h"

#define COMPLETION_BYTES_MAX ((size_t)16 * 1024)

/* Here, because it tells this table. */
static enum exit_code run_completion(const struct call *call) {
  (void)call;
  struct bytes script;
  bytes_open(&script, COMPLETION_BYTES_MAX);
  enum exit_code code = complain(completion_bash(cli_verb, &script));
  if (code == EXIT_CODE_OK) {
    fputs(bytes_text(&script), stdout);
  }
  bytes_close(&script);
  return code;
}

static const struct cli_verb verbs[] = {
    {"generate", USE_GENERATE, "PROMPT", "make pictures of a text and wait for them",
     "Submits a job, shows its progress, fetches its images and prints their paths on stdout;\n"
     "on stderr, where the time went. Without -o the images stay in the store and its paths or\n"
     "URLs are printed. PROMPT - reads the prompt from stdin, less the line end at its end.\n"
     "Ctrl-C cancels the job, a second one leaves at once.\n"
     "\nImages of s3: stores are fetched with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
     "AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_CA_BUNDLE, as the worker stores\n"
     "them, or the keys in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials). What cannot be "
     "fetched stays in the store: its URL is printed and the exit code is 3,\n"
     "74 or 77; darkroom watch ID -o fetches it later.\n"
     "\nExamples:\n"
     "  darkroom generate \"a lake at sunset\" -o lake.png\n"
     "  darkroom generate \"a lake\" --negative snow --seed 7 --count 4 -o lakes/\n"
     "  darkroom generate - -o - <prompt.txt >lake.png\n",
     run_generate},
    {"submit", USE_SUBMIT, "PROMPT", "put a job into the queue and print its id",
     "The id is printed once the queue has the job on disk. Repeating the command with the same\n"
     "--id and content changes nothing and prints the id again. PROMPT - reads it from stdin.\n",
     run_submit},
    {"watch", USE_WATCH, "ID", "follow a job to its end, like generate",
     "Ctrl-C leaves; the job goes on. Of a job that has ended, -o fetches the images at once.\n",
     run_watch},
    {"get", USE_GET, "ID", "show all that is known of a job", "", run_get},
    {"list", USE_LIST, NULL, "list jobs, the newest first", "", run_list},
    {"cancel", USE_CANCEL, "ID", "stop a job, waiting or running",
     "A running job stops at its next step. A job that has ended is left as it is.\n", run_cancel},
    {"requeue", USE_REQUEUE, "ID", "put a quarantined job back into the queue",
     "For the operator who has found out why it crashed its workers: its attempts are forgotten,\n"
     "and it goes in front of all that came after it. A job that is not in quarantine is left as\n"
     "it is.\n",
     run_requeue},
    {"bury", USE_BURY, "ID", "let a quarantined job fail for good",
     "Otherwise it does so by itself after three days. A job that is not in quarantine is left as\n"
     "it is.\n",
     run_bury},
    {"explain", USE_EXPLAIN, "ID", "say why a job waits, or what became of it", "", run_explain},
    {"models", USE_MODELS, NULL, "list the models of the fleet", "", run_models},
    {"status", USE_STATUS, NULL, "show the queue and the workers", "", run_status},
    {"keys", USE_KEYS, "ACTION [NAME]", "make, list, revoke and change the keys of a fleet",
     "generate NAME  makes a key and writes it to NAME.key; with --keyring and --may its row, too\n"
     "list           shows the rows of --keyring\n"
     "revoke NAME    takes them out: brokers end its connections within seconds\n"
     "rotate NAME    puts a new key into NAME.key; the old one goes on for --grace-s\n"
     "\nExamples:\n"
     "  darkroom keys generate broker\n"
     "  darkroom keys generate acme --keyring keyring --may \"tenant=acme roles=submit\" \\\n"
     "    --server-key broker.key\n"
     "  darkroom keys rotate acme --keyring keyring --grace-s 3600\n",
     run_keys},
    {"version", USE_VERSION, NULL, "show the version of this program", "", run_version},
    {"completion", USE_COMPLETION, NULL, "print a script for bash that completes these words",
     "source <(darkroom completion) now, or darkroom completion >FILE with FILE in\n"
     "/etc/bash_completion.d/darkroom or ~/.local/share/bash-completion/completions/darkroom.\n",
     run_completion},
};

const struct cli_verb *cli_verb(size_t index) {
  return index < sizeof verbs / sizeof verbs[0] ? &verbs[index] : NULL;
}

const struct cli_verb *cli_verb_named(const char *name) {
  for (size_t i = 0; cli_verb(i) != NULL; i++) {
    if (strcmp(verbs[i].name, name) == 0) {
      return &verbs[i];
    }
  }
  return NULL;
}
