#include "protocol/postgres/limit.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "policy/limits.h"
#include "protocol/postgres/refusal.h"

enum { LIMIT_TEXT_MAX = 256 };

/* Rows and bytes. */

const char *
pglimit_passed(struct pgsession *s, const struct pgview_part *part, uint64_t rows, uint64_t bytes)
{
    struct pganswer *head = pganswers_head(&s->answers);
    const struct limits *l = &head->view->limits;
    struct pgtally *tally = part->tally;

    if (part->output != NULL && part->output->catalog_only)
        return NULL;
    if (l->rows_per_command != 0 && tally->rows + rows > l->rows_per_command)
        return "rows_per_command";
    if (l->bytes_per_command != 0 && tally->bytes + bytes > l->bytes_per_command)
        return "bytes_per_command";
    if (l->rows_per_session != 0 && head->delivered + rows > gate_rows_left(s->gate, l))
        return "rows_per_session";
    tally->rows += rows;
    tally->bytes += bytes;
    head->delivered += rows;
    return NULL;
}

/* Errors. */

static const struct limit_info *
info_of(const char *limit)
{
    for (int i = 0; i < LIMIT_NUMBERS; i++)
        if (strcmp(limit_infos[i].name, limit) == 0)
            return &limit_infos[i];
    return NULL;
}

/* What a limit counts, and what helps. */
static const struct words {
    const char *limit, *of, *hint;
} words[] = {
    {"rows_per_command", " rows", "Narrow the query with WHERE or LIMIT, or aggregate."},
    {"bytes_per_command", " bytes of rows",
     "Select fewer or smaller columns, narrow the query, or use LIMIT."},
    {"rows_per_session", " rows in one session",
     "Narrow or aggregate what you read; the rows that a session may read are used up."},
    {"seconds_per_command", " seconds", "Narrow the query, or split it."},
    {"max_affected_rows", " rows changed", "Nothing was changed. Narrow the WHERE clause."},
};

static const struct words *
words_of(const char *limit)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].limit, limit) == 0)
            return &words[i];
    return &words[0];
}

static void
describe(const struct pgview *v, const char *limit, char text[LIMIT_TEXT_MAX],
         struct pgwire_failure *failure)
{
    const struct limit_info *info = info_of(limit);
    const struct words *w = words_of(limit);
    uint64_t number = info == NULL ? 0 : limits_number(&v->limits, (int)(info - limit_infos));

    (void)snprintf(text, LIMIT_TEXT_MAX, "limit \"%s\": more than %" PRIu64 "%s", limit, number,
                   w->of);
    *failure = (struct pgwire_failure){
        .severity = "ERROR",
        .sqlstate = strcmp(limit, "seconds_per_command") == 0 ? "57014" : "54000",
        .message = str_from(text),
        .hint = str_from(w->hint)};
}

void
pglimit_put_error(const struct pgview *v, const char *limit, struct buf *out)
{
    struct pgwire_failure failure;
    char text[LIMIT_TEXT_MAX];

    describe(v, limit, text, &failure);
    pgwire_put_error(out, &failure);
}

/* Stopping. */

static void
ask_for_cancel(struct pgsession *s)
{
    if (s->target->cancel_secret_len == 0) /* the server gave no key */
        return;
    s->cancel_wanted = s->cancelling = true;
    fiber_condition_signal(&s->wake);
}

enum err
pglimit_stop(struct pgsession *s, const struct pgwire_failure *failure, const char *limit)
{
    struct pganswer *head = pganswers_head(&s->answers);
    enum err e;

    if (head->stopped != NULL)
        return OK;
    if ((e = pgrefusal_of_failure(failure, &head->stopped)) != OK)
        return e;
    head->limit = limit;
    head->failed = true;
    memcpy(head->sqlstate, failure->sqlstate, PGSQLSTATE_LEN);
    ask_for_cancel(s);
    return OK;
}

enum err
pglimit_stop_for(struct pgsession *s, const char *limit)
{
    struct pgwire_failure failure;
    char text[LIMIT_TEXT_MAX];

    describe(pganswers_head(&s->answers)->view, limit, text, &failure);
    return pglimit_stop(s, &failure, limit);
}

enum err
pglimit_tell(struct pgsession *s)
{
    struct pganswer *head = pganswers_head(&s->answers);

    if (head->told)
        return OK;
    head->told = true;
    return pglane_insert(&s->down, buf_str(head->stopped));
}

enum err
pglimit_silence_segment(struct pgsession *s)
{
    for (size_t i = 0; i < s->answers.count; i++) {
        struct pganswer *next = pganswers_at(&s->answers, i);

        if (next->kind == PGWIRE_OF_SYNC)
            return OK;
        if (next->kind == PGWIRE_OF_EXECUTE && next->admitted)
            return pgsession_fatal(
                s, fail(ERR_LIMIT, "a command was stopped, but what follows it ran already"),
                "54000");
        next->silent = true;
    }
    /* The server does not know of an error: it is made to fail before Sync. */
    s->skipping = s->must_fail = true;
    return OK;
}

/* Time. */

static bool
is_timed(const struct pganswer *a)
{
    return a != NULL && a->view != NULL && a->view->limits.seconds_per_command != 0 &&
           (a->kind == PGWIRE_OF_QUERY || a->kind == PGWIRE_OF_EXECUTE);
}

void
pglimit_begin(struct pgsession *s)
{
    struct pganswer *head = pganswers_head(&s->answers);

    if (!is_timed(head) || head->began_ms != 0)
        return;
    head->began_ms = clock_monotonic_ms();
    fiber_condition_signal(&s->wake); /* whoever looks at the clock has a new deadline */
}

int64_t
pglimit_deadline(const struct pgsession *s)
{
    const struct pganswer *head = s->answers.count == 0 ? NULL : &s->answers.ring[s->answers.first];
    uint64_t seconds;

    if (!is_timed(head) || head->began_ms == 0 || head->stopped != NULL)
        return FIBER_FOREVER;
    seconds = head->view->limits.seconds_per_command;
    if (seconds > INT32_MAX)
        return FIBER_FOREVER;
    return head->began_ms + 1000 * (int64_t)seconds;
}

enum err
pglimit_check_time(struct pgsession *s)
{
    int64_t deadline = pglimit_deadline(s);

    if (deadline == FIBER_FOREVER || clock_monotonic_ms() < deadline)
        return OK;
    return pglimit_stop_for(s, "seconds_per_command");
}
