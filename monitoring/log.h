/* log.h - one line on stderr per change of state, for people (logfmt) or machines (JSON).
 *
 * log_event("job_succeeded", "job=%s ms=%d", id, ms) writes
 *   ts=2026-11-24T05:48:25.123Z level=info component=broker event=job_succeeded job=j1 ms=12
 * The format is pairs "key=conversion" separated by single spaces; each value is rendered alone, so
 * a text with spaces, quotes or line ends is quoted and cannot forge another pair. Thread safe; a
 * line is one write(). Never a prompt, a key or a URL with a signature. Values are cut at
 * LOG_VALUE_BYTES_MAX, lines at LOG_LINE_BYTES_MAX.
 */
#ifndef DARKROOM_MONITORING_LOG_H
#define DARKROOM_MONITORING_LOG_H

#define LOG_VALUE_BYTES_MAX 1024
#define LOG_LINE_BYTES_MAX 8192

enum log_format { LOG_LOGFMT, LOG_JSON };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* The choices of the settings rows "log-format" and "log-level", in the order of the enums. */
#define LOG_FORMATS "logfmt|json"
#define LOG_LEVELS "debug|info|warning|error"

/* Call once, before threads; without it component is "darkroom", logfmt, info. component is
 * borrowed. */
void log_open(const char *component, enum log_format format, enum log_level level);

/* What happened, at level info. format NULL: no pairs. Conversions: d i u x c s f g with l ll z j h
 * and width. */
void log_event(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_error(const char *event, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
