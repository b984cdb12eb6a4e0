/* base/log.h - operators' log: one event a line on standard error, as text or JSON.
 * Event names are stable; fields are `key=value` words. Never secrets, never row data.
 *
 *     log_info("session_opened", "resource=%s user=%s", name, subject);
 *
 * A process sets its name and, in a session, the session's id once; every line carries them. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* `process` and `session` are copied; `session` may be NULL. Only lines of `level` or above. */
void log_setup(const char *process, bool json, enum log_level level);
void log_set_process(const char *process);
void log_set_session(const char *session);

void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(event, ...)   log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)    log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_error(event, ...)   log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)

#endif
