/* follow.c - SUBMIT or WATCH, then events; every silence is answered by asking again, maybe
 * elsewhere. */
#include "cli/follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/previews.h"
#include "cli/progress.h"

#define SLICE_MS 200        /* the longest deaf time after a signal */
#define CONNECT_MS 1000     /* until the next broker is tried */
#define WATCH_AGAIN_MS 8000 /* of silence, since events are not kept for who was away */
#define CANCEL_AGAIN_MS 3000
#define ELSEWHERE_MS 100
#define STOPPED_MS 4000 /* a turn that took longer was no turn: we were stopped, by Ctrl-Z or so */

enum { SIGNALS = 3 };
static const int signals[SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t interrupts; /* how often Ctrl-C */
static volatile sig_atomic_t told_to_go; /* SIGTERM or SIGHUP, 0: neither */

static void on_signal(int signal_number) {
  if (signal_number == SIGINT) {
    interrupts++;
  } else {
    told_to_go = signal_number;
  }
}

struct follower {
  const struct following *with;
  struct progress progress;
  struct previews previews;
  bool sent;            /* the queue may have the job */
  bool submitted;       /* it has */
  bool ask;             /* SUBMIT or WATCH is to be sent */
  bool answered;        /* since it was sent last */
  uint64_t correlation; /* of it, each time, so that a broker has one watcher of us and not many */
  uint64_t cancel_correlation;
  int64_t asked_ms;
  int64_t heard_ms;
  int64_t cancelled_ms; /* when CANCEL was sent last */
  int64_t not_before_ms;
  int64_t turn_ms;     /* when the last turn of the loop ended */
  struct refusal busy; /* what a broker that cannot accept now said last; code 0: none did */
  Darkroom__V1__JobStatus *status; /* the final one */
  bool done;
  enum exit_code code;
};

static void leave(struct follower *follower, enum exit_code code) {
  progress_end(&follower->progress);
  follower->done = true;
  follower->code = code;
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t patience_ms(const struct follower *follower) {
  return follower->with->options->patience_ms;
}

static int64_t share_ms(const struct follower *follower) {
  return link_share_ms(follower->with->link, patience_ms(follower));
}

/* A job that waits says nothing: its silence is not the broker's. So the broker is asked well
 * within the patience, and there is time for its answer. */
static int64_t watch_again_ms(const struct follower *follower) {
  return smaller(WATCH_AGAIN_MS, patience_ms(follower) / 3);
}

/* What becomes of a job that we leave before its end, and how to come back to it. */
static void say_what_becomes(const struct follower *follower) {
  const char *id = follower->with->id;
  if (follower->cancelled_ms != 0) {
    fprintf(stderr, "darkroom: whether it was cancelled is not known: darkroom get %s\n", id);
  } else if (follower->with->job == NULL || follower->submitted) {
    fprintf(stderr, "darkroom: the job goes on without us: darkroom watch %s\n", id);
  } else if (follower->sent) {
    fprintf(stderr, "darkroom: the job may have been submitted: darkroom get %s\n", id);
  }
}

/* asking -------------------------------------------------------------------------------------- */

static enum status send_question(struct follower *follower) {
  const struct following *with = follower->with;
  int64_t connect_ms = smaller(CONNECT_MS, share_ms(follower));
  if (with->job != NULL && !follower->submitted) {
    Darkroom__V1__Submit submit = DARKROOM__V1__SUBMIT__INIT;
    submit.job = with->job;
    submit.has_watch = 1;
    submit.watch = 1;
    enum status status =
        link_send(with->link, WIRE_SUBMIT, follower->correlation, &submit.base, connect_ms);
    follower->sent = follower->sent || status == OK;
    return status;
  }
  char *ids[] = {(char *)with->id};
  Darkroom__V1__Watch watch = DARKROOM__V1__WATCH__INIT;
  watch.n_id = 1;
  watch.id = ids;
  watch.tenant = (char *)with->options->tenant;
  return link_send(with->link, WIRE_WATCH, follower->correlation, &watch.base, connect_ms);
}

static void elsewhere(struct follower *follower) {
  link_next(follower->with->link);
  follower->ask = true;
  follower->not_before_ms = clock_ms() + ELSEWHERE_MS;
}

static void ask(struct follower *follower) {
  int64_t now = clock_ms();
  if (!follower->ask || now < follower->not_before_ms) {
    return;
  }
  enum status status = send_question(follower);
  if (status == UNAVAILABLE) {
    elsewhere(follower);
  } else if (status != OK) {
    leave(follower, complain(status));
  } else {
    follower->ask = false;
    follower->answered = false;
    follower->asked_ms = clock_ms();
  }
}

static void give_up(struct follower *follower) {
  progress_end(&follower->progress);
  enum exit_code code = EXIT_CODE_UNAVAILABLE;
  if (follower->busy.code != 0) {
    code = complain_refused(BAD_INPUT, &follower->busy);
  } else {
    fprintf(stderr, "darkroom: no broker answers (last tried: %s)\n",
            link_endpoint(follower->with->link));
  }
  say_what_becomes(follower);
  leave(follower, code);
}

/* Asks again after silence, and gives up when it has lasted too long. */
static void mind_the_silence(struct follower *follower) {
  int64_t now = clock_ms();
  int64_t silent_ms = now - follower->heard_ms;
  int64_t asked_ago_ms = now - follower->asked_ms;
  if (silent_ms > patience_ms(follower)) {
    give_up(follower);
  } else if (!follower->ask && !follower->answered && asked_ago_ms > share_ms(follower)) {
    elsewhere(follower);
  } else if (silent_ms > watch_again_ms(follower) && asked_ago_ms > watch_again_ms(follower)) {
    follower->ask = true;
  }
}

/* The time in which we were stopped is nobody's silence; what was said in it may be lost, so a
 * snapshot is asked for at once. */
static void mind_the_clock(struct follower *follower) {
  int64_t now = clock_ms();
  if (now - follower->turn_ms > STOPPED_MS) {
    follower->heard_ms = now;
    follower->ask = true;
  }
  follower->turn_ms = now;
}

/* signals -------------------------------------------------------------------------------------- */

static void send_cancel(struct follower *follower) {
  Darkroom__V1__Cancel cancel = DARKROOM__V1__CANCEL__INIT;
  cancel.id = (char *)follower->with->id;
  cancel.tenant = (char *)follower->with->options->tenant;
  follower->cancelled_ms = clock_ms();
  follower->cancel_correlation = link_correlation(follower->with->link);
  if (link_send(follower->with->link, WIRE_CANCEL, follower->cancel_correlation, &cancel.base, 0) !=
      OK) {
    follower->cancelled_ms = clock_ms() - CANCEL_AGAIN_MS + SLICE_MS;
  }
}

/* Ctrl-C is for the job, and the second one for us; SIGTERM and SIGHUP (timeout, a supervisor, a
 * lost terminal) are for us alone: the queue keeps the job. */
static void mind_the_signals(struct follower *follower) {
  bool ours = follower->with->job != NULL;
  if (told_to_go != 0 || (interrupts > 0 && (!ours || interrupts > 1))) {
    leave(follower, told_to_go != 0 ? 128 + told_to_go : EXIT_CODE_INTERRUPTED);
    say_what_becomes(follower);
  } else if (interrupts == 0) {
    return;
  } else if (follower->cancelled_ms == 0) {
    progress_say(&follower->progress, "cancelling %s; Ctrl-C again leaves at once",
                 follower->with->id);
    send_cancel(follower);
  } else if (clock_ms() - follower->cancelled_ms > CANCEL_AGAIN_MS) {
    send_cancel(follower);
  }
}

/* hearing ------------------------------------------------------------------------------------- */

static void hear_submitted(struct follower *follower, const Darkroom__V1__Submitted *submitted) {
  if (!follower->submitted && !follower->with->options->quiet) {
    progress_say(&follower->progress, "job %s%s", follower->with->id,
                 submitted->existed ? " (submitted before)" : "");
  }
  follower->submitted = true;
}

/* True when the message must stay in the arena. */
static bool hear_event(struct follower *follower, Darkroom__V1__Event *event) {
  progress_event(&follower->progress, event);
  previews_take(&follower->previews, event->preview, &follower->progress);
  if (!event->has_kind || event->kind != DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL ||
      event->status == NULL) {
    return false;
  }
  follower->status = event->status;
  leave(follower, EXIT_CODE_OK);
  return true;
}

static void ask_later(struct follower *follower, const struct refusal *why) {
  follower->not_before_ms = clock_ms() + link_pause_ms(why);
  follower->busy = *why;
  follower->ask = true;
}

/* A queue that cannot accept now is asked again, and patience runs on; a cancel that came too early
 * or too late is no failure. */
static void hear_error(struct follower *follower, const Darkroom__V1__Error *error,
                       bool to_cancel) {
  struct refusal why;
  refusal_from_error(error, &why);
  bool nothing_to_cancel = to_cancel && why.code == DARKROOM__V1__ERROR_CODE__ERROR_NOT_FOUND;
  if (nothing_to_cancel && !follower->submitted) {
    leave(follower, EXIT_CODE_INTERRUPTED);
  } else if (!to_cancel && link_pause_ms(&why) >= 0) {
    ask_later(follower, &why);
  } else if (!to_cancel) {
    progress_end(&follower->progress);
    leave(follower, complain_refused(BAD_INPUT, &why));
  }
}

static void heard(struct follower *follower) {
  follower->heard_ms = clock_ms();
  follower->busy.code = 0;
}

/* True when the message must stay in the arena. */
static bool hear(struct follower *follower, enum wire_verb verb, ProtobufCMessage *payload,
                 bool to_cancel) {
  follower->answered = true;
  if (verb == WIRE_ERROR) {
    hear_error(follower, (Darkroom__V1__Error *)payload, to_cancel);
    return false;
  }
  heard(follower);
  if (verb == WIRE_SUBMITTED) {
    hear_submitted(follower, (Darkroom__V1__Submitted *)payload);
  }
  return verb == WIRE_EVENT && hear_event(follower, (Darkroom__V1__Event *)payload);
}

/* A message for us; what is kept of it stays in the arena. */
static void hear_message(struct follower *follower, const struct wire_message *message,
                         bool to_cancel) {
  struct arena *arena = follower->with->arena;
  struct arena_mark mark = arena_mark(arena);
  struct refusal why;
  ProtobufCMessage *payload = NULL;
  enum status status = link_unpack(message, arena, &payload, &why);
  if (status != OK) {
    leave(follower, complain_refused(status, &why));
    return;
  }
  if (!hear(follower, message->verb, payload, to_cancel)) {
    arena_release(arena, mark);
  }
}

static void listen_once(struct follower *follower) {
  struct wire_message message = {0};
  int64_t slice_ms = smaller(SLICE_MS, watch_again_ms(follower) / 2);
  enum status status = link_receive(follower->with->link, slice_ms, &message);
  uint64_t correlation = message.correlation;
  bool to_cancel = follower->cancel_correlation != 0 && correlation == follower->cancel_correlation;
  if (status == UNAVAILABLE) {
    elsewhere(follower);
  } else if (status != OK) {
    leave(follower, complain(status));
  } else if (message.got == WIRE_UNREADABLE) {
    leave(follower, complain_refused(BAD_INPUT, &message.why));
  } else if (message.got == WIRE_MESSAGE && (to_cancel || correlation == follower->correlation)) {
    hear_message(follower, &message, to_cancel);
  }
  wire_message_close(&message);
}

/* A signal that whoever started us wants ignored (nohup, a job behind `&`) stays ignored. */
static void catch_signals(struct sigaction *before) {
  struct sigaction caught = {.sa_handler = on_signal};
  for (size_t i = 0; i < SIGNALS; i++) {
    sigaction(signals[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) {
      sigaction(signals[i], &caught, NULL);
    }
  }
}

static void give_signals_back(const struct sigaction *before) {
  for (size_t i = 0; i < SIGNALS; i++) {
    sigaction(signals[i], &before[i], NULL);
  }
}

enum exit_code follow(const struct following *following, Darkroom__V1__JobStatus **out) {
  struct follower follower = {.with = following, .ask = true, .heard_ms = clock_ms()};
  follower.turn_ms = follower.heard_ms;
  follower.previews = (struct previews){.place = following->options->previews, .id = following->id};
  follower.correlation = link_correlation(following->link);
  struct sigaction before[SIGNALS];
  catch_signals(before);
  progress_open(&follower.progress, following->options->quiet);
  while (!follower.done) {
    ask(&follower);
    if (!follower.done) {
      listen_once(&follower);
    }
    mind_the_clock(&follower);
    if (!follower.done) {
      mind_the_signals(&follower);
    }
    if (!follower.done) {
      mind_the_silence(&follower);
    }
  }
  give_signals_back(before);
  link_rest(following->link); /* pictures may be fetched now, for minutes */
  *out = follower.status;
  bool by_us = interrupts > 0 && follower.status != NULL &&
               follower.status->state == DARKROOM__V1__JOB_STATE__JOB_STATE_CANCELLED;
  return by_us ? EXIT_CODE_INTERRUPTED : follower.code;
}
