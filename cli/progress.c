/* progress.c - events as people read them. */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_CELLS 30
enum { COLUMNS_STANDARD = 80, COLUMNS_MAX = 1000, LINE_BYTES_MAX = 160 };

/* A bar is drawn over itself: on a terminal that cannot clear a line it would be a heap. */
static bool can_draw(void) {
  const char *terminal = getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != NULL && terminal[0] != '\0' &&
         strcmp(terminal, "dumb") != 0;
}

/* As the terminal says; COLUMNS where it does not know (a serial line), if that is a number. */
static size_t columns(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  const char *text = getenv("COLUMNS");
  char *end = NULL;
  long number = text != NULL ? strtol(text, &end, 10) : 0;
  bool fine = number > 0 && number <= COLUMNS_MAX && *end == '\0';
  return fine ? (size_t)number : COLUMNS_STANDARD;
}

void progress_open(struct progress *progress, bool quiet) {
  *progress = (struct progress){.quiet = quiet, .terminal = can_draw(), .position = -1};
}

void progress_end(struct progress *progress) {
  if (progress->bar_shown) {
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
    progress->bar_shown = false;
  }
}

static void say(struct progress *progress, const char *format, va_list arguments) {
  progress_end(progress);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
}

void progress_say(struct progress *progress, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(progress, format, arguments);
  va_end(arguments);
}

void progress_tell(struct progress *progress, const char *format, ...) {
  if (!progress->quiet) {
    va_list arguments;
    va_start(arguments, format);
    say(progress, format, arguments);
    va_end(arguments);
  }
}

/* Steps a second since the first one seen; 0 while there is nothing to go by. */
static double rate(const struct progress *progress) {
  int64_t ms = clock_ms() - progress->begun_ms;
  return ms > 0 ? (progress->step - progress->begun_step) * 1000.0 / (double)ms : 0;
}

static void draw_bar(struct progress *progress, uint32_t steps) {
  char cells[BAR_CELLS + 1];
  uint32_t filled = steps > 0 ? progress->step * BAR_CELLS / steps : 0;
  filled = filled > BAR_CELLS ? BAR_CELLS : filled;
  memset(cells, '.', BAR_CELLS);
  memset(cells, '#', filled);
  cells[BAR_CELLS] = '\0';
  double speed = rate(progress);
  char line[LINE_BYTES_MAX];
  int bytes = snprintf(line, sizeof line, "[%s] step %u/%u", cells, progress->step, steps);
  if (speed > 0) {
    snprintf(line + bytes, sizeof line - (size_t)bytes, "  %.1f it/s  %.0f s left", speed,
             steps > progress->step ? (steps - progress->step) / speed : 0);
  }
  /* a line that reaches the last column wraps, and the next \r would not come back to its start */
  fprintf(stderr, "\r\033[K%.*s", (int)columns() - 1, line);
  fflush(stderr);
  progress->bar_shown = true;
}

/* A restarted job counts from the beginning again. */
static void show_step(struct progress *progress, uint32_t step, uint32_t steps) {
  if (progress->begun_ms == 0 || step < progress->step) {
    progress->begun_ms = clock_ms();
    progress->begun_step = step;
    progress->quarter = 0;
  }
  progress->step = step;
  uint32_t quarter = steps > 0 ? step * 4 / steps : 0;
  if (progress->terminal && !progress->quiet) {
    draw_bar(progress, steps);
  } else if (quarter > progress->quarter) {
    progress->quarter = quarter;
    progress_tell(progress, "step %u/%u", step, steps);
  }
}

static void show_queued(struct progress *progress, const Darkroom__V1__Event *event) {
  int64_t position = event->has_position ? (int64_t)event->position : 0;
  if (position != progress->position) {
    progress->position = position;
    progress_tell(progress, "queued, %" PRId64 " ahead", position);
  }
}

void progress_event(struct progress *progress, const Darkroom__V1__Event *event) {
  switch (event->has_kind ? (int)event->kind : 0) {
    case DARKROOM__V1__EVENT_KIND__EVENT_QUEUED:
      show_queued(progress, event);
      break;
    case DARKROOM__V1__EVENT_KIND__EVENT_STARTED:
      progress_tell(progress, "started on %s", event->worker != NULL ? event->worker : "a worker");
      break;
    case DARKROOM__V1__EVENT_KIND__EVENT_STEP:
      show_step(progress, event->step, event->steps);
      break;
    case DARKROOM__V1__EVENT_KIND__EVENT_REQUEUED:
      progress->begun_ms = 0;
      progress->position = -1;
      progress_tell(progress, "put back: %s",
                    event->error != NULL && event->error->message != NULL ? event->error->message
                                                                          : "unknown");
      break;
    case DARKROOM__V1__EVENT_KIND__EVENT_TERMINAL:
      progress_end(progress);
      break;
    default: /* IMAGE says nothing that the end does not; kinds of newer brokers are passed over */
      break;
  }
}

static double ms(uint64_t us) { return (double)us / 1000; }

void progress_timings(const Darkroom__V1__Timings *timings) {
  const struct {
    const char *name;
    bool known;
    uint64_t us;
    uint32_t steps;
  } parts[] = {
      {"queue", timings->has_queue_us, timings->queue_us, 0},
      {"encode", timings->has_encode_us, timings->encode_us, 0},
      {"denoise", timings->has_denoise_us, timings->denoise_us, timings->denoise_steps},
      {"decode", timings->has_decode_us, timings->decode_us, 0},
      {"store", timings->has_store_us, timings->store_us, 0},
      {"total", timings->has_total_us, timings->total_us, 0},
  };
  const char *between = "time: ";
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (!parts[i].known) {
      continue;
    }
    fprintf(stderr, "%s%s %.1f ms", between, parts[i].name, ms(parts[i].us));
    between = ", ";
    if (parts[i].steps > 0) {
      fprintf(stderr, " (%u steps of %.1f ms)", parts[i].steps, ms(parts[i].us) / parts[i].steps);
    }
  }
  fputs(between[0] == ',' ? "\n" : "", stderr);
}
