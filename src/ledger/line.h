/* ledger/line.h - one record of the ledger as a line of text (docs/ledger.md): its fixed head and
 * tail, and its hash. Pure.
 *
 *     {"seq":N,"time":"…","type":"…", … ,"prev":"64 digits","hash":"64 digits"} */
#ifndef LEDGER_LINE_H
#define LEDGER_LINE_H

#include "base/buf.h"

enum {
    LINE_BYTES_MAX = 64 << 20, /* a frame of 8 MiB in which every byte is escaped fits */
    LINE_HASH_BYTES = 32,
    LINE_HEX_BYTES = 2 * LINE_HASH_BYTES,
};

struct line {
    uint64_t seq;
    struct str time, type; /* as written, between the quotes */
    struct str rest;       /* of the line from behind the type's closing quote */
    struct str hashed;     /* what the hash covers besides the previous hash */
    unsigned char prev[LINE_HASH_BYTES], hash[LINE_HASH_BYTES];
};

/* Splits a line without its newline; texts borrow. Looks at head and tail only: whether the middle
 * is JSON is for a JSON parser. ERR_INVALID. */
enum err line_read(struct str text, struct line *out);

/* As line_read(), but looks at the head alone: `prev`, `hash` and `hashed` are not set. For lines
 * that may go on behind `text`. ERR_INVALID. */
enum err line_read_head(struct str text, struct line *out);

/* Computes hashes, one after the other; NULL without memory. */
struct line_hasher;
struct line_hasher *line_hasher_new(void);
void line_hasher_free(struct line_hasher *h);

/* SHA-256 over `prev` and `hashed`. ERR_NOMEM (the library failed). */
enum err line_hash(struct line_hasher *h, const unsigned char prev[LINE_HASH_BYTES],
                   struct str hashed, unsigned char out[LINE_HASH_BYTES]);

/* Whether the line is the one with `seq` that follows the record hashed `prev`, unchanged.
 * ERR_INVALID: err_text() says what does not fit. */
enum err line_check(struct line_hasher *h, const struct line *line, uint64_t seq,
                    const unsigned char prev[LINE_HASH_BYTES]);

/* Appends the hexadecimal digits of a hash. */
void line_put_hash(struct buf *out, const unsigned char hash[LINE_HASH_BYTES]);

#endif
