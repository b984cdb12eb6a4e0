#include "ledger/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "ledger/chain.h"
#include "ledger/line.h"
#include "ledger/render.h"
#include "ledger/scribe.h"
#include "ledger/spool.h"

enum {
    READ_STEP = 256 << 10,
    SESSION_TURN_BYTES = 8 << 20, /* of one spool before the next one has its turn */
    WRITE_BYTES = 1 << 20,        /* queued records are written at this size */
    WINDOW_KEPT = 1 << 20,
    RETRY_MS = 100,
    HELD_WARNING_MS = 5000,
    SPACE_CHECK_MS = 1000,
    REASON_BYTES = 32,
    PROTOCOL_BYTES = 32,
    OPENING_BYTES_MAX = 256 << 10, /* of what a recording begins with */
};

struct session {
    uint64_t id;
    char text[LEDGER_SESSION_TEXT_BYTES];
    struct spool spool;
    uint64_t limit;         /* how far the spool reached when this round began */
    uint64_t skip_frames;   /* recovery: this many were recorded already */
    char *identity;         /* JSON members "identity" and "resource"; NULL: not identified */
    char *who;              /* JSON members "subject" and "resource"; NULL likewise */
    char *origin;           /* JSON members "source" and "protocol"; NULL: not known */
    bool gone, gone_before; /* told; and told when this round began */
    bool recovered;         /* left over by an earlier gateway */
    bool closed;            /* its session_closed was written */
    bool cut;               /* no more is read */
    bool told_cut;          /* its owner was, or is about to be, told to end it */
    bool held_warned;
    bool ready;
    char reason[REASON_BYTES];
    int signal;
    int64_t begun_us, gone_ms;
    uint64_t commands, denied, bytes_in, bytes_out, torn_bytes;
    struct tape *tape; /* its recording; NULL: none */
    char protocol[PROTOCOL_BYTES];
    struct buf closing; /* JSON members that the session's own last word adds */
    struct session *next_ready, *next_dirty, *next_cut;
    bool dirty;
    const char *cut_why;
};

struct ledger {
    struct chain *chain;
    struct scribe *scribe; /* NULL: sessions are not recorded */
    struct ledger_recording recording;
    struct spool_folders folders;
    int inotify_fd;
    struct table *sessions;
    struct session *ready, **ready_end;
    struct session *dirty;            /* read on since the last write */
    struct session *cuts, **cuts_end; /* to be told */
    struct buf window;
    uint64_t min_free_bytes;
    int64_t due_ms;  /* the next round; -1: none */
    int64_t sync_ms; /* the next sync; -1: none */
    int64_t space_ms;
    int64_t now_us;      /* of this round's records */
    size_t round_frames; /* read in the last round */
    bool space_low, stuck, broken;
};

void
ledger_session_text(uint64_t session, char out[LEDGER_SESSION_TEXT_BYTES])
{
    (void)snprintf(out, LEDGER_SESSION_TEXT_BYTES, "%016llx", (unsigned long long)session);
}

static struct str
id_key(const uint64_t *id)
{
    return (struct str){(const char *)id, sizeof(*id)};
}

static struct session *
find(const struct ledger *l, uint64_t id)
{
    return table_get(l->sessions, id_key(&id));
}

static void
due_in(struct ledger *l, int64_t ms)
{
    int64_t at = clock_monotonic_ms() + ms;

    if (l->due_ms < 0 || at < l->due_ms)
        l->due_ms = at;
}

static void
make_ready(struct ledger *l, struct session *s)
{
    if (s->ready)
        return;
    s->ready = true;
    s->next_ready = NULL;
    *l->ready_end = s;
    l->ready_end = &s->next_ready;
}

static void
make_dirty(struct ledger *l, struct session *s)
{
    if (s->dirty)
        return;
    s->dirty = true;
    s->next_dirty = l->dirty;
    l->dirty = s;
}

/* --- records ------------------------------------------------------------------------------- */

static struct json *
begin(struct ledger *l, const char *type)
{
    return chain_begin(l->chain, clock_wall_us(), type);
}

/* Within a round, which ends with a flush. */
static enum err
end(struct ledger *l)
{
    enum err e = chain_end(l->chain);

    return e == ERR_LIMIT ? ERR_UNAVAILABLE : e; /* the queue is full: the disk is, too */
}

static enum err
end_and_wake(struct ledger *l)
{
    enum err e = end(l);

    due_in(l, LEDGER_BATCH_MS);
    return e;
}

/* What every record of a session begins with. `frame` 0: the ledger's own words about it. */
static struct json *
begin_session(struct ledger *l, const struct session *s, const char *type, uint64_t frame)
{
    struct json *j = chain_begin(l->chain, l->now_us, type);

    json_field_text(j, "session", s->text);
    if (frame != 0)
        json_field_uint(j, "n", frame);
    if (s->recovered)
        json_field_bool(j, "recovered", true);
    return j;
}

static void
put_members(struct json *j, const char *members)
{
    if (members != NULL)
        json_raw(j, str_from(members));
}

/* Says that a session has to end, and why, once. */
static void
cut_off(struct ledger *l, struct session *s, const char *event, const char *why)
{
    struct json *j;

    if (s->told_cut)
        return;
    s->told_cut = true;
    j = begin_session(l, s, "event", 0);
    put_members(j, s->who);
    json_field_text(j, "event", event);
    json_field_text(j, "text", why);
    json_field_uint(j, "offset", s->spool.offset);
    err_ignore(end(l));
    log_warning("session_cut_off", "session=%s event=%s at=%llu", s->text, event,
                (unsigned long long)s->spool.offset);
    s->cut_why = event;
    s->next_cut = NULL;
    if (s->gone)
        return;
    *l->cuts_end = s;
    l->cuts_end = &s->next_cut;
}

static enum err
record_intent(struct ledger *l, struct session *s, struct record *r)
{
    struct json *j = begin_session(l, s, "command_intent", s->spool.frames);
    enum err e;

    render_time(j, "session_time", r->wall_us);
    render_count(j, "command", r->intent.command);
    if (s->identity != NULL) {
        put_members(j, s->identity);
    } else {
        json_key(j, "identity");
        json_put_null(j);
    }
    render_intent(j, r);
    if ((e = end(l)) != OK)
        return e;
    s->commands++;
    s->denied += r->intent.verdict == VERDICT_DENY;
    return OK;
}

static enum err
record_outcome(struct ledger *l, struct session *s, const struct record *r)
{
    struct json *j = begin_session(l, s, "command_outcome", s->spool.frames);

    render_time(j, "session_time", r->wall_us);
    render_count(j, "command", r->outcome.command);
    put_members(j, s->who);
    render_outcome(j, &r->outcome);
    return end(l);
}

static enum err
record_decision(struct ledger *l, struct session *s, const struct record *r)
{
    struct json *j = begin_session(l, s, "decision", s->spool.frames);
    enum err e;

    render_time(j, "session_time", r->wall_us);
    render_count(j, "command", r->decision.command);
    put_members(j, s->who);
    render_decision(j, &r->decision);
    if ((e = end(l)) != OK)
        return e;
    s->denied += r->decision.decision != RECORD_APPROVED;
    return OK;
}

static enum err
record_note(struct ledger *l, struct session *s, const struct record *r)
{
    bool refused = r->kind == RECORD_REFUSED;
    struct json *j = begin_session(l, s, refused ? "session_refused" : "event", s->spool.frames);

    render_time(j, "session_time", r->wall_us);
    if (refused)
        put_members(j, s->origin);
    else
        put_members(j, s->who);
    json_field_str(j, refused ? "reason" : "event", r->note.event);
    json_field_str(j, "text", r->note.text);
    return end(l);
}

/* The session's last word: kept for its session_closed. */
static void
keep_closing(struct session *s, const struct record *r)
{
    struct json j = json_to(&s->closing);

    buf_reset(&s->closing);
    json_field_str(&j, "said", r->note.event);
    json_field_str(&j, "text", r->note.text);
    s->bytes_in = r->note.bytes_in;
    s->bytes_out = r->note.bytes_out;
}

static enum err
record_frame(struct ledger *l, struct session *s, struct record *r)
{
    switch (r->kind) {
    case RECORD_INTENT:
        return record_intent(l, s, r);
    case RECORD_OUTCOME:
        return record_outcome(l, s, r);
    case RECORD_DECISION:
        return record_decision(l, s, r);
    case RECORD_REFUSED:
    case RECORD_EVENT:
        return record_note(l, s, r);
    case RECORD_CLOSED:
        keep_closing(s, r);
        return OK;
    case RECORD_COLUMNS: /* for the recording only */
    case RECORD_ROWS:
    case RECORD_KEEP:
        return OK;
    default:
        return OK;
    }
}

static enum err
record_closed(struct ledger *l, struct session *s)
{
    struct json *j = begin_session(l, s, "session_closed", 0);

    put_members(j, s->who);
    put_members(j, s->origin);
    json_field_text(j, "reason", s->reason);
    if (s->signal != 0)
        json_field_uint(j, "signal", (uint64_t)s->signal);
    if (s->closing.len > 0 && !s->closing.failed)
        json_raw(j, buf_str(&s->closing));
    json_field_uint(j, "commands", s->commands);
    json_field_uint(j, "denied", s->denied);
    render_count(j, "bytes_in", s->bytes_in);
    render_count(j, "bytes_out", s->bytes_out);
    if (s->begun_us != 0 && l->now_us > s->begun_us)
        json_field_uint(j, "duration_us", (uint64_t)(l->now_us - s->begun_us));
    if (s->torn_bytes > 0)
        json_field_uint(j, "torn_bytes", s->torn_bytes);
    return end(l);
}

/* --- sessions ------------------------------------------------------------------------------ */

static void
free_session(struct session *s)
{
    free(s->identity);
    free(s->who);
    free(s->origin);
    buf_free(&s->closing);
    free(s);
}

static struct session *
new_session(uint64_t id)
{
    struct session *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->id = id;
    s->closing = buf_make(256 << 10);
    ledger_session_text(id, s->text);
    (void)snprintf(s->reason, sizeof(s->reason), "ended");
    return s;
}

static void
forget_cut(struct ledger *l, const struct session *s)
{
    struct session **at = &l->cuts;

    while (*at != NULL && *at != s)
        at = &(*at)->next_cut;
    if (*at == NULL)
        return;
    *at = s->next_cut;
    if (*at == NULL)
        l->cuts_end = at;
}

/* Its session_closed is in the file: nothing of it is needed any more. */
static void
remove_session(struct ledger *l, struct session *s)
{
    (void)table_remove(l->sessions, id_key(&s->id));
    forget_cut(l, s);
    scribe_free(l->scribe, s->tape);
    spool_close(&l->folders, &s->spool, true);
    free_session(s);
}

/* The members `fill` writes, as text of the caller's; NULL without memory. */
static char *
take_members(struct buf *b)
{
    buf_put_u8(b, '\0');
    if (b->failed) {
        buf_free(b);
        return NULL;
    }
    return b->ptr;
}

static char *
origin_members(struct str source, struct str protocol)
{
    struct buf b = buf_make(4096);
    struct json j = json_to(&b);

    json_field_str(&j, "source", source);
    json_field_str(&j, "protocol", protocol);
    return take_members(&b);
}

static char *
identity_members(const struct ledger_identity *identity)
{
    struct buf b = buf_make(SPOOL_IDENTITY_MAX / 2);
    struct json j = json_to(&b);

    json_key(&j, "identity");
    render_identity(&j, identity);
    json_field_str(&j, "resource", identity->resource);
    return take_members(&b);
}

static char *
who_members(const struct ledger_identity *identity)
{
    struct buf b = buf_make(SPOOL_IDENTITY_MAX / 4);
    struct json j = json_to(&b);

    json_field_str(&j, "subject", identity->subject);
    json_field_str(&j, "resource", identity->resource);
    return take_members(&b);
}

enum err
ledger_session_new(struct ledger *l, uint64_t session, struct str source, struct str protocol,
                   int *spool_fd)
{
    struct session *s;
    enum err e;

    *spool_fd = -1;
    if (!ledger_accepting(l))
        return fail(ERR_UNAVAILABLE, "%s", ledger_refusal(l));
    if (session == 0 || find(l, session) != NULL)
        return fail(ERR_EXISTS, "the session id %llu was used", (unsigned long long)session);
    if ((s = new_session(session)) == NULL ||
        (s->origin = origin_members(source, protocol)) == NULL) {
        free(s);
        return fail(ERR_NOMEM, "no memory for a session");
    }
    if ((e = spool_create(&l->folders, session, &s->spool, spool_fd)) != OK) {
        free_session(s);
        return e;
    }
    if ((e = table_put(l->sessions, id_key(&session), s, NULL)) != OK) {
        close(*spool_fd);
        *spool_fd = -1;
        spool_close(&l->folders, &s->spool, true);
        free_session(s);
        return e;
    }
    s->begun_us = clock_wall_us();
    (void)snprintf(s->protocol, sizeof(s->protocol), "%.*s", STR_ARG(protocol));
    return OK;
}

/* So that the next start can say whose a left-over spool is. */
static enum err
keep_identity(struct session *s)
{
    struct buf b = buf_make(SPOOL_IDENTITY_MAX);
    enum err e;

    buf_put_text(&b, s->identity);
    buf_put_u8(&b, '\n');
    buf_put_text(&b, s->who);
    if ((e = buf_ok(&b)) == OK)
        e = spool_keep_identity(&s->spool, buf_str(&b));
    buf_free(&b);
    return e;
}

/* What the recording's first event says of the session. */
static void
put_opening(struct json *j, const struct session *s, const struct ledger_identity *identity)
{
    json_field_text(j, "session", s->text);
    render_time(j, "time", s->begun_us);
    json_field_str(j, "subject", identity->subject);
    json_field_str(j, "issuer", identity->issuer);
    json_key(j, "chain");
    json_open(j, '[');
    for (size_t i = 0; i < identity->delegation.n; i++)
        json_str(j, identity->delegation.items[i]);
    json_close(j, ']');
    json_field_str(j, "resource", identity->resource);
    render_optional(j, "database", identity->database);
    render_optional(j, "client", identity->client);
    render_optional(j, "policy_hash", identity->policy_hash);
    put_members(j, s->origin);
}

static enum err
begin_tape(struct ledger *l, struct session *s, const struct ledger_identity *identity)
{
    struct buf members = buf_make(OPENING_BYTES_MAX);
    struct json j = json_to(&members);
    enum err e;

    if (l->scribe == NULL)
        return OK;
    put_opening(&j, s, identity);
    if ((e = buf_ok(&members)) == OK)
        e = scribe_begin(l->scribe, s->id, identity->resource, str_from(s->protocol), s->begun_us,
                         false, buf_str(&members), &s->tape);
    buf_free(&members);
    if (e != OK) /* a session that cannot be recorded does not go on */
        cut_off(l, s, "recording_failed", "the session's recording cannot be begun");
    return e;
}

enum err
ledger_session_identify(struct ledger *l, uint64_t session, const struct ledger_identity *identity)
{
    struct session *s = find(l, session);
    struct json *j;
    enum err e;

    if (s == NULL)
        return fail(ERR_NOT_FOUND, "there is no session %llu", (unsigned long long)session);
    if (s->identity != NULL)
        return fail(ERR_EXISTS, "session %s is identified already", s->text);
    if ((s->who = who_members(identity)) == NULL ||
        (s->identity = identity_members(identity)) == NULL) {
        free(s->who);
        s->who = NULL;
        return fail(ERR_NOMEM, "no memory for an identity");
    }
    make_ready(l, s);
    if ((e = keep_identity(s)) != OK)
        log_warning("identity_not_kept", "session=%s error=%s", s->text, err_text());

    l->now_us = clock_wall_us();
    j = begin_session(l, s, "session_opened", 0);
    put_members(j, s->origin);
    put_members(j, s->identity);
    render_optional(j, "database", identity->database);
    render_optional(j, "target", identity->target);
    render_optional(j, "client", identity->client);
    render_optional(j, "policy_hash", identity->policy_hash);
    if (identity->expires_us != 0)
        render_time(j, "expires", identity->expires_us);
    if ((e = end_and_wake(l)) != OK)
        return e;
    return begin_tape(l, s, identity);
}

enum err
ledger_session_refused(struct ledger *l, uint64_t session, const struct ledger_refusal *refusal)
{
    struct session *s = find(l, session);
    struct json *j;

    if (s != NULL) {
        l->now_us = clock_wall_us();
        j = begin_session(l, s, "session_refused", 0);
        put_members(j, s->origin);
    } else {
        char text[LEDGER_SESSION_TEXT_BYTES];

        ledger_session_text(session, text);
        j = begin(l, "session_refused");
        if (session != 0)
            json_field_text(j, "session", text);
        json_field_str(j, "source", refusal->source);
        json_field_str(j, "protocol", refusal->protocol);
    }
    json_field_str(j, "reason", refusal->reason);
    json_field_str(j, "text", refusal->text);
    render_optional(j, "resource", refusal->resource);
    render_optional(j, "claimed_subject", refusal->claimed_subject);
    render_optional(j, "claimed_issuer", refusal->claimed_issuer);
    render_optional(j, "token_id", refusal->token_id);
    return end_and_wake(l);
}

enum err
ledger_session_gone(struct ledger *l, uint64_t session, const char *reason, int signal)
{
    struct session *s = find(l, session);

    if (s == NULL)
        return fail(ERR_NOT_FOUND, "there is no session %llu", (unsigned long long)session);
    if (s->gone)
        return OK;
    s->gone = true;
    s->gone_ms = clock_monotonic_ms();
    s->signal = signal;
    (void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
    make_ready(l, s);
    due_in(l, LEDGER_BATCH_MS);
    return OK;
}

size_t
ledger_session_count(const struct ledger *l)
{
    return table_count(l->sessions);
}

/* --- a round ------------------------------------------------------------------------------- */

static void
make_each_ready(struct str key, void *value, void *arg)
{
    (void)key;
    make_ready(arg, value);
}

static void
make_all_ready(struct ledger *l)
{
    table_each(l->sessions, make_each_ready, l);
}

/* Which spools were written to. */
static void
read_inotify(struct ledger *l)
{
    _Alignas(struct inotify_event) char events[4 << 10];
    struct session *s;
    uint64_t id;
    ssize_t n;

    while ((n = read(l->inotify_fd, events, sizeof(events))) > 0 || (n < 0 && errno == EINTR))
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(events + at);

            if ((event->mask & IN_Q_OVERFLOW) != 0)
                make_all_ready(l);
            else if (event->len > 0 && spool_parse_name(event->name, &id) &&
                     (s = find(l, id)) != NULL)
                make_ready(l, s);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
}

/* Notes how far each spool reaches now, and which sessions are gone now. */
static enum err
look(struct ledger *l)
{
    enum err e;

    l->now_us = clock_wall_us();
    read_inotify(l);
    for (struct session *s = l->ready; s != NULL; s = s->next_ready) {
        if ((e = spool_size(&s->spool, &s->limit)) != OK)
            return e;
        s->gone_before = s->gone;
        if (s->cut && s->limit > 0)
            spool_discard(&s->spool);
        else if (!s->cut && s->limit < s->spool.offset) {
            cut_off(l, s, "spool_corrupt", "the spool became shorter");
            s->cut = true;
        } else if (!s->cut && s->limit - s->spool.offset > LEDGER_BACKLOG_MAX)
            cut_off(l, s, "spool_backlog", "the session writes faster than it is recorded");
    }
    return OK;
}

/* Writes what is queued, then remembers how far the spools were read. */
static enum err
flush(struct ledger *l)
{
    bool wrote = chain_pending(l->chain) > 0;
    enum err e = chain_write(l->chain);

    if (e == ERR_UNAVAILABLE && !l->stuck)
        log_error("ledger_full", "error=%s", err_text());
    l->stuck = e != OK;
    if (e != OK)
        return e;
    if (wrote && l->sync_ms < 0)
        l->sync_ms = clock_monotonic_ms() + LEDGER_SYNC_MS;
    while (l->dirty != NULL) {
        struct session *s = l->dirty;

        if ((e = spool_commit(&s->spool)) != OK)
            return e;
        l->dirty = s->next_dirty;
        s->dirty = false;
    }
    return OK;
}

/* Into the recording first: it takes the same frame twice if the chain cannot take it now. */
static enum err
tape_frame(struct ledger *l, struct session *s, const struct record *r)
{
    return s->tape == NULL ? OK : scribe_frame(l->scribe, s->tape, s->spool.frames, r);
}

/* The frames of l->window. `*frames_used` is 0 when the first is not whole. */
static enum err
read_frames(struct ledger *l, struct session *s, size_t *used)
{
    struct str rest = buf_str(&l->window);
    struct record r;
    size_t n;
    enum err e;

    *used = 0;
    while (rest.len > 0 && (e = record_read(rest, &r, &n)) != ERR_TRUNCATED) {
        if (e != OK) {
            cut_off(l, s, "spool_corrupt", err_text());
            s->cut = true;
            return OK;
        }
        s->spool.frames++;
        l->round_frames++;
        if (s->spool.frames > s->skip_frames &&
            ((e = tape_frame(l, s, &r)) != OK || (e = record_frame(l, s, &r)) != OK)) {
            s->spool.frames--;
            return e;
        }
        s->spool.offset += n;
        *used += n;
        rest = str_skip(rest, n);
        make_dirty(l, s);
        if (chain_pending(l->chain) >= WRITE_BYTES && (e = flush(l)) != OK)
            return e;
    }
    return OK;
}

/* Reads on in one spool, up to where it reached when the round began. */
static enum err
read_session(struct ledger *l, struct session *s)
{
    uint64_t turn_end = s->spool.offset + SESSION_TURN_BYTES;
    size_t used = 1;
    enum err e;

    while (!s->cut && used > 0 && s->spool.offset < s->limit && s->spool.offset < turn_end)
        if ((e = spool_read(&s->spool, s->limit, READ_STEP, &l->window)) != OK ||
            (e = read_frames(l, s, &used)) != OK)
            return e;
    s->torn_bytes = !s->cut && used == 0 ? s->limit - s->spool.offset : 0;
    return OK;
}

/* Whether the session left anything to say: a connection that came and went is not recorded. */
static bool
deserves_closing(const struct session *s)
{
    return s->identity != NULL || s->commands > 0 || s->recovered || s->told_cut ||
           s->signal != 0 || s->torn_bytes > 0;
}

static enum err
end_tape(struct ledger *l, struct session *s)
{
    struct buf members = buf_make(OPENING_BYTES_MAX);
    struct json j = json_to(&members);
    enum err e;

    if (s->tape == NULL)
        return OK;
    json_field_text(&j, "reason", s->reason);
    if (s->signal != 0)
        json_field_uint(&j, "signal", (uint64_t)s->signal);
    if (s->closing.len > 0 && !s->closing.failed)
        json_raw(&j, buf_str(&s->closing));
    json_field_uint(&j, "commands", s->commands);
    json_field_uint(&j, "denied", s->denied);
    e = buf_ok(&members) == OK ? scribe_end(l->scribe, s->tape, buf_str(&members)) : ERR_NOMEM;
    buf_free(&members);
    if (e != OK)
        return e;
    scribe_free(l->scribe, s->tape);
    s->tape = NULL;
    return OK;
}

/* Nobody holds the spool: whatever it holds is final. */
static enum err
finish_session(struct ledger *l, struct session *s, bool *again)
{
    uint64_t size;
    enum err e;

    *again = true;
    if (!spool_is_final(&s->spool)) {
        if (!s->held_warned && clock_monotonic_ms() - s->gone_ms > HELD_WARNING_MS) {
            log_warning("spool_held", "session=%s", s->text);
            s->held_warned = true;
        }
        due_in(l, RETRY_MS);
        return OK;
    }
    if ((e = spool_size(&s->spool, &size)) != OK)
        return e;
    if (!s->cut && size > s->limit) { /* written since the round began */
        due_in(l, 0);
        return OK;
    }
    if (!s->closed &&
        ((e = end_tape(l, s)) != OK || (deserves_closing(s) && (e = record_closed(l, s)) != OK)))
        return e;
    s->closed = true; /* in the queue: not again if the disk is full */
    if ((e = flush(l)) != OK)
        return e;
    *again = false;
    return OK;
}

/* `*again`: it stays on the list of the ready. `*over`: it may be forgotten. */
static enum err
serve_session(struct ledger *l, struct session *s, bool *again, bool *over)
{
    enum err e;

    *again = *over = false;
    if (s->identity == NULL && !s->gone_before)
        return OK; /* identify() or gone() bring it back */
    if ((e = read_session(l, s)) != OK)
        return e;
    if (!s->cut && s->spool.offset + s->torn_bytes < s->limit) {
        *again = true;
        due_in(l, 0);
        return OK;
    }
    if (!s->gone_before)
        return OK;
    if ((e = finish_session(l, s, again)) == OK)
        *over = !*again;
    return e;
}

/* Each session that was ready when the round began has its turn once. */
static enum err
serve_ready(struct ledger *l)
{
    struct session *s, *list = l->ready;
    enum err e = OK;
    bool again, over;

    l->ready = NULL;
    l->ready_end = &l->ready;
    while ((s = list) != NULL) {
        list = s->next_ready;
        s->ready = false;
        if (e != OK) { /* the disk refuses: keep the rest for later */
            make_ready(l, s);
            continue;
        }
        e = serve_session(l, s, &again, &over);
        if (e != OK || again)
            make_ready(l, s);
        else if (over)
            remove_session(l, s);
    }
    return e;
}

static enum err
pass(struct ledger *l, void (*catch_up)(void *arg), void *arg)
{
    enum err e;

    l->due_ms = -1;
    l->round_frames = 0;
    if (l->stuck && (e = flush(l)) != OK)
        goto out;
    if ((e = look(l)) != OK)
        goto out;
    if (catch_up != NULL)
        catch_up(arg);
    if ((e = serve_ready(l)) == OK)
        e = flush(l);
    if (l->window.capacity > WINDOW_KEPT)
        buf_free(&l->window);
out:
    if (e == ERR_UNAVAILABLE) {
        due_in(l, RETRY_MS);
        return OK;
    }
    return e;
}

static enum err
sync_chain(struct ledger *l)
{
    l->sync_ms = -1;
    return chain_sync(l->chain);
}

static enum err
end_due_chunks(struct ledger *l)
{
    size_t before = chain_pending(l->chain);
    enum err e;

    if (l->scribe == NULL)
        return OK;
    l->now_us = clock_wall_us();
    e = scribe_round(l->scribe);
    if (chain_pending(l->chain) > before)
        due_in(l, LEDGER_BATCH_MS);
    return e;
}

static enum err
remember(struct ledger *l, enum err e)
{
    if (e == OK)
        return OK;
    l->broken = true;
    log_error("ledger_failed", "error=%s", err_text());
    return e;
}

enum err
ledger_round(struct ledger *l, void (*catch_up)(void *arg), void *arg)
{
    int64_t now = clock_monotonic_ms();
    enum err e = OK;

    if (l->broken)
        return fail(ERR_IO, "the audit ledger failed before");
    if (l->due_ms >= 0 && now >= l->due_ms)
        e = pass(l, catch_up, arg);
    if (e == OK)
        e = end_due_chunks(l);
    if (e == OK && l->sync_ms >= 0 && now >= l->sync_ms)
        e = sync_chain(l);
    return remember(l, e);
}

enum err
ledger_drain(struct ledger *l, void (*catch_up)(void *arg), void *arg)
{
    enum err e;

    if (l->broken)
        return fail(ERR_IO, "the audit ledger failed before");
    make_all_ready(l);
    do
        e = pass(l, catch_up, arg);
    while (e == OK && l->due_ms >= 0 && l->due_ms <= clock_monotonic_ms());
    if (e == OK)
        e = sync_chain(l);
    return remember(l, e);
}

enum err
ledger_flush(struct ledger *l, bool sync)
{
    enum err e;

    if (l->broken)
        return fail(ERR_IO, "the audit ledger failed before");
    if ((e = flush(l)) == ERR_UNAVAILABLE) {
        due_in(l, RETRY_MS);
        return e;
    }
    if (e == OK && sync)
        e = sync_chain(l);
    return remember(l, e);
}

int
ledger_poll_fd(const struct ledger *l)
{
    return l->due_ms >= 0 ? -1 : l->inotify_fd;
}

void
ledger_woken(struct ledger *l)
{
    due_in(l, l->round_frames > LEDGER_BUSY_FRAMES ? LEDGER_BUSY_BATCH_MS : LEDGER_BATCH_MS);
}

int
ledger_timeout_ms(const struct ledger *l)
{
    int64_t at = l->due_ms, left = -1;
    int chunk = l->scribe == NULL ? -1 : scribe_timeout_ms(l->scribe);

    if (l->sync_ms >= 0 && (at < 0 || l->sync_ms < at))
        at = l->sync_ms;
    if (at >= 0 && (left = at - clock_monotonic_ms()) < 0)
        left = 0;
    if (chunk >= 0 && (left < 0 || chunk < left))
        left = chunk;
    if (left < 0)
        return table_count(l->sessions) > 0 ? SPACE_CHECK_MS : -1;
    return left > SPACE_CHECK_MS ? SPACE_CHECK_MS : (int)left;
}

static bool
has_space(int directory, uint64_t min_free_bytes)
{
    struct statvfs fs;

    return fstatvfs(directory, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize >= min_free_bytes;
}

static void
check_space(struct ledger *l)
{
    int64_t now = clock_monotonic_ms();
    bool low;

    if (l->space_ms >= 0 && now - l->space_ms < SPACE_CHECK_MS)
        return;
    l->space_ms = now;
    low = !has_space(chain_directory(l->chain), l->min_free_bytes) ||
          (l->scribe != NULL && !has_space(scribe_directory(l->scribe), l->min_free_bytes));
    if (low != l->space_low)
        log_warning(low ? "ledger_space_low" : "ledger_space_regained", "min_free_bytes=%llu",
                    (unsigned long long)l->min_free_bytes);
    l->space_low = low;
}

bool
ledger_accepting(const struct ledger *l)
{
    check_space((struct ledger *)(uintptr_t)l); /* only what it last saw */
    return !l->space_low && !l->stuck && !l->broken &&
           (l->scribe == NULL || !scribe_is_stuck(l->scribe));
}

const char *
ledger_refusal(const struct ledger *l)
{
    if (l->broken)
        return "the audit ledger failed";
    if (l->stuck)
        return "the audit ledger cannot be written";
    if (l->scribe != NULL && scribe_is_stuck(l->scribe))
        return "the recordings cannot be written";
    return l->space_low ? "the audit ledger's disk is almost full" : "";
}

bool
ledger_next_cut(struct ledger *l, uint64_t *session, const char **why)
{
    struct session *s = l->cuts;

    if (s == NULL)
        return false;
    l->cuts = s->next_cut;
    if (l->cuts == NULL)
        l->cuts_end = &l->cuts;
    *session = s->id;
    *why = s->cut_why;
    return true;
}

/* --- other records ------------------------------------------------------------------------- */

enum err
ledger_service_event(struct ledger *l, enum ledger_event event, struct str service,
                     struct str detail)
{
    static const char *const types[] = {
        [LEDGER_SERVICE_STARTED] = "service_started",
        [LEDGER_SERVICE_STOPPED] = "service_stopped",
        [LEDGER_SERVICE_DIED] = "service_died",
    };
    struct json *j = begin(l, types[event]);

    json_field_str(j, "service", service);
    render_optional(j, "detail", detail);
    return end_and_wake(l);
}

enum err
ledger_configuration_loaded(struct ledger *l, struct str path, struct str digest,
                            struct str policy_hash)
{
    struct json *j = begin(l, "configuration_loaded");

    json_field_str(j, "path", path);
    json_field_str(j, "digest", digest);
    render_optional(j, "policy_hash", policy_hash);
    return end_and_wake(l);
}

enum err
ledger_admin(struct ledger *l, struct str actor, struct str action, struct str target,
             struct str detail)
{
    struct json *j = begin(l, "admin_action");
    enum err e;

    json_field_str(j, "actor", actor);
    json_field_str(j, "action", action);
    render_optional(j, "target", target);
    render_optional(j, "detail", detail);
    if ((e = end(l)) != OK)
        return e;
    return ledger_flush(l, true) == OK ? OK : ERR_UNAVAILABLE;
}

/* Bytes as hexadecimal digits, and digits as they are. */
static void
put_binding(struct json *j, struct str hash)
{
    struct buf digits = buf_make(4 * LINE_HEX_BYTES);

    if (hash.len == LINE_HASH_BYTES) {
        encode_hex(&digits, hash);
        hash = buf_str(&digits);
    }
    render_optional(j, "binding_hash", hash);
    buf_free(&digits);
}

enum err
ledger_approval(struct ledger *l, const struct ledger_approval *approval)
{
    char id[LEDGER_SESSION_TEXT_BYTES];
    struct json *j = begin(l, "approval");
    enum err e;

    ledger_session_text(approval->session, id);
    if (approval->session != 0)
        json_field_text(j, "session", id);
    json_field_str(j, "request", approval->request);
    json_field_str(j, "event", approval->event);
    render_optional(j, "actor", approval->actor);
    render_optional(j, "rule", approval->rule);
    put_binding(j, approval->binding_hash);
    render_optional(j, "text", approval->text);
    if ((e = end(l)) != OK)
        return e;
    return ledger_flush(l, true) == OK ? OK : ERR_UNAVAILABLE;
}

enum err
ledger_note(struct ledger *l, uint64_t session, struct str event, struct str text)
{
    char id[LEDGER_SESSION_TEXT_BYTES];
    struct json *j = begin(l, "event");

    ledger_session_text(session, id);
    if (session != 0)
        json_field_text(j, "session", id);
    json_field_str(j, "event", event);
    json_field_str(j, "text", text);
    return end_and_wake(l);
}

/* --- start and end ------------------------------------------------------------------------- */

/* Identity and who, as kept; nothing of them if that is not what it was written as. */
static void
restore_identity(struct session *s, struct str kept)
{
    struct str identity, who = str_cut(kept, '\n', &identity);
    struct buf b = buf_make(2 * SPOOL_IDENTITY_MAX);
    json_t *parsed;

    if (who.len == 0)
        return;
    buf_printf(&b, "{%.*s,%.*s}", STR_ARG(identity), STR_ARG(who));
    parsed = b.failed ? NULL : json_loadb(b.ptr, b.len, JSON_ALLOW_NUL, NULL);
    buf_free(&b);
    if (parsed == NULL)
        return;
    json_decref(parsed);
    s->identity = strndup(identity.ptr, identity.len);
    s->who = strndup(who.ptr, who.len);
}

/* The text of a member of `who`, in an arena of the caller's: a buffer. */
static struct str
resource_of(const char *who, struct buf *out)
{
    struct buf whole = buf_make(SPOOL_IDENTITY_MAX);
    json_t *parsed;

    buf_printf(&whole, "{%s}", who);
    parsed = whole.failed ? NULL : json_loadb(whole.ptr, whole.len, JSON_ALLOW_NUL, NULL);
    buf_free(&whole);
    if (json_is_string(json_object_get(parsed, "resource")))
        buf_put_text(out, json_string_value(json_object_get(parsed, "resource")));
    json_decref(parsed);
    return buf_str(out);
}

/* What a left-over spool still holds goes into another segment, with another key. */
static void
resume_tape(struct ledger *l, struct session *s)
{
    struct buf members = buf_make(OPENING_BYTES_MAX), resource = buf_make(1024);
    struct json j = json_to(&members);

    if (l->scribe == NULL || s->identity == NULL)
        return;
    json_field_text(&j, "session", s->text);
    put_members(&j, s->who);
    if (members.failed || scribe_begin(l->scribe, s->id, resource_of(s->who, &resource), STR(""), 0,
                                       true, buf_str(&members), &s->tape) != OK)
        log_error("recording_not_resumed", "session=%s", s->text);
    buf_free(&members);
    buf_free(&resource);
}

static enum err
recover_session(struct ledger *l, uint64_t id)
{
    struct session *s = new_session(id);
    struct buf kept = buf_make(SPOOL_IDENTITY_MAX);
    enum err e;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for a session");
    if ((e = spool_open(&l->folders, id, &s->spool, &kept)) != OK) {
        buf_free(&kept);
        free_session(s);
        return e;
    }
    restore_identity(s, buf_str(&kept));
    buf_free(&kept);
    s->recovered = s->gone = true;
    resume_tape(l, s);
    s->gone_ms = clock_monotonic_ms();
    (void)snprintf(s->reason, sizeof(s->reason), "gateway ended");
    if ((e = table_put(l->sessions, id_key(&id), s, NULL)) != OK) {
        spool_close(&l->folders, &s->spool, false);
        free_session(s);
    }
    return e;
}

static enum err
recover_spools(struct ledger *l)
{
    int fd = openat(l->folders.spool_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    enum err e = OK;
    uint64_t id;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fail_errno(ERR_IO, "cannot read the ledger's spools");
    }
    while (e == OK && (entry = readdir(dir)) != NULL)
        if (spool_parse_name(entry->d_name, &id))
            e = recover_session(l, id);
    closedir(dir);
    return e;
}

/* A record that an earlier gateway wrote from a spool but did not note as read: its number says
 * how far that spool really is. Records of sessions begin `"session":"…","n":N`. */
static void
note_recorded(void *arg, struct str text)
{
    static const struct str session_key = STR_INIT(",\"session\":\""),
                            n_key = STR_INIT("\",\"n\":");
    struct ledger *l = arg;
    char name[sizeof("0123456789abcdef.spool")];
    struct session *s;
    struct str digits;
    uint64_t id, n;
    size_t at = 0;

    /* Nothing in the head can look like it: seq, time and type are plain words. */
    while (at + session_key.len + 17 < text.len && at < 160 &&
           !str_starts(str_skip(text, at), session_key))
        at++;
    if (!str_starts(str_skip(text, at), session_key))
        return;
    text = str_skip(text, at + session_key.len);
    (void)snprintf(name, sizeof(name), "%.*s.spool", text.len < 16 ? 0 : 16, text.ptr);
    if (!spool_parse_name(name, &id) || (s = find(l, id)) == NULL)
        return;
    text = str_skip(text, 16);
    if (!str_starts(text, n_key))
        return;
    (void)str_cut(str_skip(text, n_key.len), ',', &digits);
    if (str_to_uint(digits, UINT64_MAX, &n) && n > s->skip_frames)
        s->skip_frames = n;
}

static enum err
record_recovery(struct ledger *l)
{
    const char *file;
    uint64_t bytes = chain_cut(l->chain, &file);
    struct json *j;

    if (bytes == 0)
        return OK;
    log_warning("ledger_recovered", "file=%s cut_bytes=%llu", file, (unsigned long long)bytes);
    j = begin(l, "ledger_recovered");
    json_field_text(j, "file", file);
    json_field_uint(j, "cut_bytes", bytes);
    return end_and_wake(l);
}

static enum err
watch(struct ledger *l)
{
    char path[32];

    l->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (l->inotify_fd < 0)
        return fail_errno(ERR_IO, "cannot watch the ledger's spools");
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", l->folders.spool_fd);
    if (inotify_add_watch(l->inotify_fd, path, IN_MODIFY) < 0)
        return fail_errno(ERR_IO, "cannot watch the ledger's spools");
    return OK;
}

static void
tell_live(void *arg, uint64_t session, struct str line)
{
    struct ledger *l = arg;

    if (l->recording.live != NULL)
        l->recording.live(l->recording.arg, session, line);
}

static enum err
anchor_chunk(void *arg, uint64_t session, unsigned segment, const struct recording_anchor *anchor)
{
    struct ledger *l = arg;
    struct session *s = find(l, session);
    struct json *j;

    if (s == NULL) /* its tape is freed with it */
        return OK;
    j = begin_session(l, s, "recording", 0);
    put_members(j, s->who);
    json_field_uint(j, "segment", segment);
    json_field_uint(j, "chunk", anchor->chunk);
    json_field_uint(j, "bytes", anchor->bytes);
    json_field_bool(j, "last", anchor->last);
    json_key(j, "sha256");
    buf_put_u8(j->out, '"');
    line_put_hash(j->out, anchor->hash);
    buf_put_u8(j->out, '"');
    return end(l);
}

static enum err
open_scribe(struct ledger *l, const struct ledger_recording *recording)
{
    struct scribe_options options = {.anchor = anchor_chunk, .arg = l};

    if (recording == NULL)
        return OK;
    l->recording = *recording;
    options.directory = recording->directory;
    options.public_key = recording->public_key;
    options.live = tell_live;
    return scribe_open(&options, &l->scribe);
}

enum err
ledger_set_recording_key(struct ledger *l, struct str pem)
{
    if (l->scribe == NULL)
        return fail(ERR_UNSUPPORTED, "sessions are not recorded");
    return scribe_set_key(l->scribe, pem);
}

enum err
ledger_watch(struct ledger *l, uint64_t session, bool on)
{
    struct session *s = find(l, session);

    if (s == NULL || s->tape == NULL)
        return fail(ERR_NOT_FOUND, "the session is over, or is not recorded");
    scribe_watch(l->scribe, s->tape, on);
    return OK;
}

static void
stop_watching(struct str key, void *value, void *arg)
{
    struct ledger *l = arg;
    struct session *s = value;

    (void)key;
    if (s->tape != NULL)
        scribe_watch(l->scribe, s->tape, false);
}

void
ledger_watch_none(struct ledger *l)
{
    table_each(l->sessions, stop_watching, l);
}

static enum err
open_all(struct ledger *l, const struct ledger_options *options)
{
    enum err e;

    if ((e = chain_open(options->directory, options->file_bytes, &l->chain)) != OK ||
        (e = spool_folders_open(chain_directory(l->chain), &l->folders)) != OK ||
        (e = open_scribe(l, options->recording)) != OK || (e = watch(l)) != OK ||
        (e = record_recovery(l)) != OK || (e = recover_spools(l)) != OK)
        return e;
    if (table_count(l->sessions) > 0) {
        if ((e = chain_each_recent(l->chain, note_recorded, l)) != OK)
            return e;
        make_all_ready(l);
        due_in(l, 0);
    }
    return OK;
}

enum err
ledger_open(const struct ledger_options *options, struct ledger **out)
{
    struct ledger *l = calloc(1, sizeof(*l));
    enum err e;

    if (l == NULL)
        return fail(ERR_NOMEM, "no memory for the ledger");
    l->folders = (struct spool_folders){-1, -1};
    l->inotify_fd = -1;
    l->ready_end = &l->ready;
    l->cuts_end = &l->cuts;
    l->window = buf_make(RECORD_FRAME_MAX + READ_STEP);
    l->min_free_bytes = options->min_free_bytes;
    l->due_ms = l->sync_ms = l->space_ms = -1;
    if ((l->sessions = table_new(LEDGER_SESSIONS_MAX)) == NULL)
        e = fail(ERR_NOMEM, "no memory for the ledger");
    else
        e = open_all(l, options);
    if (e != OK) {
        l->broken = true; /* nothing is written on the way out */
        ledger_close(l);
        return e;
    }
    *out = l;
    return OK;
}

static void
close_each(struct str key, void *value, void *arg)
{
    struct ledger *l = arg;
    struct session *s = value;

    (void)key;
    scribe_free(l->scribe, s->tape);
    spool_close(&l->folders, &s->spool, false);
    free_session(s);
}

void
ledger_close(struct ledger *l)
{
    if (l == NULL)
        return;
    if (!l->broken)
        err_ignore(ledger_drain(l, NULL, NULL)); /* a failure was logged */
    if (l->sessions != NULL)
        table_each(l->sessions, close_each, l);
    if (!l->broken) /* the anchors of what was still open */
        err_ignore(ledger_flush(l, true));
    table_free(l->sessions);
    scribe_close(l->scribe);
    if (l->inotify_fd >= 0)
        close(l->inotify_fd);
    spool_folders_close(&l->folders);
    chain_close(l->chain);
    buf_free(&l->window);
    free(l);
}

void
ledger_reconfigure(struct ledger *l, uint64_t file_bytes, uint64_t min_free_bytes)
{
    chain_set_file_bytes(l->chain, file_bytes);
    l->min_free_bytes = min_free_bytes;
    l->space_ms = -1;
}
