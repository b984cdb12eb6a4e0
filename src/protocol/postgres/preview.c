#include "protocol/postgres/preview.h"

#include <stdio.h>

#include "base/json.h"
#include "protocol/postgres/ask.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/wait.h"

enum {
    ARENA_BYTES = 8 << 20,
    SQL_OVERHEAD = 4096,
    PLAN_LINES_SHOWN = 30,
    PLAN_BYTES_SHOWN = 4 << 10,
    DEPENDENTS_MAX = 50,
    NAME_BYTES_MAX = 1024,
    WORDS_BYTES_MAX = 512,
};

/* What is looked at leaves the client's transaction as it was: it is undone by a savepoint in a
 * transaction, and in none by a transaction of its own. The names are not one that clients use. */
#define SAVEPOINT "\"bulkhead preview\""

struct preview {
    struct pgsession *s;
    const struct command *command;
    struct arena *arena;
    bool in_transaction;
};

/* --- asking --------------------------------------------------------------------------------- */

static enum err
run(const struct preview *p, const char *sql)
{
    struct pgask ask = {0};

    return pgask(p->s, str_from(sql), &ask);
}

/* [waits] */
static enum err
begin(const struct preview *p)
{
    enum err e = run(p, p->in_transaction ? "SAVEPOINT " SAVEPOINT : "BEGIN");

    if (e == OK)
        e = run(p, "SET LOCAL statement_timeout = '5s'");
    return e == OK ? run(p, "SET LOCAL lock_timeout = '1s'") : e;
}

/* [waits] Whatever came of it. What cannot be undone ends the session: the transaction's state
 * would not be what the client believes. */
static enum err
undo(const struct preview *p)
{
    enum err e = run(p, p->in_transaction ? "ROLLBACK TO SAVEPOINT " SAVEPOINT : "ROLLBACK");

    if (e == OK && p->in_transaction)
        e = run(p, "RELEASE SAVEPOINT " SAVEPOINT);
    if (e == OK || e == ERR_CANCELED)
        return e;
    err_ignore(pgsession_fatal(p->s, e, "58000"));
    return ERR_CANCELED;
}

/* --- saying --------------------------------------------------------------------------------- */

static void
say(struct buf *json, const char *kind, const char *error)
{
    struct json j = json_to(json);

    buf_reset(json);
    json_open(&j, '{');
    json_field_text(&j, "kind", kind);
    if (*error != '\0')
        json_field_text(&j, "error", error);
    json_close(&j, '}');
}

/* Why there is nothing to see; OK, for that is no reason not to ask. */
static enum err
say_failure(struct buf *json, const char *kind, enum err e, const char *sqlstate)
{
    char words[WORDS_BYTES_MAX];

    if (e == ERR_CANCELED)
        return e;
    if (*sqlstate != '\0')
        (void)snprintf(words, sizeof(words), "the target refuses it: SQLSTATE %s", sqlstate);
    else
        (void)snprintf(words, sizeof(words), "%s", err_text());
    say(json, kind, words);
    return OK;
}

/* --- what the planner expects ---------------------------------------------------------------- */

/* The number after `rows=` in a line of a plan. */
static bool
rows_of_line(struct str line, uint64_t *rows)
{
    static const struct str mark = STR_INIT("rows=");

    for (size_t i = 0; i + mark.len <= line.len; i++)
        if (str_starts(str_skip(line, i), mark)) {
            struct str number = str_skip(line, i + mark.len);
            size_t n = 0;

            while (n < number.len && number.ptr[n] >= '0' && number.ptr[n] <= '9')
                n++;
            return str_to_uint((struct str){number.ptr, n}, INT64_MAX, rows);
        }
    return false;
}

/* A node that changes rows returns none: those it changes are its child's. */
static bool
changes_rows(struct str line)
{
    static const struct str nodes[] = {STR_INIT("Update on "), STR_INIT("Delete on "),
                                       STR_INIT("Merge on "), STR_INIT("Insert on ")};

    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        if (str_starts(line, nodes[i]))
            return true;
    return false;
}

static bool
rows_of_plan(const struct pgask_rows *plan, uint64_t *rows)
{
    bool child = plan->n_rows > 0 && changes_rows(plan->fields[0]);

    for (size_t i = child ? 1 : 0; i < plan->n_rows; i++)
        if (rows_of_line(plan->fields[i], rows))
            return true;
    return false;
}

static void
write_plan(const struct pgask_rows *plan, struct buf *json)
{
    struct buf text = buf_make(PLAN_BYTES_SHOWN);
    struct json j = json_to(json);
    uint64_t rows;

    for (size_t i = 0; i < plan->n_rows && i < PLAN_LINES_SHOWN; i++) {
        struct str line = plan->fields[i];

        if (text.len + line.len + 1 >= PLAN_BYTES_SHOWN)
            break;
        if (i > 0)
            buf_put_u8(&text, '\n');
        buf_put_str(&text, line);
    }
    json_open(&j, '{');
    json_field_text(&j, "kind", "estimate");
    if (rows_of_plan(plan, &rows))
        json_field_uint(&j, "rows", rows);
    json_field_str(&j, "text", buf_str(&text));
    json_close(&j, '}');
    buf_free(&text);
}

/* [waits] */
static enum err
estimate(const struct preview *p, struct buf *json)
{
    struct buf sql = buf_make(p->command->text.len + SQL_OVERHEAD);
    char sqlstate[PGSQLSTATE_LEN + 1] = "";
    struct pgask_rows plan;
    enum err e, undone = OK;

    buf_put_text(&sql, "EXPLAIN ");
    buf_put_str(&sql, p->command->text);
    e = buf_ok(&sql);
    if (e == OK && p->in_transaction)
        e = begin(p);
    if (e == OK) {
        e = pgask_for_rows_of_one(p->s, buf_str(&sql), 1, p->arena, &plan, sqlstate);
        if (p->in_transaction && e != ERR_CANCELED)
            undone = undo(p);
    }
    buf_free(&sql);
    if (undone != OK)
        return undone;
    if (e != OK)
        return say_failure(json, "none", e, sqlstate);
    write_plan(&plan, json);
    return OK;
}

/* --- a run that is rolled back ---------------------------------------------------------------- */

/* The number at the end of "UPDATE 7" or "INSERT 0 7". */
static void
take_tag(void *arg, unsigned char type, struct str body)
{
    uint64_t *rows = arg;
    size_t end = body.len, start;

    if (type != 'C')
        return;
    if (end > 0 && body.ptr[end - 1] == '\0')
        end--;
    for (start = end; start > 0 && body.ptr[start - 1] >= '0' && body.ptr[start - 1] <= '9';)
        start--;
    (void)str_to_uint((struct str){body.ptr + start, end - start}, INT64_MAX, rows);
}

/* [waits] */
static enum err
dry_run(const struct preview *p, struct buf *json)
{
    uint64_t rows = 0;
    struct pgask ask = {.message = take_tag, .arg = &rows, .one = true};
    struct json j = json_to(json);
    enum err e, undone;

    if ((e = begin(p)) == OK)
        e = pgask(p->s, p->command->text, &ask);
    if (e == ERR_CANCELED)
        return e;
    if ((undone = undo(p)) != OK)
        return undone;
    if (e != OK)
        return say_failure(json, "dry_run", e, ask.sqlstate);
    json_open(&j, '{');
    json_field_text(&j, "kind", "dry_run");
    json_field_uint(&j, "rows", rows);
    json_field_text(&j, "text", "it was run and rolled back");
    json_close(&j, '}');
    return OK;
}

/* --- what depends on it ----------------------------------------------------------------------- */

static void
put_identifier(struct buf *out, struct str name)
{
    buf_put_u8(out, '"');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '"')
            buf_put_u8(out, '"');
        buf_put_u8(out, (uint8_t)name.ptr[i]);
    }
    buf_put_u8(out, '"');
}

/* standard_conforming_strings is on in every session. */
static void
put_literal(struct buf *out, struct str text)
{
    buf_put_u8(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            buf_put_u8(out, '\'');
        buf_put_u8(out, (uint8_t)text.ptr[i]);
    }
    buf_put_u8(out, '\'');
}

static bool
is_changed_relation(const struct demand *d)
{
    return d->kind == OBJECT_RELATION && (d->classes & CLASSES(DDL)) != 0;
}

/* The relations that the command changes, as an array of their quoted names. */
static size_t
put_relations(const struct command *command, struct buf *out)
{
    size_t n = 0;

    for (size_t i = 0; i < command->n_demands; i++) {
        const struct demand *d = &command->demands[i];
        struct buf name = buf_make(NAME_BYTES_MAX);

        if (is_changed_relation(d)) {
            if (d->schema.len > 0) {
                put_identifier(&name, d->schema);
                buf_put_u8(&name, '.');
            }
            put_identifier(&name, d->name);
            if (n++ > 0)
                buf_put_text(out, ", ");
            put_literal(out, buf_str(&name));
        }
        buf_free(&name);
    }
    return n;
}

/* What refers to them by another's definition: views by their rules, constraints, defaults,
 * functions with SQL bodies; not what is a part of them. */
static void
put_dependents_query(const struct preview *p, struct buf *sql)
{
    buf_put_text(
        sql,
        "SELECT DISTINCT CASE WHEN r.ev_class IS NOT NULL THEN "
        "pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0) "
        "ELSE pg_catalog.pg_describe_object(d.classid, d.objid, 0) END "
        "FROM pg_catalog.unnest(ARRAY[");
    (void)put_relations(p->command, sql);
    buf_printf(sql,
               "]::pg_catalog.text[]) AS n(name) JOIN pg_catalog.pg_depend d "
               "ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
               "AND d.refobjid = pg_catalog.to_regclass(n.name) "
               "LEFT JOIN pg_catalog.pg_rewrite r "
               "ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid "
               "WHERE d.deptype IN ('n', 'a') AND r.ev_class IS DISTINCT FROM d.refobjid "
               "ORDER BY 1 LIMIT %d",
               DEPENDENTS_MAX);
}

/* [waits] */
static enum err
dependents(const struct preview *p, struct buf *json)
{
    struct buf sql = buf_make(COMMAND_DEMANDS_MAX * NAME_BYTES_MAX + SQL_OVERHEAD);
    char sqlstate[PGSQLSTATE_LEN + 1] = "";
    struct json j = json_to(json);
    struct pgask_rows rows;
    enum err e, undone = OK;

    put_dependents_query(p, &sql);
    e = buf_ok(&sql);
    if (e == OK && p->in_transaction)
        e = begin(p);
    if (e == OK) {
        e = pgask_for_rows(p->s, buf_str(&sql), 1, p->arena, &rows, sqlstate);
        if (p->in_transaction && e != ERR_CANCELED)
            undone = undo(p);
    }
    buf_free(&sql);
    if (undone != OK)
        return undone;
    if (e != OK)
        return say_failure(json, "none", e, sqlstate);
    json_open(&j, '{');
    json_field_text(&j, "kind", "dependents");
    json_key(&j, "objects");
    json_open(&j, '[');
    for (size_t i = 0; i < rows.n_rows; i++)
        json_str(&j, rows.fields[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    return OK;
}

/* --- which of them ---------------------------------------------------------------------------- */

static class_set
classes_of(const struct command *command)
{
    class_set classes = 0;

    for (size_t i = 0; i < command->n_demands; i++)
        classes |= command->demands[i].classes;
    return classes;
}

enum err
pgpreview(struct pgsession *s, const struct command *command, enum step_up_preview kind,
          struct buf *json)
{
    static const class_set changes = CLASSES(INSERT) | CLASSES(UPDATE) | CLASSES(DELETE) |
                                     CLASSES(MERGE);
    class_set classes = classes_of(command), effects = classes & CLASS_EFFECTS_MASK;
    struct preview p = {.s = s, .command = command, .in_transaction = s->status != PGWIRE_IDLE};
    bool is_ddl = (effects & CLASSES(DDL)) != 0;
    bool is_planned = (effects & (CLASSES(READ) | CLASSES(WRITE))) != 0;
    enum err e;

    if (s->status == PGWIRE_FAILED || (!is_ddl && !is_planned)) {
        say(json, "none", "");
        return OK;
    }
    if ((effects & (CLASSES(CODE) | CLASSES(ADMIN))) != 0 && !is_ddl) {
        say(json, "none", "it runs code, so it is not looked into");
        return OK;
    }
    if (!pgwait_between_segments(s)) {
        say(json, "none", "it came in the middle of a pipeline, where nothing else can be asked");
        return OK;
    }
    if ((e = gate_note(s->gate, STR("preview"),
                       kind == PREVIEW_DRY_RUN ? STR("a run that is rolled back")
                                               : STR("what the target expects"))) != OK)
        return e;
    if ((p.arena = arena_new(ARENA_BYTES)) == NULL)
        return fail(ERR_NOMEM, "no memory for a preview");
    if (is_ddl)
        e = dependents(&p, json);
    else if (kind == PREVIEW_DRY_RUN && (classes & changes) != 0)
        e = dry_run(&p, json);
    else
        e = estimate(&p, json);
    arena_free(p.arena);
    return e;
}
