/* protocol/postgres/target.h - the gateway as client of the real server: TLS, StartupMessage,
 * proofs from the keeper, up to its first ReadyForQuery. */
#ifndef PROTOCOL_POSTGRES_TARGET_H
#define PROTOCOL_POSTGRES_TARGET_H

#include "gate/door.h"
#include "protocol/postgres/settings.h"

enum { PGTARGET_PARAMETERS_BYTES_MAX = 64 << 10, PGTARGET_REASON_MAX = 256 };

struct pgtarget {
    struct stream *stream;
    uint32_t cancel_id; /* the server's own key */
    unsigned char cancel_secret[PGWIRE_KEY_MAX];
    size_t cancel_secret_len; /* 0: the server gave none */
    struct buf parameters;    /* its ParameterStatus messages, as they came */
    enum pgwire_status status;
    /* Of a failed login, for the client: */
    char sqlstate[6];
    char reason[PGTARGET_REASON_MAX];
};

/* [waits] Logs in over grant->target_fd, which is taken over. `*out` ends with pgtarget_close()
 * whatever the result; on failure sqlstate and reason are fit for the client. */
enum err pgtarget_open(struct door *door, const struct grant *grant,
                       const struct pgsettings *settings, struct pgtarget *out);
void pgtarget_close(struct pgtarget *t);

/* [waits] Sends the server's cancel request over the fresh connection `fd`, which is taken over. */
enum err pgtarget_cancel(struct door *door, const struct grant *grant, const struct pgtarget *t,
                         int fd, int64_t deadline_ms);

/* Whether a ParameterStatus keeps what the gateway relies upon: client_encoding UTF8 and
 * standard_conforming_strings on. ERR_UNSUPPORTED. */
enum err pgtarget_check_parameter(const struct pgwire_parameter *p);

#endif
