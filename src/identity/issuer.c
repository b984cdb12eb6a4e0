#include "identity/issuer.h"

#include <errno.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "fiber/fiber.h"
#include "identity/fetch.h"
#include "identity/refresh.h"

struct issuer_keys {
    char *name, *issuer, *jwks_uri, *ca;
    unsigned holders; /* besides the fiber */
    atomic_bool stop; /* read by the helper thread, too */
    struct refresh refresh;
    bool asked; /* the fetch that is due was caused by a token: the address is known */
    struct jwks *set;
    struct buf discovered;
    struct fiber_condition wake;  /* the fiber has something to do */
    struct fiber_condition ended; /* a fetch has ended */
    bool fiber_ended;
};

static void
destroy(struct issuer_keys *k)
{
    jwks_free(k->set);
    buf_free(&k->discovered);
    free(k->name);
    free(k->issuer);
    free(k->jwks_uri);
    free(k->ca);
    free(k);
}

/* What the helper thread works on. */
struct job {
    struct fetch fetch;
    bool rediscover;
    struct buf *discovered;
    struct buf notes;
    struct jwks *set;
    enum err result;
    char reason[ERR_TEXT_MAX];
};

static void
run_job(void *arg)
{
    struct job *job = arg;

    job->result = fetch_keys(&job->fetch, job->rediscover, job->discovered, &job->notes, &job->set);
    /* The error slot of this thread goes with it. */
    if (job->result != OK)
        snprintf(job->reason, sizeof(job->reason), "%s", err_text());
}

static uint32_t
random_number(void)
{
    uint32_t n = 0;

    while (getrandom(&n, sizeof(n), 0) < 0 && errno == EINTR)
        ;
    return n;
}

static void
log_notes(const struct issuer_keys *k, struct str notes)
{
    while (notes.len > 0) {
        struct str line;

        notes = str_cut(notes, '\n', &line);
        log_warning("issuer_key_unusable", "issuer=%s reason=\"%.*s\"", k->name, STR_ARG(line));
    }
}

/* [waits] */
static void
fetch_once(struct issuer_keys *k)
{
    struct job job = {.fetch = {k->issuer, k->jwks_uri, k->ca, &k->stop},
                      .rediscover = !k->asked,
                      .discovered = &k->discovered,
                      .notes = buf_make(8192)};
    enum err e;

    k->asked = false;
    refresh_started(&k->refresh);
    if ((e = fiber_offload(run_job, &job)) != OK) {
        job.result = e;
        snprintf(job.reason, sizeof(job.reason), "%s", err_text());
    }
    refresh_ended(&k->refresh, job.result == OK, clock_monotonic_ms(), random_number());
    if (job.result == OK) {
        jwks_free(k->set);
        k->set = job.set;
        log_info("issuer_keys_fetched", "issuer=%s keys=%zu", k->name, jwks_count(k->set));
        log_notes(k, buf_str(&job.notes));
    } else if (!k->stop) {
        log_warning("issuer_keys_not_fetched", "issuer=%s error=%s reason=\"%s\"", k->name,
                    err_name(job.result), job.reason);
    }
    buf_free(&job.notes);
    fiber_condition_signal(&k->ended);
}

static void
keep_fresh(void *arg)
{
    struct issuer_keys *k = arg;

    while (!k->stop) {
        if (clock_monotonic_ms() >= k->refresh.due_ms)
            fetch_once(k);
        else if (fiber_condition_wait(&k->wake, k->refresh.due_ms) == ERR_CANCELED)
            break;
    }
    /* Without holders nobody knows `k` any more; a holder frees what outlived its fiber. */
    k->stop = true;
    k->fiber_ended = true;
    fiber_condition_signal(&k->ended);
    if (k->holders == 0)
        destroy(k);
}

static char *
copy(struct str s)
{
    return strndup(s.len == 0 ? "" : s.ptr, s.len);
}

enum err
issuer_keys_open(const struct config_issuer *config, struct issuer_keys **out)
{
    struct issuer_keys *k = calloc(1, sizeof(*k));
    enum err e;

    if (k == NULL)
        return fail(ERR_NOMEM, "no memory for an issuer");
    k->name = copy(config->name);
    k->issuer = copy(config->issuer);
    k->jwks_uri = copy(config->jwks_uri);
    k->ca = copy(config->ca);
    k->discovered = buf_make(FETCH_URL_BYTES_MAX);
    k->holders = 1;
    refresh_init(&k->refresh, clock_monotonic_ms());
    if (k->name == NULL || k->issuer == NULL || k->jwks_uri == NULL || k->ca == NULL)
        e = fail(ERR_NOMEM, "no memory for an issuer");
    else
        e = fiber_start("issuer keys", keep_fresh, k, NULL);
    if (e != OK) {
        destroy(k);
        return e;
    }
    *out = k;
    return OK;
}

struct issuer_keys *
issuer_keys_hold(struct issuer_keys *k)
{
    k->holders++;
    return k;
}

void
issuer_keys_release(struct issuer_keys *k)
{
    if (k == NULL || --k->holders > 0)
        return;
    if (k->fiber_ended) {
        destroy(k);
        return;
    }
    k->stop = true;
    fiber_condition_signal(&k->wake);
}

bool
issuer_keys_fit(const struct issuer_keys *k, const struct config_issuer *config)
{
    return str_is(config->name, k->name) && str_is(config->issuer, k->issuer) &&
           str_is(config->jwks_uri, k->jwks_uri) && str_is(config->ca, k->ca);
}

/* Whether a fetch could bring the key: not if its id is known and the key just does not suit. */
static bool
could_appear(const struct issuer_keys *k, const struct jwt *token)
{
    if (token->key_id.ptr == NULL)
        return jwks_count(k->set) == 0;
    return !jwks_has_key_id(k->set, token->key_id);
}

enum err
issuer_keys_find(struct issuer_keys *k, const struct jwt *token, const struct jwk **out)
{
    int64_t deadline = clock_monotonic_ms() + ISSUER_WAIT_MS;

    for (;;) {
        int64_t now = clock_monotonic_ms();
        bool usable = refresh_is_usable(&k->refresh, now);
        enum err e;

        if (usable && (*out = jwks_find(k->set, token->key_id, token->algorithm)) != NULL)
            return OK;
        if (usable && !could_appear(k, token))
            return fail(ERR_DENIED, "the token's key is not one that this issuer uses so");
        if (!k->refresh.running && now < k->refresh.due_ms) {
            /* Without any set yet the background tries again and again by itself. */
            if (!k->refresh.ever || !refresh_ask(&k->refresh, now)) {
                if (!usable)
                    return fail(ERR_UNAVAILABLE,
                                "the keys of issuer %s cannot be fetched at "
                                "present; try again later",
                                k->name);
                return fail(ERR_DENIED, "the token's key is not known to its issuer");
            }
            k->asked = usable;
            fiber_condition_signal(&k->wake);
        }
        if (k->stop)
            return fail(ERR_UNAVAILABLE, "the configuration of issuers has changed; try again");
        if ((e = fiber_condition_wait(&k->ended, deadline)) == ERR_CANCELED)
            return e;
        if (e != OK)
            return fail(ERR_UNAVAILABLE, "issuer %s does not answer; try again later", k->name);
    }
}
