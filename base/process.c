/* process.c - standard descriptors, the limit of open files, and a stdout that says what became of
 * it. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STANDARD_DESCRIPTORS = 3 };

static bool lacked[STANDARD_DESCRIPTORS];
static char *const *arguments;

/* open() gives the lowest number that is free: with the lower ones filled, the one that is missing.
 * In a root folder without /dev the folder itself serves: it can be neither read nor written. */
static bool fill(int descriptor) {
  int fd = open("/dev/null", O_RDWR);
  if (fd < 0) {
    fd = open("/", O_RDONLY);
  }
  return fd == descriptor;
}

enum status process_begin(char **argv) {
  arguments = argv;
  for (int i = 0; i < STANDARD_DESCRIPTORS; i++) {
    lacked[i] = fcntl(i, F_GETFD) < 0 && errno == EBADF;
    if (lacked[i] && !fill(i)) {
      return fail(EXHAUSTED, "descriptor %d is closed, and nothing can be opened in its place: %s",
                  i, strerror(errno));
    }
  }
  signal(SIGPIPE, SIG_IGN);
  return OK;
}

char *const *process_arguments(void) { return arguments; }

/* The link is right even when the file has been replaced by a newer version since; what the kernel
 * was told to execute is the next best. */
const char *process_path(void) {
  static const char link[] = "/proc/self/exe";
  return access(link, X_OK) == 0 ? link : (const char *)getauxval(AT_EXECFN);
}

bool process_lacked(int descriptor) {
  return descriptor >= 0 && descriptor < STANDARD_DESCRIPTORS && lacked[descriptor];
}

enum status process_want_files(int wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return OK; /* then nobody knows, and nothing is refused for it */
  }
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < (rlim_t)wanted) {
    return fail(BAD_INPUT,
                "only %llu files may be open at once (ulimit -n); at least %d are needed",
                (unsigned long long)limit.rlim_cur, wanted);
  }
  return OK;
}

/* stdio forgets why a write failed in the middle; the pipe itself still knows. */
static bool reader_gone(void) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

enum exit_code process_end(const char *program, enum exit_code code) {
  bool failed_before = ferror(stdout) != 0;
  errno = 0;
  if (fflush(stdout) == 0 && !failed_before) {
    return code;
  }
  const char *why = errno != 0 ? strerror(errno) : "not everything could be written";
  if (reader_gone()) {
    return code == EXIT_CODE_OK ? EXIT_CODE_CLOSED_PIPE : code;
  }
  fprintf(stderr, "%s: stdout: %s\n", program, why);
  return code == EXIT_CODE_OK ? EXIT_CODE_CANNOT_WRITE : code;
}
