/* background.c - detached threads that take no signals. */
#include "base/background.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* A thread is born with the mask of its maker, so that there is no moment in which it could take a
 * signal. */
enum status background_run(void *(*work)(void *argument), void *argument) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  int error = pthread_create(&thread, &attributes, work, argument);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error == 0 ? OK : fail(UNAVAILABLE, "no thread: %s", strerror(error));
}
