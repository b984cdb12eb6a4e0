#include "control/slack.h"

#include <stdio.h>

#include "base/log.h"
#include "control/approvals.h"
#include "control/notify_channel.h"

enum { ARENA_BYTES_MAX = 32 << 20 };

/* One press of a button, being dealt with. */
struct press {
    const struct slack_control *control;
    struct arena *arena;
    struct notify_channels *channels; /* held */
    const struct notify_channel *channel;
    struct slack_press said;
    struct person person;
    int64_t wall_us;
};

/* The channel whose secret signed the request; NULL: none, err_text() says why. */
static const struct notify_channel *
find_signer(const struct notify_channels *channels, const struct slack_request *r, int64_t wall_us)
{
    err_ignore(fail(ERR_DENIED, "no Slack channel with a signing secret is configured"));
    for (size_t i = 0; i < channels->n; i++)
        if (channels->items[i].kind == NOTIFY_SLACK && channels->items[i].secret.len > 0 &&
            slack_verify(buf_str(&channels->items[i].secret), r->timestamp, r->signature, r->body,
                         wall_us) == OK)
            return &channels->items[i];
    return NULL;
}

/* Sends to where the message is, if that is Slack's. */
static void
answer(const struct press *p, const struct buf *body)
{
    struct buf origin = buf_make(OUTBOUND_URL_BYTES_MAX);

    outbound_origin(str_from(p->channel->url), &origin);
    if (p->said.response_url.len == 0)
        ;
    else if (!slack_may_answer(p->said.response_url, buf_str(&origin)))
        log_warning("slack_not_answered", "error=%s", "its response_url is not of Slack");
    else if (buf_ok(body) == OK)
        notify_answer(p->control->notify, p->channel, p->said.response_url, buf_str(body));
    buf_free(&origin);
}

static void
whisper(const struct press *p, const char *text)
{
    struct buf body = buf_make(NOTIFY_BODY_BYTES_MAX), words = buf_make(4096);

    buf_put_text(&words, text);
    if (p->channels->console_url.len > 0)
        buf_printf(&words, "\nThe console: %.*s", STR_ARG(p->channels->console_url));
    notify_slack_whisper(buf_str(&words), &body);
    answer(p, &body);
    buf_free(&body);
    buf_free(&words);
}

/* The message as the request stands now; without buttons if it is decided. */
static void
update(const struct press *p, const struct request *request)
{
    struct buf body = buf_make(NOTIFY_BODY_BYTES_MAX);
    struct notification what;

    if (notify_describe(request, NOTIFY_APPROVAL, p->channels, p->wall_us, p->arena, &what) == OK) {
        what.has_buttons = true;
        notify_slack_update(&what, &body);
        answer(p, &body);
    }
    buf_free(&body);
}

/* The identity that the configuration gives this user; empty: none. */
static struct str
find_subject(const struct press *p)
{
    for (size_t i = 0; i < p->channel->n_users; i++)
        if (str_equal(p->channel->users[i].id, p->said.user))
            return p->channel->users[i].subject;
    return (struct str){"", 0};
}

static bool
is_recent(const struct press *p, const struct person *person)
{
    int64_t age_us = p->wall_us - person->seen_us;

    return age_us >= 0 && age_us <= (int64_t)SLACK_LOGIN_SECONDS_MAX * 1000000;
}

/* The person as the identity provider described them at a login not long ago: of the provider that
 * people log in with, or, if none is configured, of the only one that knows them. ERR_NOT_FOUND. */
static enum err
find_person(struct press *p, struct str subject)
{
    struct str_list issuers = p->channels->login_issuer.len > 0
                                  ? (struct str_list){&p->channels->login_issuer, 1}
                                  : p->channels->issuers;
    size_t found = 0;

    for (size_t i = 0; i < issuers.n; i++) {
        struct person person;
        enum err e = people_get(p->control->db, issuers.items[i], subject, p->arena, &person);

        if (e != OK && e != ERR_NOT_FOUND)
            return e;
        if (e == OK && is_recent(p, &person)) {
            p->person = person;
            found++;
        }
    }
    return found == 1 ? OK : fail(ERR_NOT_FOUND, "nobody of that name has logged in lately");
}

static void
decide(struct press *p)
{
    struct approver by = {.person = p->person, .token_id = {"", 0}, .channel = "slack"};
    struct request *request = arena_alloc(p->arena, sizeof(*request));
    enum err e;

    by.chain = (struct str_list){&by.person.subject, 1};
    if (request == NULL) {
        whisper(p, "The gateway has no memory left; try again.");
        return;
    }
    e = approvals_decide(p->control->approvals, p->said.request, &by,
                         p->said.verb == SLACK_APPROVE ? DECISION_APPROVE : DECISION_DENY,
                         (struct str){"", 0}, p->arena, request);
    if (e == OK) {
        notify_wake(p->control->notify);
        update(p, request);
        return;
    }
    whisper(p, err_text());
    log_info("slack_refused", "user=%.*s request=%.*s error=%s", STR_ARG(p->said.user),
             STR_ARG(p->said.request), err_text());
    if (e == ERR_EXISTS && requests_get(p->control->db, p->said.request, p->arena, request) == OK)
        update(p, request); /* decided elsewhere: the buttons go */
}

/* Who pressed it, and what comes of that. ERR_UNAVAILABLE and its kin: the store is not there. */
static enum err
act(struct press *p)
{
    struct str subject = find_subject(p);
    enum err e;

    if (subject.len == 0) {
        log_warning("slack_user_unknown", "user=%.*s channel=%.*s", STR_ARG(p->said.user),
                    STR_ARG(p->channel->name));
        whisper(p, "You may not decide here: your Slack user is not in the gateway's configuration "
                   "(notifications: users). Ask whoever runs it, or decide in the console.");
        return OK;
    }
    e = find_person(p, subject);
    if (e == ERR_NOT_FOUND) {
        whisper(p,
                "Log in to the console once, and press again: what you may decide depends on your "
                "groups, and your last login is more than 12 hours ago.");
        return OK;
    }
    if (e != OK) {
        whisper(p, "The gateway cannot look you up at the moment; try again.");
        return e;
    }
    decide(p);
    return OK;
}

static struct slack_result
reply(unsigned status, const char *text)
{
    return (struct slack_result){status, text};
}

static struct slack_result
handle(struct press *p, const struct slack_request *r)
{
    enum err e;

    if (r->body.len > SLACK_BODY_BYTES_MAX)
        return reply(400, "too large");
    p->channel = find_signer(p->channels, r, p->wall_us);
    if (p->channel == NULL) {
        log_warning("slack_refused", "error=%s", err_text());
        return reply(401, "not signed by Slack for this gateway, or too old");
    }
    e = one_use_take(p->control->db, "slack", r->signature, p->wall_us,
                     p->wall_us + 2 * (int64_t)SLACK_AGE_SECONDS_MAX * 1000000);
    if (e == ERR_EXISTS) {
        log_warning("slack_refused", "error=%s", "it was sent before");
        return reply(401, "this was sent before");
    }
    if (e != OK)
        return reply(503, "the gateway's store is not available");
    e = slack_read(r->body, p->arena, &p->said);
    if (e == ERR_UNSUPPORTED || (e == OK && p->said.verb == SLACK_LINK))
        return reply(200, "");
    if (e != OK) {
        log_warning("slack_refused", "error=%s", err_text());
        return reply(400, "not a payload that can be read");
    }
    return act(p) == OK ? reply(200, "") : reply(503, "the gateway's store is not available");
}

void
slack_action(const struct slack_control *control, const struct slack_request *request,
             int64_t wall_us, struct slack_result *out)
{
    struct press p = {.control = control,
                      .arena = arena_new(ARENA_BYTES_MAX),
                      .channels = notify_channels_hold(notify_channels_of(control->notify)),
                      .wall_us = wall_us};

    *out = p.arena == NULL ? reply(503, "no memory") : handle(&p, request);
    notify_channels_release(p.channels);
    arena_free(p.arena);
}
