/* turn.c - the worker's loop: wait, gather everything there is, decide, say what follows. */
#include "worker/turn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitoring/log.h"
#include "worker/admission.h"
#include "worker/inputs.h"
#include "worker/offers.h"
#include "worker/orders.h"
#include "worker/outcome.h"
#include "worker/pictures.h"
#include "worker/reports.h"

enum { TURN_MS_MAX = 1000, AFTER_DRAIN_MS = 3000, BYES = 2 };

/* What is waited for, in this order. */
enum { ON_BROKER, ON_SIGNAL, ON_MEDIA, ON_CHILDREN };

#define READY_BYTES_MAX 400 /* of why we are not ready, or not with all devices */
_Static_assert(READY_BYTES_MAX >= TROUBLE_BYTES_MAX, "what keeps pictures from their store fits");
_Static_assert(READY_BYTES_MAX >= HARDWARE_WORDS_BYTES_MAX,
               "so does what devices are cordoned for");

/* waiting -------------------------------------------------------------------------------------- */

static bool talking(const struct child *child) {
  return child->state == CHILD_LOADING || child->state == CHILD_READY;
}

static size_t list_what(struct worker *worker, int signals, zmq_pollitem_t *items,
                        size_t *child_of) {
  items[ON_BROKER] =
      (zmq_pollitem_t){.socket = worker->link.dealer.socket, .fd = -1, .events = ZMQ_POLLIN};
  items[ON_SIGNAL] = (zmq_pollitem_t){.fd = signals, .events = ZMQ_POLLIN};
  items[ON_MEDIA] = (zmq_pollitem_t){.fd = media_descriptor(worker->media), .events = ZMQ_POLLIN};
  size_t count = ON_CHILDREN;
  for (size_t i = 0; i < worker->children.count; i++) {
    struct child *child = &worker->children.child[i];
    if (!talking(child)) {
      continue;
    }
    short events = ZMQ_POLLIN | (pipe_waiting(&child->pipe) ? ZMQ_POLLOUT : 0);
    items[count] = (zmq_pollitem_t){.fd = child->pipe.fd, .events = events};
    child_of[count++] = i;
  }
  return count;
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static long wait_ms(struct worker *worker, int64_t now_ms) {
  int64_t due = earlier(offers_due_ms(worker, now_ms), pictures_due_ms(worker));
  due = earlier(due, inputs_due_ms(worker));
  due = earlier(due, children_due_ms(&worker->children));
  due = earlier(due, link_due_ms(&worker->link));
  if (worker->draining) {
    due = earlier(due, worker->drain_until_ms);
  }
  if (due <= now_ms) {
    return 0;
  }
  return due - now_ms < TURN_MS_MAX ? (long)(due - now_ms) : TURN_MS_MAX;
}

/* draining ------------------------------------------------------------------------------------- */

/* What the spool has whole and sealed is left to the next life, which hands it in; it would have to
 * be made again if it were handed back. If there is none, its lease lapses. */
static bool left_in_spool(const struct held *held) {
  return held->state == HELD_STORING && held->sealed;
}

/* Jobs that no engine has begun, and in the end all that an engine still has, go back at once. */
static void hand_back(struct worker *worker, bool all) {
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    bool unbegun =
        held->state == HELD_ADMITTED || held->state == HELD_WAITING || held->state == HELD_FETCHING;
    bool storing = held->state == HELD_STORING && !left_in_spool(held);
    if (unbegun || (all && (held->state == HELD_RUNNING || storing))) {
      job_release(worker, held);
    }
  }
}

static void drain(struct worker *worker, int64_t now_ms) {
  bool again = worker->draining;
  worker->draining = true;
  worker->claim_stale = true;
  worker->last_beat_ms = 0; /* a BEAT says so at once: operators see it, brokers offer nothing */
  worker->drain_until_ms = again ? now_ms : now_ms + worker->options->drain_seconds * 1000;
  log_event("draining", log_count("held", held_count(&worker->held)),
            log_text("now", again ? "yes" : "no"));
  hand_back(worker, again);
}

static size_t count_left_in_spool(struct worker *worker) {
  size_t count = 0;
  struct held *held = NULL;
  for (size_t at = 0; (held = held_next(&worker->held, &at)) != NULL;) {
    count += left_in_spool(held);
  }
  return count;
}

/* Ends when nothing is held and the broker has said goodbye, or a little after the deadline: a
 * worker that no broker answers, or whose store is away, keeps its pictures in the spool for its
 * next life. It says no BYE then: that would close the leases of what it keeps. */
static void drain_tend(struct worker *worker, int64_t now_ms) {
  if (!worker->draining) {
    return;
  }
  if (now_ms >= worker->drain_until_ms) {
    hand_back(worker, true);
  }
  size_t left = now_ms >= worker->drain_until_ms ? count_left_in_spool(worker) : 0;
  bool empty = held_count(&worker->held) == 0;
  bool late = now_ms >= worker->drain_until_ms + AFTER_DRAIN_MS;
  bool unheard = worker->bye.tries >= BYES && now_ms >= worker->bye.due_ms;
  if (late || (empty && (worker->generation == 0 || unheard)) ||
      (left > 0 && left == held_count(&worker->held))) {
    worker->gone = true;
    log_event("left_in_spool", log_count("jobs", left));
  } else if (empty && worker->bye.verb == 0) {
    offer_open(&worker->bye, WIRE_BYE);
  }
}

static void on_signals(struct worker *worker, int signals) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
    if (info.ssi_signo == SIGUSR1) {
      hardware_let_in(worker, clock_ms());
    } else if (info.ssi_signo !=
               SIGCHLD) { /* a dead child is seen on its pipe: that only wakes us */
      drain(worker, clock_ms());
    }
  }
}

/* readiness ------------------------------------------------------------------------------------ */

/* The first device that has something to say of why it is not there. */
static const char *no_engine_because(const struct worker *worker, char words[READY_BYTES_MAX]) {
  hardware_write_cordons(worker, words);
  for (size_t i = 0; i < worker->children.count && words[0] == '\0'; i++) {
    const char *reason = hardware_reason(worker, i);
    if (reason[0] != '\0') {
      snprintf(words, READY_BYTES_MAX, "no engine is ready: %s: %.300s",
               worker->children.child[i].device, reason);
    }
  }
  return words[0] != '\0' ? words : "no engine is ready";
}

static const char *not_ready_because(const struct worker *worker, char trouble[READY_BYTES_MAX]) {
  if (worker->draining) {
    return "draining";
  }
  if (children_ready(&worker->children) == 0) {
    return no_engine_because(worker, trouble);
  }
  if (worker->generation == 0) {
    return worker->unwelcome[0] != '\0' ? worker->unwelcome : "no broker has welcomed this worker";
  }
  if (!link_alive(&worker->link)) {
    return "no broker answers";
  }
  trouble_write(&worker->store, &worker->spool_watch, trouble);
  return trouble[0] != '\0' ? trouble : NULL;
}

/* One that works on with a device less says so. */
static void tell_readiness(struct worker *worker) {
  char words[READY_BYTES_MAX];
  const char *because = not_ready_because(worker, words);
  if (because == NULL) {
    hardware_write_cordons(worker, words);
  }
  readiness_set(worker->ready, because == NULL, because == NULL ? words : because);
}

/* the turn ------------------------------------------------------------------------------------- */

static enum status gather(struct worker *worker, int signals, long timeout_ms) {
  zmq_pollitem_t items[ON_CHILDREN + DEVICES_MAX];
  size_t child_of[ON_CHILDREN + DEVICES_MAX];
  size_t count = list_what(worker, signals, items, child_of);
  if (zmq_poll(items, (int)count, timeout_ms) < 0 && errno != EINTR) {
    return fail(BROKEN, "poll: %s", zmq_strerror(errno));
  }
  on_signals(worker, signals);
  for (size_t i = ON_CHILDREN; i < count; i++) {
    struct child *child = &worker->children.child[child_of[i]];
    if ((items[i].revents & ZMQ_POLLOUT) != 0) {
      (void)pipe_flush(&child->pipe); /* a lost child is seen when it is read */
    }
    if ((items[i].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0) {
      reports_take_all(worker, child_of[i]);
    }
  }
  pictures_take_all(worker);
  return orders_take_all(worker);
}

static bool is_engine(const struct worker *worker, pid_t pid) {
  for (size_t i = 0; i < worker->children.count; i++) {
    if (worker->children.child[i].pid == pid) {
      return true;
    }
  }
  return false;
}

/* The first process of a container inherits the orphans of all others in it (of what an operator
 * runs beside us), and none but we can let them go. Engines are not touched: they are reaped when
 * their last reports have been read. */
static void reap_orphans(const struct worker *worker) {
  siginfo_t ended = {0};
  while (getpid() == 1 && waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid > 0 && !is_engine(worker, ended.si_pid)) {
    (void)waitpid(ended.si_pid, NULL, WNOHANG);
    ended.si_pid = 0;
  }
}

static void decide(struct worker *worker) {
  int64_t now_ms = clock_ms();
  reap_orphans(worker);
  hardware_tend(worker, now_ms); /* before ends are judged: an Xid may be why */
  children_tend(&worker->children, now_ms, reports_child_ended, worker);
  watchdog(worker, now_ms);
  inputs_tend(worker, now_ms);
  admission_tend(worker);
  pictures_tend(worker, now_ms);
  if (link_tend(&worker->link, now_ms)) {
    offers_restart(worker);
  }
  drain_tend(worker, now_ms);
  offers_tend(worker, now_ms);
  tell_readiness(worker);
  if (children_all_refused(&worker->children) && held_count(&worker->held) == 0) {
    log_error("models_refused", log_count("devices", worker->children.count));
    worker->exit_code = EXIT_CODE_REFUSED;
    worker->gone = true;
  }
}

enum exit_code worker_run(struct worker *worker, int signals) {
  while (!worker->gone) {
    decide(worker);
    if (worker->gone) {
      break;
    }
    if (gather(worker, signals, wait_ms(worker, clock_ms())) != OK) {
      log_error("worker_broken", log_text("reason", fail_reason()));
      return EXIT_CODE_INTERNAL;
    }
  }
  log_event("leaving", log_count("held", held_count(&worker->held)),
            log_number("code", worker->exit_code));
  return worker->exit_code;
}
