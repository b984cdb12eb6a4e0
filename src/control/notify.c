#include "control/notify.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/notify_channel.h"
#include "fiber/fiber.h"
#include "store/outbox.h"

enum {
    CLAIM_MAX = 32,
    QUEUE_MAX = 64, /* of one channel; more of it go back to the outbox for a while */
    LEASE_SECONDS = 60,
    LEASE_MARGIN_SECONDS = 20, /* a transfer fits into it */
    LOOK_MS = 1000,
    BUSY_SECONDS = 3,
    REST_SECONDS_MAX = 3600, /* that a receiver may ask for */
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_CHANNEL_MAX_MS = 5 * 60 * 1000,
    BACKOFF_ROW_MAX_MS = 30 * 60 * 1000,
    JOB_ARENA_MAX = 32 << 20,
    ANSWERS_MAX = 64, /* to Slack, at a time */
    ANSWER_ATTEMPTS = 3,
    PRUNE_MS = 10 * 60 * 1000,
    KEEP_DAYS = 7,
};

/* A row of the outbox that is to be sent by this process before its lease ends. */
struct job {
    struct job *next;
    struct arena *arena;
    struct outbox_entry entry;
    int64_t lease_us;
};

/* How it stands with a channel. By name, for channels come and go with configurations. */
struct lane {
    char name[256];
    struct job *first, **last;
    size_t n;
    bool sending;
    unsigned failures; /* in a row: of the channel and not of single messages */
    int64_t not_before_us;
};

struct notify {
    struct db *db;
    struct notify_channels *channels;
    struct lane lanes[NOTIFY_CHANNELS_MAX];
    size_t n_lanes;
    struct fiber *looker;
    struct fiber_condition wake, idle;
    bool woken, stopping;
    atomic_bool stop;
    unsigned sends, answers;
    int64_t pruned_ms;
    struct notify_counts counts;
};

struct notify_channels *
notify_channels_of(const struct notify *n)
{
    return n->channels;
}

struct notify_counts
notify_counts(const struct notify *n)
{
    return n->counts;
}

/* --- when again ----------------------------------------------------------------------------------
 */

/* Twice as long each time, up to a maximum; then between three quarters and five quarters of that,
 * so that what failed together does not come again together. */
static int64_t
backoff_us(uint64_t failures, int64_t max_ms)
{
    int64_t ms = BACKOFF_FIRST_MS;
    uint32_t random = 0;

    for (uint64_t i = 1; i < failures && ms < max_ms; i++)
        ms *= 2;
    if (ms > max_ms)
        ms = max_ms;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
        random = 0;
    return (ms * 3 / 4 + (int64_t)(random % (uint32_t)(ms / 2 + 1))) * 1000;
}

/* --- jobs and lanes ---------------------------------------------------------------------- */

static void
free_job(struct job *job)
{
    arena_free(job->arena);
    free(job);
}

/* A lane that nobody needs: a new one, or that of a channel which is no more. */
static struct lane *
free_lane(struct notify *n)
{
    if (n->n_lanes < NOTIFY_CHANNELS_MAX)
        return &n->lanes[n->n_lanes++];
    for (size_t i = 0; i < n->n_lanes; i++) {
        struct lane *lane = &n->lanes[i];

        if (!lane->sending && lane->first == NULL &&
            notify_channel_find(n->channels, str_from(lane->name)) == NULL)
            return lane;
    }
    return NULL;
}

/* The lane of a channel; NULL: all are taken by other channels. */
static struct lane *
find_lane(struct notify *n, struct str name)
{
    struct lane *lane;

    for (size_t i = 0; i < n->n_lanes; i++)
        if (str_is(name, n->lanes[i].name))
            return &n->lanes[i];
    if (name.len >= sizeof(lane->name) || (lane = free_lane(n)) == NULL)
        return NULL;
    *lane = (struct lane){.last = &lane->first};
    memcpy(lane->name, name.ptr, name.len);
    return lane;
}

static struct job *
take_first(struct lane *lane)
{
    struct job *job = lane->first;

    if (job == NULL)
        return NULL;
    lane->first = job->next;
    if (lane->first == NULL)
        lane->last = &lane->first;
    lane->n--;
    return job;
}

/* Whether the channel failed lately, and is left alone. A clock that was set back does not make
 * that longer than it may be. */
static bool
is_resting(const struct lane *lane, int64_t now_us)
{
    return lane->not_before_us > now_us &&
           lane->not_before_us - now_us <= (int64_t)REST_SECONDS_MAX * 1000000;
}

static void
complain(const char *what, const struct outbox_entry *entry)
{
    log_warning("outbox", "problem=%s channel=%.*s request=%.*s error=%s", what,
                STR_ARG(entry->channel), STR_ARG(entry->request), err_text());
}

/* Back to the outbox, unsent. */
static void
put_back(struct notify *n, const struct outbox_entry *entry, int64_t next_us, struct str error)
{
    enum err e = outbox_retry(n->db, entry->id, entry->attempts, next_us, error);

    if (e != OK && e != ERR_NOT_FOUND)
        complain("not_put_back", entry); /* its lease ends, and it comes again */
}

static void
abandon(struct notify *n, const struct outbox_entry *entry, const char *why)
{
    n->counts.given_up++;
    log_error("notification_given_up", "channel=%.*s event=%.*s request=%.*s reason=%s",
              STR_ARG(entry->channel), STR_ARG(entry->event), STR_ARG(entry->request), why);
    if (outbox_abandon(n->db, entry->id, entry->attempts, clock_wall_us(), str_from(why)) != OK)
        complain("not_abandoned", entry);
}

static bool
copy_entry(struct job *job, const struct outbox_entry *entry)
{
    struct str *const texts[] = {&job->entry.id, &job->entry.channel, &job->entry.event,
                                 &job->entry.request};

    job->entry = *entry;
    job->entry.payload = job->entry.error = (struct str){"", 0};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if ((*texts[i] = arena_str(job->arena, *texts[i])).ptr == NULL)
            return false;
    return true;
}

/* Several, in one transaction: each alone would be a write to the disk. What is not put back comes
 * again when its lease ends. */
static void
put_back_together(struct notify *n, const struct outbox_entry *entries, const int64_t *next_us,
                  size_t count)
{
    enum err e = count == 0 ? OK : db_begin(n->db);

    for (size_t i = 0; i < count && e == OK; i++) {
        e = outbox_retry(n->db, entries[i].id, entries[i].attempts, next_us[i], entries[i].error);
        if (e == ERR_NOT_FOUND) /* another's by now */
            e = OK;
    }
    if (count > 0 && e == OK)
        e = db_commit(n->db);
    if (e == OK)
        return;
    log_warning("outbox", "problem=not_put_back error=%s", err_text());
    db_rollback(n->db);
}

/* What was claimed goes into its channel's lane. When it is to come again, if it would only wait
 * there; else 0. */
static int64_t
take_entry(struct notify *n, const struct outbox_entry *entry, int64_t now_us, int64_t lease_us)
{
    struct lane *lane;
    struct job *job;

    if (notify_channel_find(n->channels, entry->channel) == NULL) {
        abandon(n, entry, "no such channel in the configuration");
        return 0;
    }
    if ((lane = find_lane(n, entry->channel)) == NULL || lane->n >= QUEUE_MAX)
        return now_us + BUSY_SECONDS * 1000000;
    if (is_resting(lane, now_us))
        return lane->not_before_us + backoff_us(1, BACKOFF_FIRST_MS);
    job = calloc(1, sizeof(*job));
    if (job == NULL || (job->arena = arena_new(JOB_ARENA_MAX)) == NULL || !copy_entry(job, entry)) {
        if (job != NULL)
            free_job(job);
        return 0; /* its lease ends, and it comes again */
    }
    job->lease_us = lease_us;
    *lane->last = job;
    lane->last = &job->next;
    lane->n++;
    return 0;
}

/* A channel that fails rests: all that waits for it goes back. */
static void
empty_lane(struct notify *n, struct lane *lane)
{
    while (lane->first != NULL) {
        struct outbox_entry entries[CLAIM_MAX];
        struct job *jobs[CLAIM_MAX];
        int64_t next_us[CLAIM_MAX];
        size_t count = 0;

        while (count < CLAIM_MAX && (jobs[count] = take_first(lane)) != NULL) {
            entries[count] = jobs[count]->entry;
            entries[count].error = STR("waits for the channel");
            next_us[count++] = lane->not_before_us + backoff_us(1, BACKOFF_FIRST_MS);
        }
        put_back_together(n, entries, next_us, count);
        for (size_t i = 0; i < count; i++)
            free_job(jobs[i]);
    }
}

/* --- one transfer ------------------------------------------------------------------------ */

struct transfer {
    struct outbound outbound;
    enum outbound_result result;
    unsigned retry_after_s;
    char why[128];
    char signature[NOTIFY_SIGNATURE_BYTES];
    char headers[3][256];
};

static void
transfer_on_thread(void *arg)
{
    struct transfer *t = arg;

    t->result = outbound_send(&t->outbound, &t->retry_after_s, t->why);
}

static enum err
sign(const struct notify_channel *channel, const struct notification *what, struct str body,
     struct transfer *t)
{
    int64_t now_s = clock_wall_us() / 1000000;
    enum err e;

    (void)snprintf(t->headers[0], sizeof(t->headers[0]), "webhook-id: %.*s", STR_ARG(what->id));
    (void)snprintf(t->headers[1], sizeof(t->headers[1]), "webhook-timestamp: %lld",
                   (long long)now_s);
    t->outbound.headers[0] = t->headers[0];
    t->outbound.headers[1] = t->headers[1];
    if (channel->secret.len == 0)
        return OK;
    e = notify_webhook_sign(buf_str(&channel->secret), what->id, now_s, body, t->signature);
    (void)snprintf(t->headers[2], sizeof(t->headers[2]), "webhook-signature: %s", t->signature);
    t->outbound.headers[2] = t->headers[2];
    return e;
}

/* The message, and how it goes to this channel. */
static enum err
prepare(const struct notify_channel *channel, const struct notification *what, struct buf *body,
        struct transfer *t)
{
    enum err e = OK;

    switch (channel->kind) {
    case NOTIFY_WEBHOOK:
        notify_webhook_body(what, body);
        if ((e = buf_ok(body)) == OK)
            e = sign(channel, what, buf_str(body), t);
        break;
    case NOTIFY_SLACK:
        notify_slack_body(what, body);
        break;
    case NOTIFY_TEAMS:
        notify_teams_body(what, body);
        break;
    case NOTIFY_EMAIL:
        notify_email_message(what, str_from(channel->from), channel->to_list, clock_wall_us(),
                             body);
        t->outbound.from = channel->from;
        memcpy(t->outbound.to, channel->to, sizeof(t->outbound.to));
        if (channel->user[0] != '\0')
            t->outbound.user = channel->user;
        if (channel->secret.len > 0)
            t->outbound.password = channel->secret.ptr;
        break;
    }
    t->outbound.url = channel->url;
    t->outbound.ca = buf_str(&channel->ca);
    t->outbound.body = buf_str(body);
    return e != OK ? e : buf_ok(body);
}

/* Reads the request as it is now, so that a late message does not say what is not true any more. */
static enum err
describe(struct notify *n, struct job *job, const struct notify_channel *channel,
         struct notification *what)
{
    enum notify_event event;
    struct request *request;
    enum err e;

    if ((request = arena_alloc(job->arena, sizeof(*request))) == NULL)
        return fail(ERR_NOMEM, "no memory for a notification");
    if ((e = notify_event_find(job->entry.event, &event)) != OK ||
        (e = requests_get(n->db, job->entry.request, job->arena, request)) != OK ||
        (e = notify_describe(request, event, n->channels, clock_wall_us(), job->arena, what)) != OK)
        return e;
    what->id = job->entry.id;
    what->has_buttons = channel->kind == NOTIFY_SLACK && channel->secret.len > 0;
    return OK;
}

static void
settle_failure(struct notify *n, struct job *job, const struct transfer *t)
{
    const struct outbox_entry *entry = &job->entry;
    struct lane *lane = find_lane(n, entry->channel);
    int64_t now_us = clock_wall_us(), next_us;

    n->counts.failed_attempts++;
    log_warning("notification_failed", "channel=%.*s event=%.*s request=%.*s attempt=%lld error=%s",
                STR_ARG(entry->channel), STR_ARG(entry->event), STR_ARG(entry->request),
                (long long)entry->attempts, t->why);
    next_us = now_us + backoff_us((uint64_t)entry->attempts, BACKOFF_ROW_MAX_MS);
    if (t->result == OUTBOUND_UNAVAILABLE && lane != NULL) {
        lane->failures++;
        lane->not_before_us = now_us + (t->retry_after_s > 0
                                            ? (int64_t)t->retry_after_s * 1000000
                                            : backoff_us(lane->failures, BACKOFF_CHANNEL_MAX_MS));
        next_us = lane->not_before_us;
    }
    if (now_us - entry->created_us >= (int64_t)NOTIFY_GIVE_UP_SECONDS * 1000000)
        abandon(n, entry, t->why);
    else
        put_back(n, entry, next_us, str_from(t->why));
}

static void
settle(struct notify *n, struct job *job, const struct transfer *t)
{
    struct lane *lane = find_lane(n, job->entry.channel);
    enum err e;

    if (t->result != OUTBOUND_SENT) {
        settle_failure(n, job, t);
        return;
    }
    if (lane != NULL) {
        lane->failures = 0;
        lane->not_before_us = 0;
    }
    n->counts.sent++;
    log_info("notification_sent", "channel=%.*s event=%.*s request=%.*s attempt=%lld",
             STR_ARG(job->entry.channel), STR_ARG(job->entry.event), STR_ARG(job->entry.request),
             (long long)job->entry.attempts);
    e = outbox_done(n->db, job->entry.id, job->entry.attempts, clock_wall_us());
    if (e != OK && e != ERR_NOT_FOUND)
        complain("sent_but_not_noted", &job->entry); /* it will be sent again, under the same id */
}

/* [waits] */
static void
send_job(struct notify *n, struct job *job)
{
    struct notify_channels *channels = notify_channels_hold(n->channels);
    const struct notify_channel *channel = notify_channel_find(channels, job->entry.channel);
    struct transfer *t = calloc(1, sizeof(*t));
    struct buf body = buf_make(NOTIFY_BODY_BYTES_MAX);
    struct notification what;
    enum err e;

    if (channel == NULL || t == NULL) {
        e = ERR_NOMEM; /* its lease ends, and it comes again */
    } else if ((e = describe(n, job, channel, &what)) != OK ||
               (e = prepare(channel, &what, &body, t)) != OK) {
        (void)snprintf(t->why, sizeof(t->why), "%.100s", err_text());
        if (e == ERR_NOT_FOUND || e == ERR_LIMIT || e == ERR_INVALID)
            abandon(n, &job->entry, t->why);
    } else {
        t->outbound.stop = &n->stop;
        t->result = OUTBOUND_UNAVAILABLE;
        if ((e = fiber_offload(transfer_on_thread, t)) != OK)
            (void)snprintf(t->why, sizeof(t->why), "%.100s", err_text());
        settle(n, job, t);
    }
    buf_free(&body);
    if (t != NULL)
        explicit_bzero(t, sizeof(*t));
    free(t);
    notify_channels_release(channels);
}

/* --- fibers ------------------------------------------------------------------------------ */

struct lane_fiber {
    struct notify *notify;
    size_t lane;
};

/* Sends what is in a lane, one after the other. */
static void
serve_lane(void *arg)
{
    struct lane_fiber *f = arg;
    struct notify *n = f->notify;
    struct lane *lane = &n->lanes[f->lane];
    struct job *job;

    while (!n->stopping && (job = take_first(lane)) != NULL) {
        if (clock_wall_us() + LEASE_MARGIN_SECONDS * 1000000 < job->lease_us)
            send_job(n, job);
        free_job(job);
        if (is_resting(lane, clock_wall_us()))
            empty_lane(n, lane);
    }
    lane->sending = false;
    n->sends--;
    n->woken = true;
    fiber_condition_signal(&n->wake);
    fiber_condition_signal(&n->idle);
    free(f);
}

static void
start_lanes(struct notify *n)
{
    for (size_t i = 0; i < n->n_lanes && n->sends < NOTIFY_SENDS_MAX; i++) {
        struct lane_fiber *f;

        if (n->lanes[i].sending || n->lanes[i].first == NULL || (f = calloc(1, sizeof(*f))) == NULL)
            continue;
        *f = (struct lane_fiber){n, i};
        if (fiber_start("notify", serve_lane, f, NULL) != OK) {
            free(f);
            continue;
        }
        n->lanes[i].sending = true;
        n->sends++;
    }
}

/* Takes what is due. Whether there may be more at once. */
static bool
look(struct notify *n)
{
    int64_t now_us = clock_wall_us(), lease_us = (int64_t)LEASE_SECONDS * 1000000;
    struct arena *arena = arena_new(CLAIM_MAX * (OUTBOX_PAYLOAD_MAX + 4096) + (1 << 20));
    struct outbox_entry back[CLAIM_MAX];
    int64_t back_us[CLAIM_MAX];
    struct outbox_list due = {0};
    size_t n_back = 0;
    bool more = false;

    if (arena == NULL || outbox_claim(n->db, now_us, lease_us, CLAIM_MAX, arena, &due) != OK) {
        log_warning("outbox", "problem=not_readable error=%s", err_text());
        due.n = 0;
    }
    for (size_t i = 0; i < due.n && i < CLAIM_MAX; i++) {
        back_us[n_back] = take_entry(n, &due.items[i], now_us, now_us + lease_us);
        if (back_us[n_back] != 0)
            back[n_back++] = due.items[i];
    }
    put_back_together(n, back, back_us, n_back);
    more = due.n == CLAIM_MAX;
    arena_free(arena);
    if (clock_monotonic_ms() - n->pruned_ms > PRUNE_MS) {
        n->pruned_ms = clock_monotonic_ms();
        err_ignore(outbox_prune(n->db, now_us - (int64_t)KEEP_DAYS * 86400 * 1000000));
    }
    return more;
}

static void
run_looker(void *arg)
{
    struct notify *n = arg;

    while (!n->stopping) {
        bool more;

        n->woken = false;
        more = look(n);
        start_lanes(n);
        if (more)
            fiber_yield();
        else if (!n->woken &&
                 fiber_condition_wait(&n->wake, clock_monotonic_ms() + LOOK_MS) == ERR_CANCELED)
            break;
    }
}

void
notify_wake(struct notify *n)
{
    n->woken = true;
    fiber_condition_signal(&n->wake);
}

enum err
notify_start(struct notify *n)
{
    return fiber_start("outbox", run_looker, n, &n->looker);
}

enum err
notify_new(const struct config *config, struct db *db, struct notify **out)
{
    struct notify *n = calloc(1, sizeof(*n));
    enum err e;

    if (n == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(n);
        return fail(ERR_NOMEM, "no memory for notifications");
    }
    n->db = db;
    n->pruned_ms = clock_monotonic_ms();
    if ((e = notify_channels_read(config, &n->channels)) != OK) {
        free(n);
        return e;
    }
    *out = n;
    return OK;
}

enum err
notify_reload(struct notify *n, const struct config *config)
{
    struct notify_channels *channels;
    enum err e;

    if ((e = notify_channels_read(config, &channels)) != OK)
        return e;
    notify_channels_release(n->channels);
    n->channels = channels;
    for (size_t i = 0; i < n->n_lanes; i++) { /* what was wrong may be right now */
        n->lanes[i].failures = 0;
        n->lanes[i].not_before_us = 0;
    }
    notify_wake(n);
    return OK;
}

void
notify_free(struct notify *n)
{
    if (n == NULL)
        return;
    n->stopping = true;
    atomic_store(&n->stop, true);
    notify_wake(n);
    if (n->looker != NULL)
        fiber_join(n->looker);
    while (n->sends + n->answers > 0 && fiber_condition_wait(&n->idle, FIBER_FOREVER) == OK)
        ;
    for (size_t i = 0; i < n->n_lanes; i++)
        for (struct job *job; (job = take_first(&n->lanes[i])) != NULL;)
            free_job(job);
    notify_channels_release(n->channels);
    free(n);
}

/* --- answers to Slack -------------------------------------------------------------------- */

struct answer {
    struct notify *notify;
    struct notify_channels *channels;
    char *url;
    struct buf body;
    struct transfer transfer;
};

static void
free_answer(struct answer *a)
{
    notify_channels_release(a->channels);
    buf_free(&a->body);
    free(a->url);
    free(a);
}

static void
send_answer(void *arg)
{
    struct answer *a = arg;
    struct notify *n = a->notify;

    for (int attempt = 1; attempt <= ANSWER_ATTEMPTS && !n->stopping; attempt++) {
        a->transfer.result = OUTBOUND_UNAVAILABLE;
        if (fiber_offload(transfer_on_thread, &a->transfer) != OK ||
            a->transfer.result != OUTBOUND_UNAVAILABLE ||
            fiber_sleep_until(clock_monotonic_ms() + attempt * BACKOFF_FIRST_MS) == ERR_CANCELED)
            break;
    }
    if (a->transfer.result != OUTBOUND_SENT)
        log_warning("slack_not_answered", "error=%s", a->transfer.why);
    n->answers--;
    fiber_condition_signal(&n->idle);
    free_answer(a);
}

void
notify_answer(struct notify *n, const struct notify_channel *channel, struct str url,
              struct str body)
{
    struct answer *a = n->answers < ANSWERS_MAX && !n->stopping ? calloc(1, sizeof(*a)) : NULL;

    if (a == NULL) {
        log_warning("slack_not_answered", "error=%s", "too many answers at a time");
        return;
    }
    a->notify = n;
    a->channels = notify_channels_hold(n->channels);
    a->url = strndup(url.ptr, url.len);
    a->body = buf_make(NOTIFY_BODY_BYTES_MAX);
    buf_put_str(&a->body, body);
    if (a->url == NULL || buf_ok(&a->body) != OK) {
        free_answer(a);
        return;
    }
    a->transfer.outbound = (struct outbound){
        .url = a->url, .ca = buf_str(&channel->ca), .stop = &n->stop, .body = buf_str(&a->body)};
    n->answers++;
    if (fiber_start("slack", send_answer, a, NULL) != OK) {
        n->answers--;
        free_answer(a);
    }
}
