#include "control/notify.h"

static const char *const event_names[NOTIFY_EVENT_COUNT] = {"approval", "decision", "break-glass"};

const char *
notify_event_name(enum notify_event event)
{
    return event_names[event];
}

enum err
notify_event_find(struct str name, enum notify_event *out)
{
    for (int i = 0; i < NOTIFY_EVENT_COUNT; i++)
        if (str_is(name, event_names[i])) {
            *out = (enum notify_event)i;
            return OK;
        }
    return fail(ERR_NOT_FOUND, "there is no event %.*s", STR_ARG(name));
}

bool
notify_wants(const struct config_notification *channel, enum notify_event event)
{
    if (event == NOTIFY_BREAK_GLASS || channel->events.n == 0)
        return true;
    for (size_t i = 0; i < channel->events.n; i++)
        if (str_is(channel->events.items[i], event_names[event]))
            return true;
    return false;
}
