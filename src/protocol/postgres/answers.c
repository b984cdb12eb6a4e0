#include "protocol/postgres/answers.h"

#include <stdlib.h>

#include "protocol/postgres/ask.h"
#include "protocol/postgres/statement.h"
#include "protocol/postgres/view.h"

enum { FIRST_CAPACITY = 16, KEPT_CAPACITY = 256 };

static enum err
resize(struct pganswers *a, size_t capacity)
{
    struct pganswer *ring = calloc(capacity, sizeof(*ring));

    if (ring == NULL)
        return fail(ERR_NOMEM, "no memory for pipelined messages");
    for (size_t i = 0; i < a->count; i++)
        ring[i] = a->ring[(a->first + i) & (a->capacity - 1)];
    free(a->ring);
    a->ring = ring;
    a->capacity = capacity;
    a->first = 0;
    return OK;
}

enum err
pganswers_reserve(struct pganswers *a, size_t n)
{
    if (a->count + n <= a->capacity && a->refusals < PGREFUSALS_MAX)
        return OK;
    if (a->count + n > PGANSWERS_MAX || a->refusals >= PGREFUSALS_MAX)
        return ERR_LIMIT; /* not a failure: the caller waits */
    return resize(a, a->capacity == 0 ? FIRST_CAPACITY : 2 * a->capacity);
}

void
pganswers_push(struct pganswers *a, const struct pganswer *entry)
{
    a->ring[(a->first + a->count) & (a->capacity - 1)] = *entry;
    a->count++;
    a->copies += entry->copies_left > 0;
    a->refusals += entry->refusal != NULL;
    a->syncs += entry->kind == PGWIRE_OF_SYNC;
}

static void
free_message(struct buf *message)
{
    if (message == NULL)
        return;
    buf_free(message);
    free(message);
}

void
pganswers_pop(struct pganswers *a, enum pgname_result result)
{
    struct pganswer *head = pganswers_head(a);

    pganswers_no_copies(a);
    if (head->ask != NULL)
        head->ask->entries--;
    if (head->names != NULL)
        pgnames_settle(head->names, &head->change, result);
    if (head->statement != NULL)
        pgobject_release(&head->statement->object);
    pgview_release(head->view);
    a->refusals -= head->refusal != NULL;
    free_message(head->refusal);
    free_message(head->stopped);
    free_message(head->replacement);
    a->syncs -= head->kind == PGWIRE_OF_SYNC;
    a->first = (a->first + 1) & (a->capacity - 1);
    a->count--;
    a->removed++;
}

void
pganswers_redirect(struct pganswers *a, const struct pgask *from, struct pgask *to)
{
    for (size_t i = 0; i < a->count; i++) {
        struct pganswer *answer = pganswers_at(a, i);

        if (answer->ask == from) {
            answer->ask = to;
            to->entries++;
        }
    }
}

void
pganswers_copy_started(struct pganswers *a)
{
    struct pganswer *head = pganswers_head(a);

    if (head->copies_left > 0 && --head->copies_left == 0)
        a->copies--;
}

void
pganswers_no_copies(struct pganswers *a)
{
    struct pganswer *head = pganswers_head(a);

    a->copies -= head->copies_left > 0;
    head->copies_left = 0;
}

void
pganswers_trim(struct pganswers *a)
{
    if (a->count == 0 && a->capacity > KEPT_CAPACITY) {
        free(a->ring);
        a->ring = NULL;
        a->capacity = a->first = 0;
    }
}

void
pganswers_free(struct pganswers *a)
{
    while (a->count > 0)
        pganswers_pop(a, PGNAME_FAILED);
    free(a->ring);
    a->ring = NULL;
    a->capacity = 0;
}
