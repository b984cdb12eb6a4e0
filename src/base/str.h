/* base/str.h - borrowed bytes with a length; not NUL-terminated, may hold any byte. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* A string literal as str, usable in constant initialisers. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define STR(literal) ((struct str)STR_INIT(literal))
/* For "%.*s". */
#define STR_ARG(s)   (int)(s).len, (s).ptr

/* A NUL-terminated string as str; NULL gives the empty one. */
static inline struct str
str_from(const char *text)
{
    return text == NULL ? (struct str){"", 0} : (struct str){text, strlen(text)};
}

static inline bool
str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool
str_is(struct str s, const char *text)
{
    return str_equal(s, str_from(text));
}

static inline bool
str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* From `start` (at most s.len) on. */
static inline struct str
str_skip(struct str s, size_t start)
{
    return start >= s.len ? (struct str){"", 0} : (struct str){s.ptr + start, s.len - start};
}

/* Index of the first `c`, or s.len. */
static inline size_t
str_index(struct str s, char c)
{
    const char *at = s.len == 0 ? NULL : (const char *)memchr(s.ptr, c, s.len);

    return at == NULL ? s.len : (size_t)(at - s.ptr);
}

/* <0, 0, >0: bytewise order, shorter first among equals. */
int str_compare(struct str a, struct str b);

/* ASCII letters compared without case. */
bool str_equal_nocase(struct str a, struct str b);

/* Splits at the first `separator`: `*head` before it, the rest is returned. Without a separator
 * `*head` is all of `s` and the rest is empty. */
struct str str_cut(struct str s, char separator, struct str *head);

/* Without ASCII white space at both ends. */
struct str str_trim(struct str s);

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) at the start of `s`; 0 if there is none. */
size_t str_utf8_length(struct str s);

/* Whether `s` is well-formed UTF-8 (RFC 3629): no surrogates, no overlong forms. */
bool str_is_utf8(struct str s);

/* Decimal digits only, no sign, no space; false if not so or above `max`. */
bool str_to_uint(struct str s, uint64_t max, uint64_t *out);

/* Whether `s` matches `pattern`, in which `*` stands for any run of bytes and `?` for one byte.
 * Linear in s.len * pattern.len at worst, no recursion. */
bool str_glob(struct str pattern, struct str s);

/* Compares secrets in time that depends on the lengths only. */
bool str_equal_secret(struct str a, struct str b);

#endif
