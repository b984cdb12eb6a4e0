/* command/command.h - what an agent wants, in words that every protocol shares.
 * A command is a set of demands: each one effect on one object. A rule is matched against
 * demands; a command may run only if every one of its demands may. */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "command/class.h"

enum object_kind {
    OBJECT_NONE,     /* the effect concerns no named object (BEGIN, DO) */
    OBJECT_RELATION, /* table, view, sequence, index, …: what FROM may name */
    OBJECT_FUNCTION,
    OBJECT_DATABASE,
    OBJECT_SCHEMA,
    OBJECT_ROLE,
    OBJECT_SETTING,
    OBJECT_OTHER, /* type, extension, publication, …: name only */
    OBJECT_KIND_COUNT
};

/* "relation", "function", …; "none" for OBJECT_NONE. */
const char *object_kind_name(enum object_kind kind);

struct demand {
    class_set classes; /* exactly one effect, any number of named classes */
    enum object_kind kind;
    struct str schema; /* empty: not qualified, so any schema is possible */
    struct str name;   /* empty only for OBJECT_NONE; folded as the target folds it */
};

enum { COMMAND_DEMANDS_MAX = 1024 };

/* One bound parameter as it went over the wire. */
struct bind_value {
    bool is_null;
    bool binary;
    uint32_t type; /* the protocol's type number (PostgreSQL: OID), 0 unknown */
    struct str bytes;
    /* If `bytes` is only the beginning: how many the value has, UINT32_MAX if not known. Else 0. */
    uint32_t full_length;
};

struct command {
    struct str text;     /* as the agent wrote it */
    struct str database; /* where it would run */
    const struct demand *demands;
    size_t n_demands;
    const struct bind_value *binds;
    size_t n_binds;
    /* Why the agent says that it does this; empty: it does not say. */
    struct str purpose;
    /* What else decides what the text means, for a command that humans are asked about: the role,
     * the search path, what EXECUTE stands for. Empty: nothing, or nobody asked. */
    struct str context;
    /* What the analysis found about protected columns; texts for people. */
    struct str protected_use;    /* why the command may not run because of one; empty: it may */
    struct str protected_column; /* the one that `protected_use` is about */
    struct str masked;           /* those whose values will be masked: "public.t.c, public.t.d" */
};

#endif
