#include "store/requests.h"

#include "store/row.h"

const char *
request_kind_name(enum request_kind kind)
{
    return kind == REQUEST_ACCESS ? "access" : "command";
}

const char *
request_state_name(enum request_state state)
{
    static const char *const names[REQUEST_STATE_COUNT] = {
        "pending", "approved", "denied", "expired", "withdrawn", "overridden",
    };

    return state < REQUEST_STATE_COUNT ? names[state] : "unknown";
}

const char *
decision_verdict_name(enum decision_verdict verdict)
{
    return verdict == DECISION_APPROVE ? "approve" : verdict == DECISION_DENY ? "deny" : "override";
}

/* In the order of read_brief() and put_params(). */
#define COLUMNS                                                                                    \
    "id, kind, state, version, node, waiting, created_us, opened_us, expires_us, decided_us,"      \
    " wait_ms, session, command, issuer, subject, token_id, task, email, chain, resource,"         \
    " protocol, database_name, client, source, purpose, reason, access_seconds, rule, rule_text,"  \
    " policy_hash, approver_groups, approver_subjects, break_glass_groups, approvals,"             \
    " wait_seconds, wait_in_transaction_seconds, valid_seconds, reason_required, scope,"           \
    " preview_kind, command_hash, binding_hash, scope_key, in_transaction, summary, risk,"         \
    " decided_by, decided_text"

static void
read_step_up(struct row_reader *r, struct step_up *s)
{
    s->approver_groups = row_list(r, SIZE_MAX);
    s->approver_subjects = row_list(r, SIZE_MAX);
    s->break_glass_groups = row_list(r, SIZE_MAX);
    s->approvals = (unsigned)row_int(r);
    s->wait_seconds = (unsigned)row_int(r);
    s->wait_in_transaction_seconds = (unsigned)row_int(r);
    s->valid_seconds = (unsigned)row_int(r);
    s->reason_required = row_bool(r);
    s->scope = (enum step_up_scope)row_int(r);
    s->preview = (enum step_up_preview)row_int(r);
}

static void
read_asker(struct row_reader *r, struct request *q)
{
    q->session = row_session(r);
    q->command = (uint64_t)row_int(r);
    q->issuer = row_text(r);
    q->subject = row_text(r);
    q->token_id = row_text(r);
    q->task = row_text(r);
    q->email = row_text(r);
    q->chain = row_list(r, STORE_CHAIN_MAX);
    q->resource = row_text(r);
    q->protocol = row_text(r);
    q->database = row_text(r);
    q->client = row_text(r);
    q->source = row_text(r);
    q->purpose = row_text(r);
    q->reason = row_text(r);
    q->access_seconds = row_int(r);
}

static void
read_columns(struct row_reader *r, struct request *q)
{
    q->id = row_text(r);
    q->kind = (enum request_kind)row_int(r);
    q->state = (enum request_state)row_int(r);
    q->version = row_int(r);
    q->node = row_text(r);
    q->waiting = row_bool(r);
    q->created_us = row_int(r);
    q->opened_us = row_int(r);
    q->expires_us = row_int(r);
    q->decided_us = row_int(r);
    q->wait_ms = (uint32_t)row_int(r);
    read_asker(r, q);
    q->rule = row_text(r);
    q->rule_text = row_text(r);
    q->policy_hash = row_text(r);
    read_step_up(r, &q->step_up);
    q->command_hash = row_text(r);
    q->binding_hash = row_text(r);
    q->scope_key = row_text(r);
    q->in_transaction = row_bool(r);
    q->summary = row_text(r);
    q->risk = row_text(r);
    q->decided_by = row_text(r);
    q->decided_text = row_text(r);
}

static enum err
read_brief(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct request *q = out;

    *q = (struct request){.frame = STR(""), .preview = STR("")};
    read_columns(&r, q);
    return r.e;
}

static enum err
read_whole(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct request *q = out;

    *q = (struct request){0};
    read_columns(&r, q);
    q->frame = row_text(&r);
    q->preview = row_text(&r);
    return r.e;
}

struct request_params {
    struct db_param p[DB_PARAMS_MAX];
    size_t n;
};

static void
put(struct request_params *params, struct db_param p)
{
    params->p[params->n++] = p;
}

static void
put_asker(struct request_params *p, const struct request *q, const char *session,
          struct db_param chain)
{
    put(p, db_text(str_from(session)));
    put(p, db_int((int64_t)q->command));
    put(p, db_text(q->issuer));
    put(p, db_text(q->subject));
    put(p, db_text(q->token_id));
    put(p, db_text(q->task));
    put(p, db_text(q->email));
    put(p, chain);
    put(p, db_text(q->resource));
    put(p, db_text(q->protocol));
    put(p, db_text(q->database));
    put(p, db_text(q->client));
    put(p, db_text(q->source));
    put(p, db_text(q->purpose));
    put(p, db_text(q->reason));
    put(p, db_int(q->access_seconds));
}

static void
put_rule(struct request_params *p, const struct request *q, const struct db_param lists[3])
{
    const struct step_up *s = &q->step_up;

    put(p, db_text(q->rule));
    put(p, db_text(q->rule_text));
    put(p, db_text(q->policy_hash));
    for (size_t i = 0; i < 3; i++)
        put(p, lists[i]);
    put(p, db_int(s->approvals));
    put(p, db_int(s->wait_seconds));
    put(p, db_int(s->wait_in_transaction_seconds));
    put(p, db_int(s->valid_seconds));
    put(p, db_int(s->reason_required));
    put(p, db_int(s->scope));
    put(p, db_int(s->preview));
}

static void
put_times(struct request_params *p, const struct request *q)
{
    put(p, db_text(q->id));
    put(p, db_int(q->kind));
    put(p, db_int(q->state));
    put(p, db_int(q->version));
    put(p, db_text(q->node));
    put(p, db_int(q->waiting));
    put(p, db_int(q->created_us));
    put(p, db_int(q->opened_us));
    put(p, db_int(q->expires_us));
    put(p, db_int(q->decided_us));
    put(p, db_int(q->wait_ms));
}

static enum err
insert_with(struct db *db, const struct request *q, const struct db_param lists[4])
{
    struct request_params p = {0};
    char session[17] = "";

    if (q->session != 0)
        store_session_text(q->session, session);
    put_times(&p, q);
    put_asker(&p, q, session, lists[3]);
    put_rule(&p, q, lists);
    put(&p, db_text(q->command_hash));
    put(&p, db_text(q->binding_hash));
    put(&p, db_text(q->scope_key));
    put(&p, db_int(q->in_transaction));
    put(&p, db_text(q->summary));
    put(&p, db_text(q->risk));
    put(&p, db_text(q->decided_by));
    put(&p, db_text(q->decided_text));
    put(&p, db_blob(q->frame));
    put(&p, db_text(q->preview));
    return db_exec(db,
                   "INSERT INTO requests (" COLUMNS ", frame, preview) VALUES"
                   " ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
                   " $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32,"
                   " $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47,"
                   " $48, $49, $50)",
                   p.p, p.n, NULL, NULL, NULL);
}

enum err
requests_insert(struct db *db, const struct request *q)
{
    struct arena *arena = arena_new(4 << 20);
    struct db_param lists[4];
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory");
    if ((e = row_put_list(arena, q->step_up.approver_groups, &lists[0])) == OK &&
        (e = row_put_list(arena, q->step_up.approver_subjects, &lists[1])) == OK &&
        (e = row_put_list(arena, q->step_up.break_glass_groups, &lists[2])) == OK &&
        (e = row_put_list(arena, q->chain, &lists[3])) == OK)
        e = insert_with(db, q, lists);
    arena_free(arena);
    return e;
}

/* The one row of a list that was to have one. */
static enum err
only(enum err e, const struct row_list *list, struct request *out)
{
    if (e != OK)
        return e;
    if (list->n == 0)
        return fail(ERR_NOT_FOUND, "there is no such request");
    memcpy(out, list->items, sizeof(*out));
    return OK;
}

enum err
requests_get(struct db *db, struct str id, struct arena *arena, struct request *out)
{
    struct row_list list = {
        .arena = arena, .read = read_whole, .size = sizeof(struct request), .max = 1};

    if (!store_is_id(id))
        return fail(ERR_NOT_FOUND, "there is no such request");
    return only(db_exec(db, "SELECT " COLUMNS ", frame, preview FROM requests WHERE id = $1",
                        DB_PARAMS(db_text(id)), row_list_add, &list, NULL),
                &list, out);
}

enum err
requests_list(struct db *db, const struct request_filter *f, struct arena *arena,
              struct request_list *out)
{
    int64_t limit = f->limit > STORE_LIST_MAX ? STORE_LIST_MAX : f->limit;
    int64_t low = f->state == REQUESTS_DECIDED ? REQUEST_PENDING + 1 : REQUEST_PENDING;
    int64_t high = f->state == REQUESTS_PENDING ? REQUEST_PENDING : REQUEST_STATE_COUNT;
    int64_t before = f->before_us == 0 ? INT64_MAX : f->before_us;
    struct row_list list = {
        .arena = arena, .read = read_brief, .size = sizeof(struct request), .max = STORE_LIST_MAX};
    enum err e = db_exec(db,
                         "SELECT " COLUMNS " FROM requests WHERE state >= $1 AND state <= $2"
                         " AND (created_us < $3 OR (created_us = $3 AND id < $4))"
                         " AND ($5 = '' OR session = $5) AND ($6 = '' OR subject = $6)"
                         " ORDER BY created_us DESC, id DESC LIMIT $7",
                         DB_PARAMS(db_int(low), db_int(high), db_int(before), db_text(f->before_id),
                                   db_text(f->session), db_text(f->subject), db_int(limit)),
                         row_list_add, &list, NULL);

    *out = (struct request_list){(const struct request *)(void *)list.items, list.n};
    return e;
}

enum err
requests_find_same(struct db *db, struct str scope_key, int64_t since_us, struct arena *arena,
                   struct request *out)
{
    struct row_list list = {
        .arena = arena, .read = read_brief, .size = sizeof(struct request), .max = 1};

    return only(db_exec(db,
                        "SELECT " COLUMNS " FROM requests WHERE scope_key = $1 AND (state = 0"
                        " OR (state IN (3, 4) AND decided_us >= $2))"
                        " ORDER BY CASE WHEN state = 0 THEN 0 ELSE 1 END, created_us DESC LIMIT 1",
                        DB_PARAMS(db_text(scope_key), db_int(since_us)), row_list_add, &list, NULL),
                &list, out);
}
_Static_assert(REQUEST_PENDING == 0 && REQUEST_EXPIRED == 3 && REQUEST_WITHDRAWN == 4,
               "statements name these states");

enum err
requests_lock(struct db *db, struct str id)
{
    return row_change(db, "the request is not pending any more",
                      "UPDATE requests SET version = version + 1 WHERE id = $1 AND state = 0",
                      DB_PARAMS(db_text(id)));
}

enum err
requests_end(struct db *db, struct str id, enum request_state state, int64_t now_us, struct str by,
             struct str text)
{
    return row_change(
        db, "the request is not pending any more",
        "UPDATE requests SET state = $2, decided_us = $3, decided_by = $4,"
        " decided_text = $5, waiting = 0, version = version + 1"
        " WHERE id = $1 AND state = 0",
        DB_PARAMS(db_text(id), db_int(state), db_int(now_us), db_text(by), db_text(text)));
}

enum err
requests_reopen(struct db *db, const struct request *q)
{
    char session[17] = "";

    if (q->session != 0)
        store_session_text(q->session, session);
    return row_change(
        db, "the request is decided",
        "UPDATE requests SET state = 0, waiting = $2, node = $3, session = $4, command = $5,"
        " opened_us = $6, expires_us = $7, wait_ms = $8, binding_hash = $9, in_transaction = $10,"
        " decided_us = 0, decided_by = '', decided_text = '', version = version + 1"
        " WHERE id = $1 AND state IN (0, 3, 4)",
        DB_PARAMS(db_text(q->id), db_int(q->waiting), db_text(q->node), db_text(str_from(session)),
                  db_int((int64_t)q->command), db_int(q->opened_us), db_int(q->expires_us),
                  db_int(q->wait_ms), db_text(q->binding_hash), db_int(q->in_transaction)));
}

enum err
requests_unwait(struct db *db, struct str id)
{
    return db_exec(db, "UPDATE requests SET waiting = 0, version = version + 1 WHERE id = $1",
                   DB_PARAMS(db_text(id)), NULL, NULL, NULL);
}

enum err
requests_unwait_node(struct db *db, struct str node)
{
    return db_exec(db,
                   "UPDATE requests SET waiting = 0, version = version + 1"
                   " WHERE state = 0 AND kind = 0 AND node = $1 AND waiting = 1",
                   DB_PARAMS(db_text(node)), NULL, NULL, NULL);
}

static enum err
read_mark(struct arena *arena, const struct db_row *row, void *out)
{
    struct request_mark *m = out;
    struct str id = db_row_text(row, 0);

    (void)arena;
    if (!store_is_id(id))
        return fail(ERR_INVALID, "the store holds an id that is not one");
    *m = (struct request_mark){
        .kind = (enum request_kind)db_row_int(row, 1),
        .version = db_row_int(row, 2),
        .created_us = db_row_int(row, 3),
        .opened_us = db_row_int(row, 4),
        .expires_us = db_row_int(row, 5),
        .wait_ms = (uint32_t)db_row_int(row, 6),
    };
    memcpy(m->id, id.ptr, STORE_ID_BYTES);
    return OK;
}

enum err
requests_marks(struct db *db, unsigned max, struct arena *arena, const struct request_mark **out,
               size_t *n)
{
    struct row_list list = {
        .arena = arena, .read = read_mark, .size = sizeof(struct request_mark), .max = max};
    enum err e = db_exec(db,
                         "SELECT id, kind, version, created_us, opened_us, expires_us, wait_ms"
                         " FROM requests WHERE state = 0 ORDER BY created_us LIMIT $1",
                         DB_PARAMS(db_int(max)), row_list_add, &list, NULL);

    *out = (const struct request_mark *)(void *)list.items;
    *n = list.n;
    return e;
}

static enum err
count(enum err e, int64_t number, uint64_t *out)
{
    *out = (uint64_t)number;
    return e;
}

enum err
requests_count_before(struct db *db, struct str issuer, struct str subject, struct str rule,
                      struct str resource, uint64_t *out)
{
    int64_t n = 0;
    enum err e =
        db_exec(db,
                "SELECT COUNT(*) FROM requests WHERE issuer = $1 AND subject = $2"
                " AND rule = $3 AND resource = $4",
                DB_PARAMS(db_text(issuer), db_text(subject), db_text(rule), db_text(resource)),
                row_number, &n, NULL);

    return count(e, n, out);
}

enum err
requests_count_pending(struct db *db, uint64_t *out)
{
    int64_t n = 0;
    enum err e =
        db_exec(db, "SELECT COUNT(*) FROM requests WHERE state = 0", NULL, 0, row_number, &n, NULL);

    return count(e, n, out);
}

enum err
requests_count_pending_of(struct db *db, struct str issuer, struct str subject, uint64_t *out)
{
    int64_t n = 0;
    enum err e = db_exec(db,
                         "SELECT COUNT(*) FROM requests WHERE state = 0 AND kind = 1"
                         " AND issuer = $1 AND subject = $2",
                         DB_PARAMS(db_text(issuer), db_text(subject)), row_number, &n, NULL);

    return count(e, n, out);
}

/* --- decisions ------------------------------------------------------------------------------- */

static enum err
was_put(void *arg, const struct db_row *row)
{
    bool *done = arg;

    (void)row;
    *done = true;
    return OK;
}

enum err
decisions_put(struct db *db, const struct decision *d)
{
    bool done = false;
    enum err e = db_exec(
        db,
        "INSERT INTO decisions (request, issuer, subject, name, email, verdict, reason, channel,"
        " binding_hash, at_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT (request, issuer, subject) DO UPDATE SET name = excluded.name,"
        " email = excluded.email, verdict = excluded.verdict, reason = excluded.reason,"
        " channel = excluded.channel, binding_hash = excluded.binding_hash, at_us = excluded.at_us"
        " WHERE decisions.binding_hash <> excluded.binding_hash RETURNING at_us",
        DB_PARAMS(db_text(d->request), db_text(d->issuer), db_text(d->subject), db_text(d->name),
                  db_text(d->email), db_int(d->verdict), db_text(d->reason), db_text(d->channel),
                  db_text(d->binding_hash), db_int(d->at_us)),
        was_put, &done, NULL);

    if (e == OK && !done)
        return fail(ERR_EXISTS, "you have decided on this request already");
    return e;
}

static enum err
read_decision(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct decision *d = out;

    d->request = row_text(&r);
    d->issuer = row_text(&r);
    d->subject = row_text(&r);
    d->name = row_text(&r);
    d->email = row_text(&r);
    d->verdict = (enum decision_verdict)row_int(&r);
    d->reason = row_text(&r);
    d->channel = row_text(&r);
    d->binding_hash = row_text(&r);
    d->at_us = row_int(&r);
    return r.e;
}

enum err
decisions_forget(struct db *db, struct str request, struct str binding_hash)
{
    return db_exec(db, "DELETE FROM decisions WHERE request = $1 AND binding_hash = $2",
                   DB_PARAMS(db_text(request), db_text(binding_hash)), NULL, NULL, NULL);
}

enum err
decisions_of(struct db *db, struct str request, struct arena *arena, struct decision_list *out)
{
    struct row_list list = {.arena = arena,
                            .read = read_decision,
                            .size = sizeof(struct decision),
                            .max = STORE_LIST_MAX};
    enum err e = db_exec(db,
                         "SELECT request, issuer, subject, name, email, verdict, reason, channel,"
                         " binding_hash, at_us FROM decisions WHERE request = $1"
                         " ORDER BY at_us, issuer, subject LIMIT $2",
                         DB_PARAMS(db_text(request), db_int(STORE_LIST_MAX)), row_list_add, &list,
                         NULL);

    *out = (struct decision_list){(const struct decision *)(void *)list.items, list.n};
    return e;
}

enum err
requests_prune(struct db *db, int64_t before_us, unsigned max, uint64_t *removed)
{
    return db_exec(db,
                   "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE state <> 0"
                   " AND decided_us < $1 LIMIT $2)",
                   DB_PARAMS(db_int(before_us), db_int(max)), NULL, NULL, removed);
}
