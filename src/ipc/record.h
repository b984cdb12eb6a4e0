/* ipc/record.h - records as a session hands them to the ledger: appended to its spool, a file
 * that it can only append to (docs/architecture.md, "From the session to the ledger"). The
 * ledger adds identity, sequence number and chain; a session cannot say who it is.
 *
 * Frame: u32 length of the rest, u8 version, u8 kind, i64 wall-clock microseconds, then the
 * fields of the kind. Strings: u32 length and bytes. Pure codec. Version 3 is written. Version 1,
 * which knew nothing of masks and limits, and version 2, which knew nothing of approvals, are read
 * too: an older gateway may have left them. */
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
    RECORD_EVENT,    /* something else worth keeping, such as a cancel request */
    RECORD_CLOSED,   /* the session ended in order */
    RECORD_DECISION, /* what humans said of a command that was held */
    /* For the session's recording only, not for the chain */
    RECORD_COLUMNS, /* how the rows of an answer are described */
    RECORD_ROWS,    /* rows as the client got them */
    RECORD_KEEP,    /* how long the rules want the recording to be kept */
};

/* How the hold of a command ended. */
enum record_decision_kind {
    RECORD_APPROVED,
    RECORD_DENIED,         /* by a human */
    RECORD_EXPIRED,        /* nobody decided in time */
    RECORD_WITHDRAWN,      /* by the agent, or because its session ended */
    RECORD_FAILED,         /* it could not be asked, or the answer was not for this command */
    RECORD_POLICY_CHANGED, /* an approval would have been of rules that hold no more */
    RECORD_DECISION_KIND_COUNT
};

/* "approved", "denied", … */
const char *record_decision_name(enum record_decision_kind kind);

enum {
    RECORD_FRAME_MAX = 8 << 20,
    RECORD_BINDS_SHOWN_MAX = 1 << 20,
    RECORD_COLUMNS_MAX = 1664, /* PostgreSQL has no more */
};

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
    struct str purpose;          /* why the agent says that it does this; empty: it does not say */
};

/* Its command has an intent with the verdict step_up before it, and an outcome after it if it was
 * approved and ran. */
struct record_decision {
    uint64_t command;
    enum record_decision_kind decision;
    struct str request; /* control's name of it; empty: it never got one */
    struct str by;      /* who decided; may be empty */
    struct str text;    /* their words, or why it failed; may be empty */
    uint64_t waited_us;
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

struct record_column {
    struct str name;
    uint32_t type; /* as the protocol numbers it */
};

/* Rows are cells, as many to a row as `columns` says. */
struct record_cell {
    bool is_null, binary; /* binary: in a form that only the protocol knows */
    bool cut;             /* `bytes` is not all of it */
    uint64_t full_length; /* if it is cut; UINT64_MAX: not known */
    struct str bytes;
};

/* Append one frame each. A bind value beyond
 * RECORD_BINDS_SHOWN_MAX bytes in all is cut; its full length is kept. */
void record_put_intent(struct buf *out, int64_t wall_us, const struct record_intent *intent);
void record_put_outcome(struct buf *out, int64_t wall_us, const struct record_outcome *outcome);
void record_put_decision(struct buf *out, int64_t wall_us, const struct record_decision *decision);
void record_put_note(struct buf *out, int64_t wall_us, enum record_kind kind,
                     const struct record_note *note);
void record_put_columns(struct buf *out, int64_t wall_us, uint64_t command,
                        const struct record_column *columns, size_t n);
void record_put_keep(struct buf *out, int64_t wall_us, uint32_t seconds);

/* Begins a frame of rows in the empty `out`; then come the cells, row by row; then it is ended.
 * With `lines` each row is one cell, a piece of a stream of lines. */
void record_begin_rows(struct buf *out, uint64_t command, uint32_t columns, bool lines);
void record_put_cell(struct buf *out, const struct record_cell *cell);
void record_end_rows(struct buf *out, int64_t wall_us, uint32_t rows);

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
            struct cursor all_demands, all_binds;
            struct str masked, protected_column;
            struct str purpose, context;
        } intent;
        struct record_outcome outcome;
        struct record_decision decision;
        struct record_note note;
        struct {
            uint64_t command;
            size_t n;
            struct cursor items; /* read on with record_next_column() */
        } columns;
        struct {
            uint64_t command;
            uint32_t columns, rows;
            bool lines;
            struct cursor cells; /* read on with record_next_cell() */
        } rows;
        uint32_t keep_seconds;
    };
};

/* Reads the frame at the start of `bytes`. `*used` is its size. ERR_TRUNCATED: the frame is not
 * whole yet; ERR_PROTOCOL: it never will be. Checks demands and binds as well. */
enum err record_read(struct str bytes, struct record *out, size_t *used);
void record_next_demand(struct record *r, struct record_demand *out);
void record_next_bind(struct record *r, struct record_bind *out);
void record_next_column(struct record *r, struct record_column *out);
void record_next_cell(struct record *r, struct record_cell *out);

/* The command of an intent that was read, before or after its demands and binds were, for
 * command_hash() and for showing it. Texts borrow from the frame, the rest from `arena`. A bind
 * that the record cut has a `full_length`. ERR_NOMEM. */
struct arena;
enum err record_command(const struct record *r, struct arena *arena, struct command *out);

#endif
