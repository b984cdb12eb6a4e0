#include "sql/lexer.h"
#include "sql/tree.h"

/* Transactions, prepared statements, cursors, settings, EXPLAIN. */

static enum err
set_kind(struct sql_walk *w, enum sql_kind kind, const char *name)
{
    w->kind = kind;
    w->name = arena_str(w->arena, sql_str(name));
    if (w->name.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    return OK;
}

enum err
sql_on_transaction(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__TransactionStmt *s = (const PgQuery__TransactionStmt *)m;

    switch (s->kind) {
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START:
        w->kind = SQL_BEGIN;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT:
        w->kind = SQL_COMMIT;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK:
        w->kind = SQL_ROLLBACK;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT:
        w->kind = SQL_SAVEPOINT;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE:
        w->kind = SQL_RELEASE;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO:
        w->kind = SQL_ROLLBACK_TO;
        break;
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED:
    case PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED:
        return sql_demand_none(w, CLASSES(ADMIN) | CLASSES(TWO_PHASE));
    default:
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse this transaction statement");
    }
    return sql_demand_none(w, CLASSES(SESSION) | CLASSES(TRANSACTION));
}

/* PREPARE name [(types)] AS query: the query. */
static struct str
prepared_text(struct str text)
{
    struct sql_token t;
    size_t at = 0;
    int depth = 0;

    for (unsigned i = 0; sql_lex(text, &at, &t); i++) {
        struct str token = {text.ptr + t.start, t.len};

        if (t.kind == SQL_TOKEN_OTHER && str_is(token, "("))
            depth++;
        if (t.kind == SQL_TOKEN_OTHER && str_is(token, ")"))
            depth--;
        if (i >= 2 && depth == 0 && t.kind == SQL_TOKEN_WORD && str_equal_nocase(token, STR("as")))
            return str_trim(str_skip(text, at));
    }
    return text;
}

enum err
sql_on_prepare(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__PrepareStmt *s = (const PgQuery__PrepareStmt *)m;
    struct sql_purpose before = w->purpose;
    enum err e;

    if ((e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(PREPARED))) != OK ||
        (e = sql_walk_node(w, s->query)) != OK)
        return e;
    w->purpose = before; /* it does not run yet */
    w->text = prepared_text(w->text);
    return set_kind(w, SQL_PREPARE, s->name);
}

enum err
sql_on_execute(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ExecuteStmt *s = (const PgQuery__ExecuteStmt *)m;
    enum err e;

    if ((e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(PREPARED))) != OK ||
        (e = sql_walk_children(w, m)) != OK)
        return e;
    return set_kind(w, SQL_EXECUTE, s->name);
}

enum err
sql_on_deallocate(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(PREPARED));

    if (e != OK)
        return e;
    return set_kind(w, SQL_DEALLOCATE, ((const PgQuery__DeallocateStmt *)m)->name);
}

enum err
sql_on_discard(struct sql_walk *w, const ProtobufCMessage *m)
{
    if (((const PgQuery__DiscardStmt *)m)->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL) {
        w->kind = SQL_DISCARD_ALL;
        sql_purpose_reset(w, sql_str(""));
    }
    return sql_demand_none(w, CLASSES(SESSION));
}

enum err
sql_on_declare(struct sql_walk *w, const ProtobufCMessage *m)
{
    struct sql_purpose before = w->purpose;
    enum err e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(CURSOR));

    if (e == OK)
        e = sql_walk_children(w, m);
    w->purpose = before; /* it does not run yet */
    return e != OK ? e
                   : set_kind(w, SQL_DECLARE, ((const PgQuery__DeclareCursorStmt *)m)->portalname);
}

enum err
sql_on_fetch(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(CURSOR));

    return e != OK ? e : set_kind(w, SQL_FETCH, ((const PgQuery__FetchStmt *)m)->portalname);
}

enum err
sql_on_close(struct sql_walk *w, const ProtobufCMessage *m)
{
    enum err e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(CURSOR));

    return e != OK ? e : set_kind(w, SQL_CLOSE, ((const PgQuery__ClosePortalStmt *)m)->portalname);
}

enum err
sql_on_constraints(struct sql_walk *w, const ProtobufCMessage *m)
{
    (void)m;
    return sql_demand_none(w, CLASSES(SESSION) | CLASSES(TRANSACTION));
}

enum err
sql_on_listen(struct sql_walk *w, const ProtobufCMessage *m)
{
    const char *channel = "";

    if (m->descriptor == &pg_query__listen_stmt__descriptor)
        channel = ((const PgQuery__ListenStmt *)m)->conditionname;
    else if (m->descriptor == &pg_query__unlisten_stmt__descriptor)
        channel = ((const PgQuery__UnlistenStmt *)m)->conditionname;
    else if (m->descriptor == &pg_query__notify_stmt__descriptor)
        channel = ((const PgQuery__NotifyStmt *)m)->conditionname;
    return sql_demand(w, CLASSES(SESSION) | CLASSES(LISTEN_NOTIFY), OBJECT_OTHER, sql_str(""),
                      sql_str(channel));
}

static bool
plainly_false(const PgQuery__Node *value)
{
    struct str text;

    if (value == NULL)
        return false;
    if (value->node_case == PG_QUERY__NODE__NODE_INTEGER)
        return value->integer->ival == 0;
    return sql_constant(value, &text) &&
           (str_equal_nocase(text, STR("false")) || str_equal_nocase(text, STR("off")));
}

/* With an option given twice PostgreSQL takes the last; here any that may be true counts. */
static bool
explain_runs(const PgQuery__ExplainStmt *s)
{
    for (size_t i = 0; i < s->n_options; i++) {
        const PgQuery__Node *n = s->options[i];

        if (n->node_case == PG_QUERY__NODE__NODE_DEF_ELEM &&
            strcasecmp(n->def_elem->defname, "analyze") == 0 && !plainly_false(n->def_elem->arg))
            return true;
    }
    return false;
}

static bool
demands_class(const struct sql_walk *w, size_t from, class_set class)
{
    for (size_t i = from; i < w->n_demands; i++)
        if ((w->demands[i].classes & class) != 0)
            return true;
    return false;
}

enum err
sql_on_explain(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__ExplainStmt *s = (const PgQuery__ExplainStmt *)m;
    struct sql_purpose purpose = w->purpose;
    size_t before = w->n_demands;
    enum err e;

    w->depends = true;
    w->extra |= CLASSES(EXPLAIN);
    w->plan_only = !explain_runs(s);
    e = sql_walk_node(w, s->query);
    if (e == OK && !demands_class(w, before, CLASSES(EXPLAIN)))
        e = sql_demand_none(w, CLASSES(READ));
    if (w->plan_only)
        w->purpose = purpose;
    w->plan_only = false;
    w->extra &= ~CLASSES(EXPLAIN);
    if (w->kind != SQL_EXECUTE)
        w->kind = SQL_OTHER;
    return e;
}

enum err
sql_on_show(struct sql_walk *w, const ProtobufCMessage *m)
{
    return sql_demand(w, CLASSES(READ), OBJECT_SETTING, sql_str(""),
                      sql_str(((const PgQuery__VariableShowStmt *)m)->name));
}

static bool
is_utf8_name(struct str value)
{
    char name[16];
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 'a' - 'A');
        if (c == '-' || c == '_' || c == ' ')
            continue;
        if (n == sizeof(name))
            return false;
        name[n++] = c;
    }
    return str_is((struct str){name, n}, "utf8") || str_is((struct str){name, n}, "unicode");
}

static bool
is_true(struct str value)
{
    return str_equal_nocase(value, STR("on")) || str_equal_nocase(value, STR("true")) ||
           str_equal_nocase(value, STR("yes")) || str_is(value, "1");
}

/* What decides how the server reads SQL text must stay as the analyser assumes it. */
static enum err
check_reading(struct str name, const struct str *value)
{
    if (str_is(name, "client_encoding") && (value == NULL || !is_utf8_name(*value)))
        return fail(ERR_UNSUPPORTED, "client_encoding must stay UTF8: other encodings cannot be "
                                     "analysed");
    if (str_is(name, "standard_conforming_strings") && (value == NULL || !is_true(*value)))
        return fail(ERR_UNSUPPORTED, "standard_conforming_strings must stay on: statements could "
                                     "not be analysed otherwise");
    return OK;
}

static enum err
change_role(struct sql_walk *w, struct str setting, const struct str *value)
{
    if (value == NULL)
        return sql_demand(w, CLASSES(GRANT) | CLASSES(ROLE_CHANGE), OBJECT_SETTING, sql_str(""),
                          setting);
    return sql_demand(w, CLASSES(GRANT) | CLASSES(ROLE_CHANGE), OBJECT_ROLE, sql_str(""), *value);
}

enum err
sql_change_setting(struct sql_walk *w, struct str name, const struct str *value, bool reset)
{
    char *folded = arena_text(w->arena, name);
    bool role;
    enum err e;

    w->depends = true;
    if (folded == NULL)
        return fail(ERR_NOMEM, "no memory for the facts of a statement");
    for (size_t i = 0; i < name.len; i++)
        if (folded[i] >= 'A' && folded[i] <= 'Z')
            folded[i] = (char)(folded[i] + 'a' - 'A');
    name = (struct str){folded, name.len};
    if (!reset && (e = check_reading(name, value)) != OK)
        return e;
    role = str_is(name, "role") || str_is(name, "session_authorization");
    if (role && !reset && !(value != NULL && str_is(*value, "none") && str_is(name, "role")))
        return change_role(w, name, value);
    if (reset || role || sql_is_harmless_setting(name) || str_index(name, '.') < name.len)
        return sql_demand(w, CLASSES(SESSION) | CLASSES(SET), OBJECT_SETTING, sql_str(""), name);
    return sql_demand(w, CLASSES(ADMIN) | CLASSES(SERVER_SETTINGS), OBJECT_SETTING, sql_str(""),
                      name);
}

enum err
sql_on_set(struct sql_walk *w, const ProtobufCMessage *m)
{
    const PgQuery__VariableSetStmt *s = (const PgQuery__VariableSetStmt *)m;
    struct str value;
    bool have_value = s->n_args == 1 && sql_constant(s->args[0], &value);
    enum err e;

    switch (s->kind) {
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI: /* SET TRANSACTION and its kin */
        return sql_demand_none(w, CLASSES(SESSION) | CLASSES(TRANSACTION));
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL:
        if ((e = sql_demand_none(w, CLASSES(SESSION) | CLASSES(SET))) != OK)
            return e;
        sql_purpose_reset(w, sql_str(""));
        return set_kind(w, SQL_SET, "");
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT:
        if ((e = sql_purpose_set(w, sql_str(s->name), have_value ? &value : NULL, s->is_local)) ==
            OK)
            e = sql_change_setting(w, sql_str(s->name), have_value ? &value : NULL, false);
        break;
    case PG_QUERY__VARIABLE_SET_KIND__VAR_SET_DEFAULT:
    case PG_QUERY__VARIABLE_SET_KIND__VAR_RESET:
        sql_purpose_reset(w, sql_str(s->name));
        e = sql_change_setting(w, sql_str(s->name), NULL, true);
        break;
    default:
        return fail(ERR_UNSUPPORTED, "the gateway cannot analyse this form of SET");
    }
    return e != OK ? e : set_kind(w, SQL_SET, s->name);
}
