/* mask/mask.h - replacing a value that may not be seen, in PostgreSQL's text and binary formats.
 * Pure: bytes to bytes. A plan says what to do with a value of a known type; what cannot be masked
 * as asked (the mask's text is no value of the type, the value is malformed or too large) becomes
 * NULL: in doubt nothing of it gets through. */
#ifndef MASK_MASK_H
#define MASK_MASK_H

#include "mask/rule.h"

enum mask_shape {
    MASK_SHAPE_PASS,  /* leave it as it is */
    MASK_SHAPE_VALUE, /* all of it is hidden, by `rule` */
    MASK_SHAPE_ARRAY, /* each element by `element`; dimensions stay */
    MASK_SHAPE_ROW,   /* each field by its plan; the number of fields must be right */
    MASK_SHAPE_JSON,  /* json or jsonb: what is at `paths`, in arrays on the way too */
};

struct mask_path {
    const struct str *keys;
    size_t n_keys; /* 0: the whole document */
    const struct mask_rule *rule;
};

struct mask_plan {
    enum mask_shape shape;
    uint32_t type; /* pg_type.oid of the value, a domain's base type; 0: not known */
    const struct mask_rule *rule;
    const struct mask_plan *element;
    const struct mask_plan *fields;
    size_t n_fields;
    const struct mask_path *paths;
    size_t n_paths;
    char delimiter; /* MASK_SHAPE_ARRAY: between elements in text form: ',' but for box's ';' */
};

enum {
    MASK_VALUE_MAX = 4 << 20, /* bytes; a longer value becomes NULL */
    MASK_DEPTH_MAX = 32,
};

/* Appends the masked form of `value`, which is not NULL; or sets `*is_null` and appends nothing.
 * `binary` says in which format it is and stays. ERR_LIMIT, ERR_NOMEM: of `out` only; any other
 * trouble is a NULL. */
enum err mask_value(const struct mask_plan *plan, const unsigned char key[static MASK_KEY_BYTES],
                    bool binary, struct str value, struct buf *out, bool *is_null);

/* How COPY … TO writes rows (PostgreSQL documentation, "COPY"). */
struct mask_copy {
    bool csv, header; /* header: the first row is one of names */
    char delimiter, quote, escape;
    struct str null; /* how NULL is written */
};

/* Appends one row of COPY text or csv output, its newline included, with field i masked by
 * plans[i]. ERR_PROTOCOL: it is not one whole row of `n` fields. */
enum err mask_copy_row(const struct mask_copy *format, const struct mask_plan *plans, size_t n,
                       const unsigned char key[static MASK_KEY_BYTES], struct str row,
                       struct buf *out);

/* The same for COPY's binary format: `tuple` is one tuple, its field count included. The file's
 * header and trailer are the caller's. */
enum err mask_copy_tuple(const struct mask_plan *plans, size_t n,
                         const unsigned char key[static MASK_KEY_BYTES], struct str tuple,
                         struct buf *out);

#endif
