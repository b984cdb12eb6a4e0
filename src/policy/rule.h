/* policy/rule.h - a policy as its author wrote it, checked for form but not yet compiled.
 * Plain data; config/ fills it, policy/ compiles it. All memory belongs to whoever made it.
 * Within one list any entry may match; an empty list matches everything; different conditions
 * must all hold. */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include <netinet/in.h>

#include "command/class.h"

struct str_list {
    const struct str *items;
    size_t n;
};

enum verdict_kind { /* weakest to strongest: the strongest that applies wins */
                    VERDICT_ALLOW,
                    VERDICT_MODIFY,
                    VERDICT_STEP_UP, /* humans are to agree first */
                    VERDICT_DEFER,   /* the session is to say its purpose first */
                    VERDICT_DENY,
};

/* "allow", "deny", …, as AARM v1.0 names them. */
const char *verdict_kind_name(enum verdict_kind kind);

/* A claim by path ("realm_access.roles") that must have one of these values (globs). */
struct rule_claim {
    struct str path;
    struct str_list values;
};

struct rule_label {
    struct str key;
    struct str_list values; /* globs */
};

/* An IPv4 network is held as its IPv4-mapped IPv6 one. */
struct rule_network {
    struct in6_addr address;
    unsigned prefix_bits; /* 0 to 128 */
};

/* A window of the day, UTC. `from` equal to `to` is the whole day; from > to passes midnight and
 * belongs to the day on which it starts. */
struct rule_time {
    unsigned days; /* bit 0 is Monday … bit 6 Sunday; 0: every day */
    unsigned from_minute;
    unsigned to_minute;
};

/* What bounds a command that is allowed; not in a rule that denies. 0 or false: no limit. Where
 * several rules apply, the smallest of each counts. */
struct limits {
    uint64_t rows_per_command;  /* delivered to the client; a cursor or portal is one command */
    uint64_t bytes_per_command; /* of rows, delivered */
    uint64_t rows_per_session;
    uint64_t seconds_per_command;
    uint64_t max_affected_rows; /* a write that changes more is rolled back */
    uint64_t max_tables;        /* named by one command */
    bool require_where;         /* refuses what is of class mass-write */
    bool read_only;             /* effects read and session only, and so the target's session */
};

/* For what else an approval serves: nothing, or identical commands of the same session or task. */
enum step_up_scope { STEP_UP_ONCE, STEP_UP_FOR_SESSION, STEP_UP_FOR_TASK };

/* What approvers are shown of a command's effect before it runs: nothing, what the target's
 * planner expects, or what came of running it in a transaction that is rolled back. */
enum step_up_preview { PREVIEW_NONE, PREVIEW_ESTIMATE, PREVIEW_DRY_RUN };

/* What humans must agree to, and who they are. */
struct step_up {
    struct str_list approver_groups;    /* globs */
    struct str_list approver_subjects;  /* globs */
    struct str_list break_glass_groups; /* globs; may approve alone, with a reason; empty: nobody */
    unsigned approvals;                 /* distinct humans, at least 1 */
    unsigned wait_seconds;
    unsigned wait_in_transaction_seconds;
    unsigned valid_seconds; /* how long an approval of another scope than ONCE serves */
    bool reason_required;   /* approvers must say why */
    enum step_up_scope scope;
    enum step_up_preview preview;
};

/* When a rule is asked: for each command, or once when a session is opened. */
enum rule_moment_kind { RULE_ON_COMMAND, RULE_ON_CONNECT };

/* What is kept of a session beyond its commands; of several rules the most counts. */
struct record_rule {
    bool rows;                  /* what was delivered, after masking */
    unsigned retention_seconds; /* of the recording; 0: the configuration's */
};

struct policy_rule {
    struct str name;
    enum verdict_kind verdict;
    enum rule_moment_kind on;
    struct str message; /* for a refusal, and for what a DEFER demands; may be empty */
    struct limits limits;
    struct step_up step_up; /* of a STEP_UP */
    struct record_rule record;

    /* who */
    struct str_list subjects; /* globs */
    struct str_list groups;   /* globs */
    struct str_list issuers;  /* names of issuers, exact */
    const struct rule_claim *claims;
    size_t n_claims;

    /* on which resources */
    struct str_list resources; /* globs */
    struct str_list protocols; /* exact */
    const struct rule_label *labels;
    size_t n_labels;

    /* from where and when */
    const struct rule_network *sources;
    size_t n_sources;
    const struct rule_time *times;
    size_t n_times;

    /* doing what; 0: anything */
    class_set classes;

    /* to which objects: globs over folded names. A table or function pattern is `schema.name` or
     * `name` (any schema). */
    struct str_list databases;
    struct str_list schemas;
    struct str_list tables;
    struct str_list functions;
};

/* Whether `address` (IPv4 as IPv4-mapped) is in the network; more than 128 bits match nothing. */
bool rule_network_contains(const struct rule_network *network, const struct in6_addr *address);

/* A moment as rules see it. */
struct rule_moment {
    unsigned weekday; /* 0 is Monday */
    unsigned minute;  /* of the day, UTC */
};
struct rule_moment rule_moment_at(int64_t wall_us);

/* Whether the moment lies in the window. */
bool rule_time_holds(const struct rule_time *window, struct rule_moment moment);

#endif
