#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

enum { LINE_MAX_BYTES = 4096, DETAIL_MAX_BYTES = 1024 };

static struct {
    char process[32];
    char session[32];
    bool json;
    enum log_level level;
} setup = {.process = "bulkhead", .level = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void
log_setup(const char *process, bool json, enum log_level level)
{
    log_set_process(process);
    setup.json = json;
    setup.level = level;
}

void
log_set_process(const char *process)
{
    (void)snprintf(setup.process, sizeof(setup.process), "%s", process);
}

void
log_set_session(const char *session)
{
    (void)snprintf(setup.session, sizeof(setup.session), "%s", session == NULL ? "" : session);
}

static void
write_json(struct buf *line, enum log_level level, const char *event, const char *detail)
{
    char time[CLOCK_TEXT_BYTES];
    struct json j = json_to(line);

    clock_format(clock_wall_us(), time);
    json_open(&j, '{');
    json_field_text(&j, "time", time);
    json_field_text(&j, "level", level_names[level]);
    json_field_text(&j, "process", setup.process);
    if (setup.session[0] != '\0')
        json_field_text(&j, "session", setup.session);
    json_field_text(&j, "event", event);
    json_field_text(&j, "detail", detail);
    json_close(&j, '}');
}

static void
write_text(struct buf *line, enum log_level level, const char *event, const char *detail)
{
    char time[CLOCK_TEXT_BYTES];
    size_t start;

    clock_format(clock_wall_us(), time);
    buf_printf(line, "%s %s %s[%ld]%s%s %s ", time, level_names[level], setup.process,
               (long)getpid(), setup.session[0] != '\0' ? " " : "", setup.session, event);
    start = line->len;
    buf_put_text(line, detail);
    for (size_t i = start; i < line->len; i++)
        if ((unsigned char)line->ptr[i] < 0x20 || line->ptr[i] == 0x7f)
            line->ptr[i] = '?'; /* a peer's text must not forge a line or drive a terminal */
}

void
log_event(enum log_level level, const char *event, const char *format, ...)
{
    struct buf line = buf_make(LINE_MAX_BYTES);
    char detail[DETAIL_MAX_BYTES];
    va_list args;

    if (level < setup.level)
        return;
    va_start(args, format);
    if (vsnprintf(detail, sizeof(detail), format, args) < 0)
        detail[0] = '\0';
    va_end(args);
    (setup.json ? write_json : write_text)(&line, level, event, detail);
    buf_put_u8(&line, '\n');
    if (write(STDERR_FILENO, line.ptr, line.len) < 0) {
        /* There is nowhere left to say so. */
    }
    buf_free(&line);
}
