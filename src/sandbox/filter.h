/* sandbox/filter.h - seccomp filters as tables of rules, compiled once to BPF. Of the room; others
 * use sandbox.h. */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <linux/filter.h>
#include <stddef.h>

#include "base/err.h"

/* Whether this is a build with the address sanitizer, which needs a little more. */
#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

enum filter_kind { FILTER_SESSION, FILTER_LISTENER, FILTER_KEEPER, FILTER_LEDGER, FILTER_CONTROL };

enum { FILTER_INSTRUCTIONS_MAX = 480 };

/* In place of the process id in FILTER_SESSION, until filter_set_process(). */
#define FILTER_PROCESS_PLACE 0x7b1dad05U

struct filter {
    struct sock_filter code[FILTER_INSTRUCTIONS_MAX];
    unsigned short n;
};

/* ERR_UNSUPPORTED if libseccomp or the kernel cannot, ERR_LIMIT, ERR_IO. */
enum err filter_compile(enum filter_kind kind, struct filter *out);

/* Puts the caller's process id where the filter compares with it. */
void filter_set_process(struct filter *f);

/* Enters it for good; no-new-privs must be set. Costs one system call. ERR_UNSUPPORTED. */
enum err filter_enter(const struct filter *f);

#endif
