/* Queries: what each output column is made of, and what decides rows and order. */
#include <stdio.h>

#include "sql/flow.h"
#include "sql/shield.h"

#define NODE(kind) PG_QUERY__NODE__NODE_##kind

enum { RECURSION_ROUNDS = 8 };

/* Output columns. */

struct targets {
    struct column *columns;
    size_t n, capacity;
    bool open;
};

static void
add_columns(struct analysis *a, struct targets *t, const struct column *columns, size_t n)
{
    if (t->n + n > t->capacity) {
        size_t capacity = 2 * (t->n + n) + 8;
        struct column *more = flow_alloc(a, capacity, sizeof(*more));

        if (more == NULL)
            return;
        if (t->n > 0)
            memcpy(more, t->columns, t->n * sizeof(*more));
        t->columns = more;
        t->capacity = capacity;
    }
    if (n > 0)
        memcpy(t->columns + t->n, columns, n * sizeof(*columns));
    t->n += n;
}

struct row
query_targets(struct analysis *a, const struct level *l, PgQuery__Node **targets, size_t n)
{
    struct targets t = {0};

    for (size_t i = 0; i < n && !a->failed; i++) {
        const PgQuery__ResTarget *target = targets[i]->res_target;
        struct column column;
        bool is_star;
        struct row row;

        if (targets[i]->node_case != NODE(RES_TARGET) || target->val == NULL) {
            flow_refuse_because(a, "the gateway cannot analyse the list of output columns");
            break;
        }
        row = compute_star(a, l, target->val, &is_star);
        if (is_star) {
            add_columns(a, &t, row.columns, row.n);
            t.open = t.open || row.open;
            continue;
        }
        column.flow = compute(a, l, target->val);
        column.name = target->name[0] != '\0' ? sql_str(target->name) : compute_name(target->val);
        add_columns(a, &t, &column, 1);
    }
    return (struct row){.columns = t.columns, .n = t.n, .open = t.open};
}

/* WITH. */

static void
rename_columns(struct analysis *a, struct row *row, PgQuery__Node **names, size_t n)
{
    struct column *columns;
    size_t total = row->open && n > row->n ? n : row->n;

    if (n == 0)
        return;
    if (n > total) {
        flow_error(a, "42P10", "a WITH query has fewer columns than it names");
        return;
    }
    if ((columns = flow_alloc(a, total, sizeof(*columns))) == NULL)
        return;
    if (row->n > 0)
        memcpy(columns, row->columns, row->n * sizeof(*columns));
    for (size_t i = 0; i < n; i++)
        columns[i].name = sql_node_text(names[i]);
    row->columns = columns;
    row->n = total;
}

static void
append_column(struct analysis *a, struct row *row, struct str name)
{
    struct targets t = {0};
    struct column column = {.name = name};

    add_columns(a, &t, row->columns, row->n);
    add_columns(a, &t, &column, 1);
    row->columns = t.columns;
    row->n = t.n;
}

/* SEARCH and CYCLE compare their columns, and collect them into columns of their own. */
static void
search_and_cycle(struct analysis *a, const PgQuery__CommonTableExpr *c, struct row *row)
{
    const PgQuery__CTESearchClause *s = c->search_clause;
    const PgQuery__CTECycleClause *y = c->cycle_clause;

    for (size_t i = 0; s != NULL && i < s->n_search_col_list; i++) {
        const struct column *column = row_find(row, sql_node_text(s->search_col_list[i]));

        if (column != NULL)
            flow_observe(a, column->flow, "SEARCH");
    }
    for (size_t i = 0; y != NULL && i < y->n_cycle_col_list; i++) {
        const struct column *column = row_find(row, sql_node_text(y->cycle_col_list[i]));

        if (column != NULL)
            flow_observe(a, column->flow, "CYCLE");
    }
    if (s != NULL)
        append_column(a, row, sql_str(s->search_seq_column));
    if (y != NULL) {
        append_column(a, row, sql_str(y->cycle_mark_column));
        append_column(a, row, sql_str(y->cycle_path_column));
    }
}

/* Column by column, what flows into both; types that differ are not known. */
static struct row
merge_rows(struct analysis *a, struct row x, struct row y)
{
    struct column *columns;

    if (x.open || y.open) {
        for (size_t i = 0; i < x.n; i++)
            flow_observe(a, x.columns[i].flow, "a set operation whose columns are not all known");
        for (size_t i = 0; i < y.n; i++)
            flow_observe(a, y.columns[i].flow, "a set operation whose columns are not all known");
        x.open = true;
        return x;
    }
    if (x.n != y.n) {
        flow_error(a, "42601",
                   "each query of a set operation must have the same number of columns");
        return x;
    }
    if ((columns = flow_alloc(a, x.n, sizeof(*columns))) == NULL)
        return x;
    for (size_t i = 0; i < x.n; i++) {
        struct flow f = x.columns[i].flow, g = y.columns[i].flow;
        bool rows = f.row != NULL || g.row != NULL;

        if (rows && f.row != g.row) { /* of different make-up: only free ones can be followed */
            flow_observe(a, f, "a set operation of whole rows");
            flow_observe(a, g, "a set operation of whole rows");
            f.row = NULL;
        }
        columns[i] = (struct column){x.columns[i].name,
                                     {.taint = taint_union(a, f.taint, g.taint),
                                      .row = f.row,
                                      .type = f.type == g.type ? f.type : 0}};
    }
    return (struct row){.columns = columns, .n = x.n};
}

static bool
same_flow(struct row x, struct row y)
{
    for (size_t i = 0; i < x.n && i < y.n; i++)
        if (x.columns[i].flow.taint != y.columns[i].flow.taint)
            return false;
    return x.n == y.n;
}

static void order(struct analysis *a, const struct level *l, const struct row *outputs,
                  PgQuery__Node **sort, size_t n);
static void limits(struct analysis *a, const struct level *l, const PgQuery__SelectStmt *s);

/* A query that reads itself: what flows round is added until nothing new comes. */
static struct row
recursive(struct analysis *a, struct level *l, const PgQuery__CommonTableExpr *c, struct cte *self)
{
    const PgQuery__SelectStmt *s =
        c->ctequery->node_case == NODE(SELECT_STMT) ? c->ctequery->select_stmt : NULL;
    struct level inner = {.outer = l->outer, .ctes = l->ctes};
    bool settled;
    struct row row;

    if (s == NULL || s->op != PG_QUERY__SET_OPERATION__SETOP_UNION || s->larg == NULL)
        return query_node(a, &inner, c->ctequery);
    query_with(a, &inner, s->with_clause);
    row = query_select(a, &inner, s->larg);
    rename_columns(a, &row, c->aliascolnames, c->n_aliascolnames);
    for (int i = 0; i < RECURSION_ROUNDS && !a->failed; i++) {
        struct row next;

        self->row = row;
        search_and_cycle(a, c, &self->row);
        next = merge_rows(a, row, query_select(a, &inner, s->rarg));
        settled = same_flow(row, next);
        row = next;
        if (settled)
            break;
        if (i == RECURSION_ROUNDS - 1)
            flow_refuse_because(a, "the gateway cannot follow this recursive query");
    }
    for (size_t i = 0; !s->all && i < row.n; i++)
        flow_observe(a, row.columns[i].flow, "UNION without ALL");
    order(a, &inner, &row, s->sort_clause, s->n_sort_clause);
    limits(a, &inner, s);
    return row;
}

static void
add_cte(struct analysis *a, struct level *l, const PgQuery__CommonTableExpr *c, bool is_recursive)
{
    struct cte *cte = flow_alloc(a, 1, sizeof(*cte));
    struct level inner = {.outer = l->outer, .ctes = l->ctes};

    if (cte == NULL)
        return;
    *cte = (struct cte){.next = l->ctes, .name = sql_str(c->ctename)};
    if (is_recursive) {
        inner.ctes = cte;
        cte->row = recursive(a, &inner, c, cte);
    } else {
        cte->row = query_node(a, &inner, c->ctequery);
    }
    rename_columns(a, &cte->row, c->aliascolnames, c->n_aliascolnames);
    search_and_cycle(a, c, &cte->row);
    l->ctes = cte;
}

/* WITH RECURSIVE: each may read all the others, also those that come later. */
struct sorting {
    struct analysis *a;
    struct level *l;
    const PgQuery__WithClause *with;
    enum { CTE_WAITS, CTE_STARTED, CTE_DONE } * states;
    size_t at; /* the one that is looked into */
};

static void add_in_order(struct sorting *s, size_t at);

static bool
add_what_it_reads(const ProtobufCMessage *m, void *arg)
{
    const PgQuery__RangeVar *rv = (const PgQuery__RangeVar *)m;
    struct sorting *s = arg;

    if (m->descriptor != &pg_query__range_var__descriptor || rv->schemaname[0] != '\0')
        return s->a->failed;
    for (size_t i = 0; i < s->with->n_ctes && !s->a->failed; i++)
        if (i != s->at && strcmp(s->with->ctes[i]->common_table_expr->ctename, rv->relname) == 0)
            add_in_order(s, i);
    return s->a->failed;
}

static void
add_in_order(struct sorting *s, size_t at)
{
    const PgQuery__CommonTableExpr *c = s->with->ctes[at]->common_table_expr;
    size_t outer = s->at;

    if (s->states[at] == CTE_STARTED)
        flow_refuse_because(s->a, "the gateway cannot follow WITH queries that read each other");
    if (s->states[at] != CTE_WAITS || s->a->failed)
        return;
    s->states[at] = CTE_STARTED;
    s->at = at;
    (void)flow_any_node(&c->ctequery->base, add_what_it_reads, s);
    s->at = outer;
    if (!s->a->failed)
        add_cte(s->a, s->l, c, true);
    s->states[at] = CTE_DONE;
}

void
query_with(struct analysis *a, struct level *l, const PgQuery__WithClause *with)
{
    struct sorting s = {.a = a, .l = l, .with = with};

    if (with == NULL || (s.states = flow_alloc(a, with->n_ctes, sizeof(*s.states))) == NULL)
        return;
    for (size_t i = 0; i < with->n_ctes; i++)
        if (with->ctes[i]->node_case != NODE(COMMON_TABLE_EXPR) ||
            with->ctes[i]->common_table_expr->ctequery == NULL) {
            flow_refuse_because(a, "the gateway cannot analyse a WITH clause");
            return;
        }
    for (size_t i = 0; i < with->n_ctes && !a->failed; i++) {
        if (with->recursive)
            add_in_order(&s, i);
        else
            add_cte(a, l, with->ctes[i]->common_table_expr, false);
    }
}

/* Clauses that may mean output columns. */

static bool
bare_name(const PgQuery__Node *node, struct str *name)
{
    if (node == NULL || node->node_case != NODE(COLUMN_REF) || node->column_ref->n_fields != 1 ||
        node->column_ref->fields[0]->node_case != NODE(STRING))
        return false;
    *name = sql_node_text(node->column_ref->fields[0]);
    return true;
}

static bool
position(const PgQuery__Node *node, size_t *at)
{
    if (node == NULL || node->node_case != NODE(A_CONST) ||
        node->a_const->val_case != PG_QUERY__A__CONST__VAL_IVAL || node->a_const->ival->ival < 1)
        return false;
    *at = (size_t)node->a_const->ival->ival - 1;
    return true;
}

/* What an entry of ORDER BY, DISTINCT ON or GROUP BY stands for: a position, an output column's
 * name (GROUP BY prefers a column of FROM), or any expression. */
static void
observe_entry(struct analysis *a, const struct level *l, const struct row *outputs,
              const PgQuery__Node *node, bool from_first, const char *clause)
{
    const char *outer = a->clause;
    const struct column *column;
    struct flow local;
    struct str name;
    size_t at;

    a->clause = clause;
    if (position(node, &at)) {
        for (size_t i = 0; i < outputs->n; i++)
            if (flow_taint(a, outputs->columns[i].flow) != NULL)
                a->depends = true;
        if (outputs->open) { /* which one it is cannot be told */
            for (size_t i = 0; i < outputs->n; i++)
                flow_observe(a, outputs->columns[i].flow, clause);
        } else if (at < outputs->n) {
            flow_observe(a, outputs->columns[at].flow, clause);
        }
    } else if (bare_name(node, &name) && !(from_first && names_local_column(a, l, name, &local)) &&
               (column = row_find(outputs, name)) != NULL) {
        for (size_t i = 0; i < outputs->n; i++) /* all of that name: the server wants them equal */
            if (str_equal(outputs->columns[i].name, name))
                flow_observe(a, outputs->columns[i].flow, clause);
    } else {
        flow_observe(a, compute(a, l, node), clause);
    }
    a->clause = outer;
}

static void
group_entry(struct analysis *a, const struct level *l, const struct row *outputs,
            const PgQuery__Node *node)
{
    if (node == NULL || node->node_case == PG_QUERY__NODE__NODE__NOT_SET)
        return;
    if (node->node_case == NODE(GROUPING_SET)) {
        for (size_t i = 0; i < node->grouping_set->n_content; i++)
            group_entry(a, l, outputs, node->grouping_set->content[i]);
        return;
    }
    if (node->node_case == NODE(ROW_EXPR)) {
        for (size_t i = 0; i < node->row_expr->n_args; i++)
            group_entry(a, l, outputs, node->row_expr->args[i]);
        return;
    }
    observe_entry(a, l, outputs, node, true, "GROUP BY");
}

static void
order(struct analysis *a, const struct level *l, const struct row *outputs, PgQuery__Node **sort,
      size_t n)
{
    for (size_t i = 0; i < n && !a->failed; i++) {
        if (sort[i]->node_case != NODE(SORT_BY)) {
            flow_refuse_because(a, "the gateway cannot analyse ORDER BY");
            return;
        }
        observe_entry(a, l, outputs, sort[i]->sort_by->node, false, "ORDER BY");
        if (sort[i]->sort_by->n_use_op > 0)
            (void)compute_may_operate(a, sort[i]->sort_by->use_op, sort[i]->sort_by->n_use_op);
    }
}

static void
distinct(struct analysis *a, const struct level *l, const struct row *outputs,
         PgQuery__Node **clause, size_t n)
{
    bool plain = n == 1 &&
                 (clause[0] == NULL || clause[0]->node_case == PG_QUERY__NODE__NODE__NOT_SET);

    for (size_t i = 0; plain && i < outputs->n; i++)
        flow_observe(a, outputs->columns[i].flow, "DISTINCT");
    for (size_t i = 0; !plain && i < n; i++)
        observe_entry(a, l, outputs, clause[i], false, "DISTINCT ON");
}

static void
limits(struct analysis *a, const struct level *l, const PgQuery__SelectStmt *s)
{
    compute_observe(a, l, s->limit_count, "LIMIT");
    compute_observe(a, l, s->limit_offset, "OFFSET");
}

static void
windows(struct analysis *a, const struct level *l, PgQuery__Node **clause, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const PgQuery__WindowDef *w = clause[i]->window_def;

        if (clause[i]->node_case != NODE(WINDOW_DEF))
            continue;
        for (size_t k = 0; k < w->n_partition_clause; k++)
            compute_observe(a, l, w->partition_clause[k], "PARTITION BY");
        for (size_t k = 0; k < w->n_order_clause; k++)
            compute_observe(a, l, w->order_clause[k], "ORDER BY of a window");
        compute_observe(a, l, w->start_offset, "a window's frame");
        compute_observe(a, l, w->end_offset, "a window's frame");
    }
}

/* The three forms. */

static struct row
set_operation(struct analysis *a, struct level *l, const PgQuery__SelectStmt *s)
{
    bool compares = !s->all || s->op != PG_QUERY__SET_OPERATION__SETOP_UNION;
    struct row left = query_select(a, l, s->larg), right = query_select(a, l, s->rarg), row;

    if (a->failed)
        return (struct row){0};
    row = merge_rows(a, left, right);
    for (size_t i = 0; compares && i < row.n; i++)
        flow_observe(a, row.columns[i].flow,
                     s->op == PG_QUERY__SET_OPERATION__SETOP_UNION
                         ? "UNION without ALL, which compares"
                         : "INTERSECT or EXCEPT");
    order(a, l, &row, s->sort_clause, s->n_sort_clause);
    return row;
}

static struct row
values(struct analysis *a, struct level *l, const PgQuery__SelectStmt *s)
{
    static const char *const names[] = {"column1", "column2", "column3", "column4",
                                        "column5", "column6", "column7", "column8"};
    struct row row = {0};

    for (size_t i = 0; i < s->n_values_lists && !a->failed; i++) {
        const PgQuery__List *list = s->values_lists[i]->list;
        struct column *columns;

        if (s->values_lists[i]->node_case != NODE(LIST) ||
            (columns = flow_alloc(a, list->n_items, sizeof(*columns))) == NULL) {
            flow_refuse_because(a, "the gateway cannot analyse VALUES");
            break;
        }
        for (size_t k = 0; k < list->n_items; k++) {
            columns[k].flow = compute(a, l, list->items[k]);
            columns[k].flow.relation = 0;
            if (k < sizeof(names) / sizeof(names[0])) {
                columns[k].name = sql_str(names[k]);
            } else {
                char text[32];

                (void)snprintf(text, sizeof(text), "column%zu", k + 1);
                columns[k].name = arena_str(a->arena, str_from(text));
            }
        }
        row = i == 0 ? (struct row){.columns = columns, .n = list->n_items}
                     : merge_rows(a, row, (struct row){.columns = columns, .n = list->n_items});
    }
    order(a, l, &row, s->sort_clause, s->n_sort_clause);
    return row;
}

static struct row
simple(struct analysis *a, struct level *l, const PgQuery__SelectStmt *s)
{
    struct row row;

    (void)from_clause(a, l, s->from_clause, s->n_from_clause);
    a->lookup = true;
    compute_observe(a, l, s->where_clause, "WHERE");
    a->lookup = false;
    row = query_targets(a, l, s->target_list, s->n_target_list);
    for (size_t i = 0; i < s->n_group_clause; i++)
        group_entry(a, l, &row, s->group_clause[i]);
    compute_observe(a, l, s->having_clause, "HAVING");
    windows(a, l, s->window_clause, s->n_window_clause);
    if (s->n_distinct_clause > 0)
        distinct(a, l, &row, s->distinct_clause, s->n_distinct_clause);
    order(a, l, &row, s->sort_clause, s->n_sort_clause);
    for (size_t i = 0; s->into_clause != NULL && i < row.n; i++)
        flow_observe(a, row.columns[i].flow, "SELECT INTO");
    return row;
}

struct row
query_select(struct analysis *a, const struct level *outer, const PgQuery__SelectStmt *s)
{
    struct level l = {.outer = outer, .ctes = outer == NULL ? NULL : outer->ctes};
    const char *clause = a->clause;
    bool lookup = a->lookup;
    struct row row;

    if (s == NULL || a->failed)
        return (struct row){0};
    a->clause = NULL;
    a->lookup = false;
    query_with(a, &l, s->with_clause);
    if (s->op != PG_QUERY__SET_OPERATION__SETOP_NONE)
        row = set_operation(a, &l, s);
    else
        row = s->n_values_lists > 0 ? values(a, &l, s) : simple(a, &l, s);
    limits(a, &l, s);
    a->clause = clause;
    a->lookup = lookup;
    return row;
}

struct row
query_node(struct analysis *a, const struct level *outer, const PgQuery__Node *node)
{
    switch (node->node_case) {
    case NODE(SELECT_STMT):
        return query_select(a, outer, node->select_stmt);
    case NODE(INSERT_STMT):
        return change_insert(a, outer, node->insert_stmt);
    case NODE(UPDATE_STMT):
        return change_update(a, outer, node->update_stmt);
    case NODE(DELETE_STMT):
        return change_delete(a, outer, node->delete_stmt);
    case NODE(MERGE_STMT):
        return change_merge(a, outer, node->merge_stmt);
    default:
        flow_refuse_because(a, "the gateway cannot analyse a query of the statement");
        return (struct row){0};
    }
}
