/* mask/detect.h - the second net: finds personal data and secrets in any value that leaves, and
 * overwrites what was found with '*', byte by byte, so that nothing changes its length. One
 * vectorscan pass finds candidates for all patterns at once; PCRE2 and checksums confirm. Pure. */
#ifndef MASK_DETECT_H
#define MASK_DETECT_H

#include "mask/rule.h"

struct detectors; /* compiled; shared by all scans of a process */
struct detect_scan;

enum {
    DETECT_MATCH_MAX = 8192, /* bytes of one match; longer ones of private keys are followed */
};

/* The names of the built-in detectors, ended by NULL: email, phone, us-ssn, card, iban, jwt,
 * private-key, cloud-key, ipv4, ipv6. */
extern const char *const detect_builtin[];

/* Compiles rules. ERR_INVALID: a pattern is none, or could match nothing at all (err_text() says
 * which and why); ERR_NOMEM. `*out` is the caller's. */
enum err detectors_compile(const struct detect_rule *rules, size_t n, struct detectors **out);
/* The same without the tens of milliseconds that compiling takes: serialize() appends what
 * deserialize() makes detectors of, given the same rules; both processes must have the same
 * processor and library. The bytes are trusted. ERR_INVALID: they are of something else;
 * ERR_LIMIT, ERR_NOMEM. */
enum err detectors_serialize(const struct detectors *d, struct buf *out);
enum err detectors_deserialize(struct str bytes, const struct detect_rule *rules, size_t n,
                               struct detectors **out);

struct detectors *detectors_hold(struct detectors *d); /* NULL is allowed, below too */
void detectors_free(struct detectors *d);              /* gives one hold back */

/* The name of the rule with this number. */
struct str detectors_name(const struct detectors *d, size_t rule);

/* How often PCRE2 was asked, so far: what candidates cost. */
uint64_t detectors_work(const struct detectors *d);

/* Overwrites all matches in `value`, in place; adds to `hits[rule]` what each rule found (`hits`
 * may be NULL). Returns the number of matches. Never fails: what it cannot decide it overwrites. */
size_t detectors_redact(struct detectors *d, char *value, size_t len, uint64_t *hits);

/* A value, or an endless stream, that arrives in pieces. */
enum err detect_scan_open(struct detectors *d, struct detect_scan **out);
void detect_scan_close(struct detect_scan *s); /* NULL is allowed */

/* Takes more bytes and appends to `out` what is safe to send on: as many bytes in all as came in,
 * later by at most DETECT_MATCH_MAX. detect_scan_end() gives the rest; the scan may then be used
 * for another value. */
enum err detect_scan_feed(struct detect_scan *s, struct str piece, struct buf *out, uint64_t *hits);
enum err detect_scan_end(struct detect_scan *s, struct buf *out, uint64_t *hits);

#endif
