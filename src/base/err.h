/* base/err.h - how a function says that it failed.
 * A code describes a failure only; control flow has its own enums. The text and the place of
 * the last failure are kept in a slot of the running fiber (or of the thread without fibers). */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum [[nodiscard]] err{
    OK = 0,          ERR_NOMEM, /* memory, or a limit on it */
    ERR_IO,                     /* a system call failed */
    ERR_CLOSED,                 /* clean end of stream before the first byte */
    ERR_TRUNCATED,              /* end of bytes in the middle of something */
    ERR_TIMEOUT,                /* the deadline passed */
    ERR_CANCELED,               /* the wait was cancelled */
    ERR_LIMIT,                  /* larger than allowed */
    ERR_PROTOCOL,               /* a peer's bytes break the protocol */
    ERR_INVALID,                /* a value is not acceptable */
    ERR_DENIED,                 /* refused by a rule or a check */
    ERR_NOT_FOUND,   ERR_EXISTS,
    ERR_UNSUPPORTED, ERR_UNAVAILABLE, /* a service or target that we need is not there */
    ERR_TLS,
};

enum { ERR_TEXT_MAX = 512 };

/* Where fail() writes: one per fiber. */
struct err_slot {
    enum err code;
    const char *file;
    int line;
    char text[ERR_TEXT_MAX];
};

/* Records code, text and place in the current slot; returns `code`. */
#define fail(code, ...) err_record(code, __FILE__, __LINE__, __VA_ARGS__)
enum err err_record(enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));

/* fail() with ": strerror(errno)" appended. */
#define fail_errno(code, ...) err_record_errno(code, __FILE__, __LINE__, __VA_ARGS__)
enum err err_record_errno(enum err code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), cold));

#ifdef __clang_analyzer__ /* it cannot see by itself that they return their `code` */
#undef fail
#undef fail_errno
#define fail(code, ...) ((void)err_record(code, __FILE__, __LINE__, __VA_ARGS__), (code))
#define fail_errno(code, ...)                                                                      \
    ((void)err_record_errno(code, __FILE__, __LINE__, __VA_ARGS__), (code))
#endif

/* The text of the last failure in the current slot; "" if none. Valid until the next fail(). */
const char *err_text(void);

/* The name of a code ("timeout"), for logs. */
const char *err_name(enum err code);

/* Makes `slot` the current one (NULL: the thread's own) and returns the previous one.
 * For the fiber scheduler only. */
struct err_slot *err_slot_switch(struct err_slot *slot);

/* Discards a code where failure has no consequence; says so to the reader. */
static inline void
err_ignore(enum err code)
{
    (void)code;
}

#endif
