/* gate/ledger_link.h - a session's way to the ledger: frames appended to its spool. A frame is
 * handed over once ledger_link_flush() returned OK: it then survives the death of this process
 * and of every other of ours. */
#ifndef GATE_LEDGER_LINK_H
#define GATE_LEDGER_LINK_H

#include "base/buf.h"

struct ledger_link;

/* [waits] Adopts `channel` and receives the spool over it. `broken` is called once, from a fiber
 * and without waiting, when the ledger is gone. ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_NOMEM. */
enum err ledger_link_open(int channel, int64_t deadline_ms, void (*broken)(void *arg), void *arg,
                          struct ledger_link **out);

/* [waits] Hands over what is left and closes; NULL is allowed. */
void ledger_link_close(struct ledger_link *l);

/* The frames not yet handed over; append with record_put_…(). */
struct buf *ledger_link_frames(struct ledger_link *l);

/* Hands the frames over, in one write. ERR_UNAVAILABLE: the ledger is gone or its disk full;
 * nothing may be forwarded any more. */
enum err ledger_link_flush(struct ledger_link *l);

/* Lets the frames wait for the next flush, which comes by itself within a few milliseconds:
 * saves a system call where a command's outcome is followed by the next intent. */
void ledger_link_flush_soon(struct ledger_link *l);

/* About how many bytes of the spool the ledger has not read yet: those whose disk space it has not
 * given back. Far too many where the file system cannot give space back. */
uint64_t ledger_link_backlog(const struct ledger_link *l);

#endif
