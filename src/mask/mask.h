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
    MASK_SHAPE_JSON,  /* json, jsonb or text that holds JSON: what is at `paths` */
};

/* Keys from the top of a document to a value. Arrays on the way are gone through, each element as
 * if the array were not there; a decimal key also names an element. Of several paths that lead to
 * one value the first counts. */
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
    MASK_VALUE_MAX = 4 << 20,  /* bytes; a longer value becomes NULL, unless its shape is PASS */
    MASK_RESULT_MAX = 8 << 20, /* bytes; a value whose masked form is longer becomes NULL */
    MASK_DEPTH_MAX = 32, /* plans inside plans, containers inside a document, keys of a path */
    MASK_PATHS_MAX = 64, /* paths of one plan; with more the value becomes NULL */
};

/* Appends the masked form of `value`, which is not NULL; or sets `*is_null` and appends nothing.
 * `binary` says in which format it is and stays. ERR_LIMIT: of `out` (its maximum, or no memory),
 * which then has nothing of the value; any other trouble is a NULL.
 *
 * The forms are: redact `***`; partial a '*' for each hidden character; hash 32 hexadecimal digits,
 * the same for text and binary; email `j***@***.com`, and redact for what is no address. A JSON
 * value becomes a JSON string of that, or null; bytea its bytes (hash: 16 of them); uuid under hash
 * another uuid. All other types take a fixed text that is a value of the type, and else NULL. */
enum err mask_value(const struct mask_plan *plan, const unsigned char key[static MASK_KEY_BYTES],
                    bool binary, struct str value, struct buf *out, bool *is_null);

/* How COPY … TO writes rows (PostgreSQL documentation, "COPY"). */
struct mask_copy {
    bool csv, header; /* header: the first row is one of names; the caller passes it with PASS */
    char delimiter, quote, escape;
    struct str null; /* how NULL is written */
};

/* Appends one row of COPY text or csv output, its newline included, with field i masked by
 * plans[i]. ERR_PROTOCOL: it is not one whole row of `n` fields; ERR_LIMIT: of `out`. After either
 * nothing was appended. */
enum err mask_copy_row(const struct mask_copy *format, const struct mask_plan *plans, size_t n,
                       const unsigned char key[static MASK_KEY_BYTES], struct str row,
                       struct buf *out);

/* The same for COPY's binary format: `tuple` is one tuple, its field count included. The file's
 * header and trailer are the caller's. */
enum err mask_copy_tuple(const struct mask_plan *plans, size_t n,
                         const unsigned char key[static MASK_KEY_BYTES], struct str tuple,
                         struct buf *out);

#endif
