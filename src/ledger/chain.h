/* ledger/chain.h - writes the ledger: an append-only series of files in which each record carries
 * the hash of the one before (docs/ledger.md). One writer at a time, by a lock. */
#ifndef LEDGER_CHAIN_H
#define LEDGER_CHAIN_H

#include "base/json.h"

struct chain;

/* Opens the series in `directory` (made, 0750, if it is not there) for writing. Checks how the
 * files join and every record of the last one; cuts an incomplete last line off. ERR_EXISTS:
 * another process has it; ERR_INVALID: damaged, nothing was changed, err_text() says where;
 * ERR_IO, ERR_NOMEM. A file is ended once it has `file_bytes`. */
enum err chain_open(const char *directory, uint64_t file_bytes, struct chain **out);

/* Closes without writing what is pending. NULL is allowed. */
void chain_close(struct chain *c);

void chain_set_file_bytes(struct chain *c, uint64_t file_bytes);

/* The open directory. */
int chain_directory(const struct chain *c);

/* Bytes that chain_open() cut off, and the name of the file; 0 if none. */
uint64_t chain_cut(const struct chain *c, const char **file);

/* Calls `fn` with each line of the last file that chain_open() found. ERR_IO, ERR_NOMEM. */
enum err chain_each_recent(struct chain *c, void (*fn)(void *arg, struct str line), void *arg);

/* Begins a record; the caller adds its fields to the returned writer (an object is open). */
struct json *chain_begin(struct chain *c, int64_t wall_us, const char *type);

/* Ends it: seals it into the chain and queues it for chain_write(). ERR_LIMIT, ERR_NOMEM: it does
 * not fit; the chain is as before chain_begin(). */
enum err chain_end(struct chain *c);

/* Bytes queued. */
size_t chain_pending(const struct chain *c);

/* Appends what is queued to the file, beginning a new one where due. ERR_UNAVAILABLE (no room on
 * the disk), ERR_IO: the rest stays queued, and may be tried again. */
enum err chain_write(struct chain *c);

/* Makes what was written durable. ERR_IO: the kernel may have dropped it; do not go on. */
enum err chain_sync(struct chain *c);

#endif
