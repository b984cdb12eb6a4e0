#include "policy/rule.h"

const char *
verdict_kind_name(enum verdict_kind kind)
{
    switch (kind) {
    case VERDICT_ALLOW:
        return "allow";
    case VERDICT_MODIFY:
        return "modify";
    case VERDICT_STEP_UP:
        return "step_up";
    case VERDICT_DEFER:
        return "defer";
    case VERDICT_DENY:
        break;
    }
    return "deny";
}

bool
rule_network_contains(const struct rule_network *network, const struct in6_addr *address)
{
    unsigned whole = network->prefix_bits / 8, rest = network->prefix_bits % 8;
    const uint8_t *a = network->address.s6_addr, *b = address->s6_addr;

    if (network->prefix_bits > 128 || memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

struct rule_moment
rule_moment_at(int64_t wall_us)
{
    const int64_t day_us = 86400LL * 1000000, minute_us = 60LL * 1000000;
    int64_t day = wall_us / day_us, in_day = wall_us % day_us;

    if (in_day < 0) {
        in_day += day_us;
        day--;
    }
    /* 1970-01-01 was a Thursday. */
    return (struct rule_moment){
        .weekday = (unsigned)(((day + 3) % 7 + 7) % 7),
        .minute = (unsigned)(in_day / minute_us),
    };
}

bool
rule_time_holds(const struct rule_time *window, struct rule_moment moment)
{
    unsigned days = window->days == 0 ? 0x7f : window->days;
    bool today = (days >> moment.weekday & 1) != 0;
    bool yesterday = (days >> (moment.weekday + 6) % 7 & 1) != 0;

    if (window->from_minute == window->to_minute)
        return today;
    if (window->from_minute < window->to_minute)
        return today && moment.minute >= window->from_minute && moment.minute < window->to_minute;
    return (today && moment.minute >= window->from_minute) ||
           (yesterday && moment.minute < window->to_minute);
}
