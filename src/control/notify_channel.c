#include "control/notify_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/approvals.h"
#include "control/request_json.h"

enum { ARENA_BYTES_MAX = 16 << 20 };

static void
channels_free(struct notify_channels *c)
{
    for (size_t i = 0; i < c->n; i++) {
        buf_free_secret(&c->items[i].secret);
        buf_free(&c->items[i].ca);
    }
    arena_free(c->arena);
    free(c);
}

struct notify_channels *
notify_channels_hold(struct notify_channels *c)
{
    c->users++;
    return c;
}

void
notify_channels_release(struct notify_channels *c)
{
    if (c != NULL && --c->users == 0)
        channels_free(c);
}

const struct notify_channel *
notify_channel_find(const struct notify_channels *c, struct str name)
{
    for (size_t i = 0; i < c->n; i++)
        if (str_equal(c->items[i].name, name))
            return &c->items[i];
    return NULL;
}

/* --- reading a configuration ------------------------------------------------------------- */

static enum err
read_file(struct str path, struct buf *out)
{
    char name[4096];
    ssize_t n;
    int fd;

    if (path.len >= sizeof(name))
        return fail(ERR_LIMIT, "the name of its `ca` is too long");
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    if ((fd = open(name, O_RDONLY | O_CLOEXEC)) < 0)
        return fail_errno(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read its `ca`");
    do {
        enum err e = buf_reserve(out, 4096);

        if (e != OK) {
            close(fd);
            return e;
        }
        if ((n = read(fd, out->ptr + out->len, 4096)) > 0)
            out->len += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    close(fd);
    return n < 0 ? fail_errno(ERR_IO, "cannot read its `ca`") : OK;
}

static enum err
copy(struct arena *arena, struct str text, struct str *out)
{
    *out = arena_str(arena, text);
    return out->ptr == NULL ? fail(ERR_NOMEM, "no memory for a notification channel") : OK;
}

static enum err
read_secret(const struct config_secret *secret, struct buf *out)
{
    enum err e;

    if (secret->source == SECRET_NONE)
        return OK;
    if ((e = config_read_secret(secret, out)) != OK)
        return fail(e, "cannot read its secret");
    buf_put_u8(out, '\0');
    if ((e = buf_ok(out)) != OK)
        return e;
    out->len--;
    return strlen(out->ptr) == out->len ? OK : fail(ERR_INVALID, "its secret holds a NUL");
}

static enum err
read_recipients(struct arena *arena, const struct config_notification *from,
                struct notify_channel *to)
{
    struct str *items;

    if (from->to.n == 0 || from->to.n > OUTBOUND_RECIPIENTS_MAX)
        return fail(ERR_INVALID, "it needs 1 to %d addresses in `to`", OUTBOUND_RECIPIENTS_MAX);
    if (!notify_is_address(from->from))
        return fail(ERR_INVALID, "`from` is no e-mail address");
    if ((items = arena_array(arena, from->to.n, sizeof(*items))) == NULL)
        return fail(ERR_NOMEM, "no memory for a notification channel");
    for (size_t i = 0; i < from->to.n; i++) {
        if (!notify_is_address(from->to.items[i]))
            return fail(ERR_INVALID, "\"%.*s\" is no e-mail address", STR_ARG(from->to.items[i]));
        if ((items[i] = arena_str(arena, from->to.items[i])).ptr == NULL)
            return fail(ERR_NOMEM, "no memory for a notification channel");
        to->to[i] = items[i].ptr;
    }
    to->to_list = (struct str_list){items, from->to.n};
    return OK;
}

static enum err
read_users(struct arena *arena, const struct config_notification *from, struct notify_channel *to)
{
    struct config_chat_user *users = arena_array(arena, from->n_users + 1, sizeof(*users));
    enum err e = users == NULL ? fail(ERR_NOMEM, "no memory for a notification channel") : OK;

    for (size_t i = 0; i < from->n_users && e == OK; i++)
        if ((e = copy(arena, from->users[i].id, &users[i].id)) == OK)
            e = copy(arena, from->users[i].subject, &users[i].subject);
    to->users = users;
    to->n_users = from->n_users;
    return e;
}

static enum err
read_channel(struct arena *arena, const struct config_notification *from, struct notify_channel *to)
{
    bool email = from->kind == NOTIFY_EMAIL;
    enum err e;

    to->kind = from->kind;
    to->secret = buf_make(NOTIFY_SECRET_BYTES_MAX);
    to->ca = buf_make(NOTIFY_CA_BYTES_MAX);
    if ((e = copy(arena, from->name, &to->name)) != OK)
        return e;
    to->url = arena_text(arena, from->url);
    to->user = arena_text(arena, from->user);
    to->from = arena_text(arena, from->from);
    if (to->url == NULL || to->user == NULL || to->from == NULL)
        return fail(ERR_NOMEM, "no memory for a notification channel");
    if ((e = outbound_check_url(email ? OUTBOUND_SMTP : OUTBOUND_HTTP, from->url)) != OK ||
        (e = read_secret(&from->secret, &to->secret)) != OK ||
        (e = from->ca.len > 0 ? read_file(from->ca, &to->ca) : OK) != OK ||
        (e = read_users(arena, from, to)) != OK)
        return e;
    return email ? read_recipients(arena, from, to) : OK;
}

static enum err
read_issuers(const struct config *config, struct notify_channels *to)
{
    struct str *items = arena_array(to->arena, config->n_issuers + 1, sizeof(*items));
    enum err e = items == NULL ? fail(ERR_NOMEM, "no memory for a notification channel") : OK;

    for (size_t i = 0; i < config->n_issuers && e == OK; i++)
        e = copy(to->arena, config->issuers[i].name, &items[i]);
    to->issuers = (struct str_list){items, config->n_issuers};
    return e;
}

static enum err
read_all(const struct config *config, struct notify_channels *c)
{
    char why[ERR_TEXT_MAX];
    enum err e;

    if (config->n_notifications > NOTIFY_CHANNELS_MAX)
        return fail(ERR_LIMIT, "more than %d notification channels", NOTIFY_CHANNELS_MAX);
    c->items = arena_array(c->arena, config->n_notifications + 1, sizeof(*c->items));
    if (c->items == NULL)
        return fail(ERR_NOMEM, "no memory for notification channels");
    if ((e = copy(c->arena, config->console.url, &c->console_url)) != OK ||
        (e = copy(c->arena, config->console.login_issuer, &c->login_issuer)) != OK ||
        (e = read_issuers(config, c)) != OK)
        return e;
    for (size_t i = 0; i < config->n_notifications; i++) {
        c->n = i + 1;
        if ((e = read_channel(c->arena, &config->notifications[i], &c->items[i])) == OK)
            continue;
        (void)snprintf(why, sizeof(why), "%s", err_text());
        return fail(e, "notification channel %.*s: %s", STR_ARG(config->notifications[i].name),
                    why);
    }
    return OK;
}

enum err
notify_channels_read(const struct config *config, struct notify_channels **out)
{
    struct notify_channels *c = calloc(1, sizeof(*c));
    enum err e;

    if (c == NULL || (c->arena = arena_new(ARENA_BYTES_MAX)) == NULL) {
        free(c);
        return fail(ERR_NOMEM, "no memory for notification channels");
    }
    c->users = 1;
    if ((e = read_all(config, c)) != OK)
        notify_channels_release(c);
    else
        *out = c;
    return e;
}

/* --- describing -------------------------------------------------------------------------- */

struct words {
    struct str *items;
    size_t n, max;
};

static void
add_word(struct words *w, struct str word)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_equal(w->items[i], word))
            return;
    if (w->n < w->max)
        w->items[w->n++] = word;
}

static enum err
add_object(struct words *w, const struct record_demand *demand, struct arena *arena)
{
    struct buf text = buf_make(1024);
    struct str kept;

    if (demand->kind == OBJECT_NONE || demand->name.len == 0)
        return OK;
    if (demand->schema.len > 0) {
        buf_put_str(&text, demand->schema);
        buf_put_u8(&text, '.');
    }
    buf_put_str(&text, demand->name);
    kept = arena_str(arena, buf_str(&text));
    buf_free(&text);
    if (kept.ptr == NULL)
        return fail(ERR_NOMEM, "no memory for a notification");
    add_word(w, kept);
    return OK;
}

/* What the command does, from its intent. One that cannot be read says nothing. */
static enum err
describe_command(const struct request *request, struct arena *arena, struct notification *out)
{
    enum { WORDS_MAX = 100 };
    struct words classes = {.max = COMMAND_CLASS_COUNT}, objects = {.max = WORDS_MAX};
    struct record record;
    size_t used;
    enum err e = OK;

    classes.items = arena_array(arena, classes.max, sizeof(struct str));
    objects.items = arena_array(arena, objects.max, sizeof(struct str));
    if (classes.items == NULL || objects.items == NULL)
        return fail(ERR_NOMEM, "no memory for a notification");
    if (record_read(request->frame, &record, &used) != OK || record.kind != RECORD_INTENT)
        return OK;
    out->statement = record.intent.text;
    for (size_t i = 0; i < record.intent.n_demands && e == OK; i++) {
        struct record_demand demand;

        record_next_demand(&record, &demand);
        for (class_set left = demand.classes; left != 0; left &= left - 1)
            add_word(&classes, str_from(class_infos[__builtin_ctzll(left)].name));
        e = add_object(&objects, &demand, arena);
    }
    out->classes = (struct str_list){classes.items, classes.n};
    out->objects = (struct str_list){objects.items, objects.n};
    return e;
}

enum err
notify_describe(const struct request *request, enum notify_event event,
                const struct notify_channels *channels, int64_t wall_us, struct arena *arena,
                struct notification *out)
{
    struct buf text = buf_make(4096);
    enum err e;

    *out = (struct notification){
        .event = event,
        .request = request->id,
        .is_access = request->kind == REQUEST_ACCESS,
        .is_pending = request->state == REQUEST_PENDING && request->expires_us > wall_us,
        .state = request->state == REQUEST_PENDING && request->expires_us <= wall_us
                     ? request_state_name(REQUEST_EXPIRED)
                     : request_state_name(request->state),
        .subject = request->subject,
        .chain = request->chain,
        .resource = request->resource,
        .database = request->database,
        .rule = request->rule,
        .statement = request->summary,
        .purpose = request->purpose,
        .reason = request->reason,
        .access_seconds = request->access_seconds > 0 ? (uint64_t)request->access_seconds : 0,
        .decided_by = request->decided_by,
        .decided_text = request->decided_text,
        .created_us = request->created_us,
        .expires_us = request->expires_us};
    approvals_describe_approvers(&request->step_up, &text);
    e = copy(arena, buf_str(&text), &out->approvers);
    buf_reset(&text);
    if (e == OK && channels->console_url.len > 0) {
        request_json_link(&text, channels->console_url, request->id);
        e = copy(arena, buf_str(&text), &out->link);
    }
    buf_free(&text);
    if (e == OK && !out->is_access)
        e = describe_command(request, arena, out);
    return e;
}
