/* control/notify_channel.h - the channels of one configuration, with their secrets: shared by what
 * sends (notify.c) and what Slack sends back (slack.c). */
#ifndef CONTROL_NOTIFY_CHANNEL_H
#define CONTROL_NOTIFY_CHANNEL_H

#include "control/notify_payload.h"
#include "control/outbound.h"
#include "store/requests.h"

enum { NOTIFY_SECRET_BYTES_MAX = 4096, NOTIFY_CA_BYTES_MAX = 1 << 20 };

struct notify_channel {
    struct str name;
    enum config_notify_kind kind;
    const char *url, *user, *from; /* "" where there is none */
    const char *to[OUTBOUND_RECIPIENTS_MAX + 1];
    struct str_list to_list;
    struct buf secret; /* NUL-terminated, the NUL not counted; empty: none */
    struct buf ca;
    const struct config_chat_user *users;
    size_t n_users;
};

struct notify_channels {
    unsigned users; /* freed with the last of them */
    struct arena *arena;
    struct str console_url;
    struct str login_issuer;
    struct str_list issuers;
    struct notify_channel *items;
    size_t n;
};

/* Errors as notify_new(). One user: the caller. */
enum err notify_channels_read(const struct config *config, struct notify_channels **out);
struct notify_channels *notify_channels_hold(struct notify_channels *c);
void notify_channels_release(struct notify_channels *c); /* NULL is allowed */

/* NULL: there is none of that name. */
const struct notify_channel *notify_channel_find(const struct notify_channels *c, struct str name);

/* Those in force. */
struct notify_channels *notify_channels_of(const struct notify *n);

/* What a request is to be told as; texts borrow from it or live in `arena`. ERR_NOMEM. */
enum err notify_describe(const struct request *request, enum notify_event event,
                         const struct notify_channels *channels, int64_t wall_us,
                         struct arena *arena, struct notification *out);

/* Sends an answer to where Slack said, by a fiber of its own, some times if need be; copies all.
 * What cannot be sent is logged. `channel` gives the certificates. */
void notify_answer(struct notify *n, const struct notify_channel *channel, struct str url,
                   struct str body);

#endif
