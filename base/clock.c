/* clock.c - CLOCK_MONOTONIC and CLOCK_REALTIME, or what a test has put in their place. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_MS 1000000
#define NS_PER_S 1000000000

static atomic_bool held;
static atomic_llong held_monotonic_ms;
static atomic_llong held_wall_ms;

static int64_t read_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_ns(void) { return held ? held_monotonic_ms * NS_PER_MS : read_ns(CLOCK_MONOTONIC); }

int64_t clock_ms(void) { return clock_ns() / NS_PER_MS; }

int64_t clock_wall_ms(void) { return held ? held_wall_ms : read_ns(CLOCK_REALTIME) / NS_PER_MS; }

void clock_sleep_ms(int64_t ms) {
  if (held || ms <= 0) {
    return;
  }
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * NS_PER_MS};
  nanosleep(&pause, NULL);
}

void clock_hold(int64_t monotonic_ms, int64_t wall_ms) {
  held_monotonic_ms = monotonic_ms;
  held_wall_ms = wall_ms;
  held = true;
}

void clock_move(int64_t ms) {
  held_monotonic_ms += ms;
  held_wall_ms += ms;
}

void clock_let_go(void) { held = false; }

void clock_text(int64_t wall_ms, char *text) {
  int64_t ms = (wall_ms % 1000 + 1000) % 1000; /* also of a clock that stands before 1970 */
  time_t seconds = (time_t)(wall_ms / 1000 - (wall_ms % 1000 < 0));
  struct tm parts = {.tm_mday = 1};
  gmtime_r(&seconds, &parts); /* refuses what no year has; then it is 1900 */
  char day[40] = "";
  strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text, CLOCK_TEXT_MAX, "%.26s.%03uZ", day, (unsigned)ms % 1000);
}
