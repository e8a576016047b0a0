/* clock.h - the only door to time. Tests may hold it still or move it. */
#ifndef DARKROOM_BASE_CLOCK_H
#define DARKROOM_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds and nanoseconds of a clock that never goes back; its zero has no meaning. */
int64_t clock_ms(void);
int64_t clock_ns(void);

/* Milliseconds since 1970 UTC: for people, records and signatures; never for leases. */
int64_t clock_wall_ms(void);

/* Sleeps for about ms milliseconds (returns at once while the clock is held). */
void clock_sleep_ms(int64_t ms);

/* For tests: from now on both clocks stand at these values until moved or let go. Affects the whole
 * process. */
void clock_hold(int64_t monotonic_ms, int64_t wall_ms);
void clock_move(int64_t ms);
void clock_let_go(void);

/* "2026-11-24T05:48:25.123Z" for a wall time; text holds at least CLOCK_TEXT_MAX bytes. */
#define CLOCK_TEXT_MAX 32
void clock_text(int64_t wall_ms, char *text);

#endif
