#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t
read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_monotonic_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

/* Writes `value` as exactly `digits` decimal digits. */
static char *
put_digits(char *at, int64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + digits;
}

size_t
clock_format(int64_t wall_us, char out[CLOCK_TEXT_BYTES])
{
    static const int64_t last = INT64_C(253402300799999999); /* 9999-12-31T23:59:59.999999Z */
    int64_t us = wall_us < 0 ? 0 : wall_us > last ? last : wall_us;
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    char *at = out;

    gmtime_r(&seconds, &tm);
    at = put_digits(at, tm.tm_year + 1900, 4);
    *at++ = '-';
    at = put_digits(at, tm.tm_mon + 1, 2);
    *at++ = '-';
    at = put_digits(at, tm.tm_mday, 2);
    *at++ = 'T';
    at = put_digits(at, tm.tm_hour, 2);
    *at++ = ':';
    at = put_digits(at, tm.tm_min, 2);
    *at++ = ':';
    at = put_digits(at, tm.tm_sec, 2);
    *at++ = '.';
    at = put_digits(at, us % 1000000, 6);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}
