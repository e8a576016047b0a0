/* main.c - darkroom, the client. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/process.h"
#include "cli/command.h"

static void leave(int signal_number) { _exit(128 + signal_number); }

/* The first process of a container gets no signal that it does not ask for: Ctrl-C would do
 * nothing. */
static void want_signals_as_first_process(void) {
  static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
  for (size_t i = 0; getpid() == 1 && i < sizeof signals / sizeof signals[0]; i++) {
    signal(signals[i], leave);
  }
}

int main(int argc, char **argv) {
  want_signals_as_first_process();
  enum exit_code code = EXIT_CODE_REFUSED;
  if (process_begin(argv) == OK && process_want_files(DESCRIPTORS_OF_CLIENT_MIN) == OK) {
    code = command_run(argc, argv);
  } else {
    fprintf(stderr, "darkroom: %s\n", fail_reason());
  }
  return process_end("darkroom", code);
}
