#include "store/outbox.h"

#include "store/row.h"

enum { WAITING, DONE, GIVEN_UP }; /* the statements below name them */

enum err
outbox_put(struct db *db, struct str channel, const char *event, struct str request,
           struct str payload, int64_t now_us)
{
    char id[STORE_ID_BYTES + 1];
    enum err e;

    if (payload.len > OUTBOX_PAYLOAD_MAX)
        return fail(ERR_LIMIT, "a notification is longer than %d bytes", OUTBOX_PAYLOAD_MAX);
    if ((e = store_new_id(id)) != OK)
        return e;
    return db_exec(db,
                   "INSERT INTO outbox (id, channel, event, request, payload, error, attempts,"
                   " state, created_us, next_us, ended_us)"
                   " VALUES ($1, $2, $3, $4, $5, '', 0, 0, $6, $6, 0)"
                   " ON CONFLICT (channel, event, request) DO NOTHING",
                   DB_PARAMS(db_text(str_from(id)), db_text(channel), db_text(str_from(event)),
                             db_text(request), db_text(payload), db_int(now_us)),
                   NULL, NULL, NULL);
}

static enum err
read_entry(struct arena *arena, const struct db_row *row, void *out)
{
    struct row_reader r = {.row = row, .arena = arena};
    struct outbox_entry *entry = out;

    entry->id = row_text(&r);
    entry->channel = row_text(&r);
    entry->event = row_text(&r);
    entry->request = row_text(&r);
    entry->payload = row_text(&r);
    entry->error = row_text(&r);
    entry->attempts = row_int(&r);
    entry->created_us = row_int(&r);
    entry->next_us = row_int(&r);
    return r.e;
}

/* Only if nobody was faster: then the number of attempts has changed. */
static enum err
claim(struct db *db, struct outbox_entry *entry, int64_t now_us, int64_t until_us, bool *mine)
{
    uint64_t changed = 0;
    enum err e = db_exec(
        db,
        "UPDATE outbox SET attempts = attempts + 1, next_us = $3 WHERE id = $1"
        " AND attempts = $2 AND state = 0 AND next_us <= $4",
        DB_PARAMS(db_text(entry->id), db_int(entry->attempts), db_int(until_us), db_int(now_us)),
        NULL, NULL, &changed);

    *mine = changed == 1;
    entry->attempts++;
    entry->next_us = until_us;
    return e;
}

enum err
outbox_claim(struct db *db, int64_t now_us, int64_t lease_us, unsigned limit, struct arena *arena,
             struct outbox_list *out)
{
    struct row_list list = {.arena = arena,
                            .read = read_entry,
                            .size = sizeof(struct outbox_entry),
                            .max = STORE_LIST_MAX};
    struct outbox_entry *entries;
    size_t n = 0;
    enum err e =
        db_exec(db,
                "SELECT id, channel, event, request, payload, error, attempts, created_us,"
                " next_us FROM outbox WHERE state = 0 AND next_us <= $1"
                " ORDER BY next_us, id LIMIT $2",
                DB_PARAMS(db_int(now_us), db_int(limit > STORE_LIST_MAX ? STORE_LIST_MAX : limit)),
                row_list_add, &list, NULL);

    entries = (struct outbox_entry *)(void *)list.items;
    for (size_t i = 0; e == OK && i < list.n; i++) {
        bool mine = false;

        if ((e = claim(db, &entries[i], now_us, now_us + lease_us, &mine)) == OK && mine)
            entries[n++] = entries[i];
    }
    *out = (struct outbox_list){entries, n};
    return n > 0 ? OK : e; /* what was claimed is to be sent, even if the store then went away */
}

static enum err
end(struct db *db, struct str id, int64_t attempts, int64_t state, int64_t now_us, struct str error)
{
    return row_change(
        db, "the notification is another's now",
        "UPDATE outbox SET state = $3, ended_us = $4, error = $5 WHERE id = $1"
        " AND attempts = $2 AND state = 0",
        DB_PARAMS(db_text(id), db_int(attempts), db_int(state), db_int(now_us), db_text(error)));
}

enum err
outbox_done(struct db *db, struct str id, int64_t attempts, int64_t now_us)
{
    return end(db, id, attempts, DONE, now_us, STR(""));
}

enum err
outbox_abandon(struct db *db, struct str id, int64_t attempts, int64_t now_us, struct str error)
{
    return end(db, id, attempts, GIVEN_UP, now_us, error);
}

enum err
outbox_retry(struct db *db, struct str id, int64_t attempts, int64_t next_us, struct str error)
{
    return row_change(db, "the notification is another's now",
                      "UPDATE outbox SET next_us = $3, error = $4 WHERE id = $1 AND attempts = $2"
                      " AND state = 0",
                      DB_PARAMS(db_text(id), db_int(attempts), db_int(next_us), db_text(error)));
}

enum err
outbox_next(struct db *db, int64_t *next_us)
{
    *next_us = 0;
    return db_exec(db, "SELECT COALESCE(MIN(next_us), 0) FROM outbox WHERE state = 0", NULL, 0,
                   row_number, next_us, NULL);
}

enum err
outbox_prune(struct db *db, int64_t before_us)
{
    return db_exec(db, "DELETE FROM outbox WHERE state <> 0 AND ended_us < $1",
                   DB_PARAMS(db_int(before_us)), NULL, NULL, NULL);
}
_Static_assert(WAITING == 0, "statements name this state");
