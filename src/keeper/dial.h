/* keeper/dial.h - connections to targets. */
#ifndef KEEPER_DIAL_H
#define KEEPER_DIAL_H

#include "config/config.h"

/* [waits] Resolves the address and connects, trying each of its addresses in turn. `*fd` is the
 * caller's: connected, non-blocking, close-on-exec. ERR_UNAVAILABLE: err_text() says why in words
 * fit for the client; ERR_TIMEOUT. */
enum err dial(const struct config_address *address, int64_t deadline_ms, int *fd);

#endif
