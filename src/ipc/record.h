/* ipc/record.h - records as a session hands them to the ledger: appended to its spool, a file
 * that it can only append to (docs/architecture.md, "From the session to the ledger"). The
 * ledger adds identity, sequence number and chain; a session cannot say who it is.
 *
 * Frame: u32 length of the rest, u8 version, u8 kind, i64 wall-clock microseconds, then the
 * fields of the kind. Strings: u32 length and bytes. Pure codec. Version 2 is written; version 1,
 * which knew nothing of masks and limits, is read too: an older gateway may have left it. */
#ifndef IPC_RECORD_H
#define IPC_RECORD_H

#include "base/buf.h"
#include "base/cursor.h"
#include "command/command.h"
#include "policy/rule.h"

enum record_kind {
    RECORD_REFUSED = 1, /* the connection ended before authentication because of its bytes */
    RECORD_INTENT,
    RECORD_OUTCOME,
    RECORD_EVENT,  /* something else worth keeping, such as a cancel request */
    RECORD_CLOSED, /* the session ended in order */
};

enum { RECORD_FRAME_MAX = 8 << 20, RECORD_BINDS_SHOWN_MAX = 1 << 20 };

struct record_intent {
    uint64_t command;
    enum verdict_kind verdict;
    struct str rule;
    struct str message;
    struct str policy_hash;
    const struct command *subject;
    int decisive;                /* index of the demand that decided, -1: none */
    struct str masked;           /* columns; empty: none */
    struct str protected_column; /* because of which it was refused; empty: none */
};

struct record_outcome {
    uint64_t command;
    uint64_t rows, bytes, duration_us;
    struct str error;
    bool unknown;
    struct str limit;          /* that ended it; empty: none */
    uint64_t masked, detected; /* values */
};

struct record_note { /* RECORD_REFUSED, RECORD_EVENT, RECORD_CLOSED */
    struct str event;
    struct str text;
    uint64_t bytes_in, bytes_out; /* RECORD_CLOSED */
};

/* Append one frame each. A bind value beyond RECORD_BINDS_SHOWN_MAX bytes in all is cut; its full
 * length is kept. */
void record_put_intent(struct buf *out, int64_t wall_us, const struct record_intent *intent);
void record_put_outcome(struct buf *out, int64_t wall_us, const struct record_outcome *outcome);
void record_put_note(struct buf *out, int64_t wall_us, enum record_kind kind,
                     const struct record_note *note);

/* One frame read back; strings borrow from the bytes. */
struct record_demand {
    class_set classes;
    enum object_kind kind;
    struct str schema, name;
};
struct record_bind {
    bool is_null, binary;
    uint32_t type;
    uint32_t full_length; /* UINT32_MAX: not known */
    struct str bytes;     /* may be cut */
};
struct record {
    enum record_kind kind;
    int64_t wall_us;
    union {
        struct {
            uint64_t command;
            enum verdict_kind verdict;
            struct str rule, message, policy_hash, text, database;
            int decisive;
            size_t n_demands, n_binds;
            struct cursor demands, binds; /* read on with record_next_demand(), _bind() */
            struct str masked, protected_column;
        } intent;
        struct record_outcome outcome;
        struct record_note note;
    };
};

/* Reads the frame at the start of `bytes`. `*used` is its size. ERR_TRUNCATED: the frame is not
 * whole yet; ERR_PROTOCOL: it never will be. Checks demands and binds as well. */
enum err record_read(struct str bytes, struct record *out, size_t *used);
void record_next_demand(struct record *r, struct record_demand *out);
void record_next_bind(struct record *r, struct record_bind *out);

#endif
