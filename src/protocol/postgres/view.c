#include "protocol/postgres/view.h"

#include <stdio.h>
#include <stdlib.h>

enum { FOLLOW_MAX = 8 };

struct pgview_source {
    size_t statement, of_statement;
    struct pgview *of; /* held */
};

static void
release_tally(struct pgtally *t)
{
    if (--t->references == 0)
        free(t);
}

static void
destroy(struct pgobject *object)
{
    struct pgview *v = (struct pgview *)object;

    for (size_t i = 0; i < v->n_sources; i++)
        pgview_release(v->sources[i].of);
    free(v->sources);
    sql_lineage_release(v->lineage);
    detectors_free(v->detectors);
    release_tally(v->tally);
    free(v);
}

struct pgview *
pgview_new(const struct sql_lineage *lineage)
{
    struct pgview *v = calloc(1, sizeof(*v));
    struct pgtally *tally = calloc(1, sizeof(*tally));

    if (v == NULL || tally == NULL) {
        free(v);
        free(tally);
        return NULL;
    }
    tally->references = 1;
    v->object = (struct pgobject){1, sizeof(*v) + sizeof(*tally), destroy};
    v->lineage = sql_lineage_hold(lineage);
    v->sanitise = lineage != NULL && lineage->guarded;
    v->tally = tally;
    return v;
}

void
pgview_limit(struct pgview *v, const struct limits *limits)
{
    v->limits = *limits;
}

enum err
pgview_follow(struct pgview *v, size_t statement, struct pgview *of, size_t of_statement)
{
    struct pgview_source *grown = realloc(v->sources, (v->n_sources + 1) * sizeof(*grown));

    if (grown == NULL)
        return fail(ERR_NOMEM, "no memory for a cursor's rows");
    v->sources = grown;
    grown[v->n_sources++] = (struct pgview_source){statement, of_statement, pgview_hold(of)};
    if (of->sanitise)
        v->sanitise = true;
    return OK;
}

static const struct pgview_source *
source_of(const struct pgview *v, size_t statement)
{
    for (size_t i = 0; i < v->n_sources; i++)
        if (v->sources[i].statement == statement)
            return &v->sources[i];
    return NULL;
}

static const struct sql_output *
output_of(const struct pgview *v, size_t statement)
{
    if (v->lineage == NULL || statement >= v->lineage->n_outputs)
        return NULL;
    return &v->lineage->outputs[statement];
}

/* What has no source, or one chained too deeply, keeps the kind of a FETCH or EXECUTE and so has no
 * columns: its rows contradict it. */
struct pgview_part
pgview_part(const struct pgview *v, size_t statement)
{
    struct pgview_part part = {.tally = v->tally};
    const struct pgview_source *source;
    bool own = source_of(v, statement) == NULL;

    for (int i = 0; i < FOLLOW_MAX && (source = source_of(v, statement)) != NULL; i++) {
        const struct sql_output *output = output_of(v, statement);

        v = source->of;
        statement = source->of_statement;
        if (output == NULL || output->kind != SQL_OUTPUT_PREPARED)
            part.tally = v->tally;
    }
    part.judged = v->lineage != NULL;
    part.lineage = v->lineage;
    part.output = output_of(v, statement);
    if (part.output != NULL &&
        ((own && part.output->declares) ||
         (part.output->kind != SQL_OUTPUT_ROWS && part.output->kind != SQL_OUTPUT_COPY)))
        part.output = NULL;
    return part;
}

bool
pgview_wants_description(const struct pgview *v)
{
    if (v->detectors != NULL || (v->lineage != NULL && v->lineage->guarded))
        return true;
    for (size_t i = 0; v->lineage != NULL && i < v->lineage->n_outputs; i++)
        if (v->lineage->outputs[i].hides)
            return true;
    for (size_t i = 0; i < v->n_sources; i++)
        if (pgview_wants_description(v->sources[i].of))
            return true;
    return false;
}
