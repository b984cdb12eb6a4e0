#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct err_slot thread_slot;
static _Thread_local struct err_slot *current;

static struct err_slot *
slot(void)
{
    return current != NULL ? current : &thread_slot;
}

static size_t
record(enum err code, const char *file, int line, const char *format, va_list args)
{
    struct err_slot *s = slot();
    char text[ERR_TEXT_MAX]; /* the arguments may point into the slot: err_text() */
    int n;

    s->code = code;
    s->file = file;
    s->line = line;
    n = vsnprintf(text, sizeof(text), format, args);
    if (n < 0)
        text[n = 0] = '\0';
    memcpy(s->text, text, sizeof(text));
    return (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
}

enum err
err_record(enum err code, const char *file, int line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)record(code, file, line, format, args);
    va_end(args);
    return code;
}

enum err
err_record_errno(enum err code, const char *file, int line, const char *format, ...)
{
    int saved = errno;
    va_list args;
    size_t n;

    va_start(args, format);
    n = record(code, file, line, format, args);
    va_end(args);
    (void)snprintf(slot()->text + n, ERR_TEXT_MAX - n, ": %s", strerror(saved));
    return code;
}

const char *
err_text(void)
{
    return slot()->text;
}

const char *
err_name(enum err code)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_NOMEM] = "out_of_memory",
        [ERR_IO] = "io",
        [ERR_CLOSED] = "closed",
        [ERR_TRUNCATED] = "truncated",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CANCELED] = "canceled",
        [ERR_LIMIT] = "limit",
        [ERR_PROTOCOL] = "protocol",
        [ERR_INVALID] = "invalid",
        [ERR_DENIED] = "denied",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_EXISTS] = "exists",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_UNAVAILABLE] = "unavailable",
        [ERR_TLS] = "tls",
    };

    return (unsigned)code < sizeof(names) / sizeof(names[0]) ? names[code] : "unknown";
}

struct err_slot *
err_slot_switch(struct err_slot *next)
{
    struct err_slot *previous = current;

    current = next;
    return previous;
}
