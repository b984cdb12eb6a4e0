/* base/clock.h - time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds of a clock that never goes back; for deadlines. */
int64_t clock_monotonic_ms(void);

/* Microseconds of the same clock; for durations. */
int64_t clock_monotonic_us(void);

/* Microseconds since 1970-01-01T00:00:00Z. */
int64_t clock_wall_us(void);

enum { CLOCK_TEXT_BYTES = sizeof("2026-01-01T00:00:00.000000Z") };

/* RFC 3339 text of `wall_us` in UTC with microseconds; years 1970 to 9999, others are clamped.
 * Uses no time-zone file, so it works inside a sandbox. Returns the length without the NUL. */
size_t clock_format(int64_t wall_us, char out[CLOCK_TEXT_BYTES]);

#endif
