/* mask/rule.h - what is to be hidden of a resource's data, as its operator wrote it: protected
 * columns with their masks, and detectors. Plain data; config/ fills it, sql/ gives it to columns,
 * mask/ carries it out. Pure. */
#ifndef MASK_RULE_H
#define MASK_RULE_H

#include "base/buf.h"

enum mask_kind {
    MASK_REDACT,  /* a fixed sign in place of the value */
    MASK_NULL,    /* NULL */
    MASK_PARTIAL, /* all but the last `keep` characters */
    MASK_HASH,    /* keyed: equal values stay equal */
    MASK_EMAIL,   /* first letter and top-level domain stay */
    MASK_FIXED,   /* the configured text */
    MASK_KIND_COUNT
};

/* "redact", "null", …: as the configuration names them. */
const char *mask_kind_name(enum mask_kind kind);

struct mask_rule {
    enum mask_kind kind;
    unsigned keep;    /* MASK_PARTIAL; 1 to MASK_KEEP_MAX */
    struct str fixed; /* MASK_FIXED: UTF-8 without a NUL, at most PROTECT_TEXT_MAX bytes */
};

/* Columns that one entry of `protect` names. Patterns are globs over the names as the database
 * has them (never folded). */
struct protect_rule {
    struct str schema, table, column;
    const struct str *path; /* the keys that lead to the value inside a json document */
    size_t n_path;          /* 0: the whole column is protected */
    struct mask_rule mask;
    bool lookup; /* equality with one whole value is allowed in WHERE */
    bool write;  /* writing new values into the column is allowed */
};

struct detect_rule {
    struct str name;    /* of a built-in detector, or of the operator's own */
    struct str pattern; /* PCRE2; empty: the built-in detector called `name` */
};

enum {
    MASK_KEY_BYTES = 32,
    DETECTORS_BYTES_MAX = 8 << 20,
    MASK_KEEP_MAX = 64,
    PROTECT_RULES_MAX = 4096,
    DETECT_RULES_MAX = 256,
    PROTECT_PATH_MAX = 32,   /* keys in one path */
    PROTECT_TEXT_MAX = 4096, /* bytes of one name, key, fixed text or pattern */
};

/* All of one resource. */
struct protection {
    const struct protect_rule *protect;
    size_t n_protect;
    const struct detect_rule *detect;
    size_t n_detect;
    struct str detectors; /* `detect` compiled (mask/detect.h, serialize); empty: it is not */
    unsigned char key[MASK_KEY_BYTES]; /* of MASK_HASH */
};

struct arena;

/* The wire form, versioned. Encoding appends; ERR_INVALID (a mask that is none), ERR_LIMIT.
 * Decoding trusts nothing; `*out` lives in `arena` and does not need `bytes`; encoding it gives
 * the same bytes again. ERR_PROTOCOL, ERR_LIMIT, ERR_NOMEM: `*out` is then empty. */
enum err protection_encode(const struct protection *p, struct buf *out);
enum err protection_decode(struct str bytes, struct arena *arena, struct protection *out);

#endif
