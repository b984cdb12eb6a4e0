/* ledger/spool.h - one session's spool: a file to which the session can only append, and beside it
 * a small file that says how far it has been read into the ledger. Both are plain files so that
 * they outlive any process (docs/architecture.md, "From the session to the ledger").
 *
 * The session's descriptor holds a shared lock, so that whoever reads the spool can tell whether
 * anybody can still write to it, even after a restart. */
#ifndef LEDGER_SPOOL_H
#define LEDGER_SPOOL_H

#include "base/buf.h"
#include "ipc/record.h"

enum { SPOOL_IDENTITY_MAX = 256 << 10, SPOOL_PUNCH_BYTES = 4 << 20 };

/* The folders, made (0700) if they are not there. */
struct spool_folders {
    int spool_fd, state_fd;
};
enum err spool_folders_open(int directory_fd, struct spool_folders *out);
void spool_folders_close(struct spool_folders *folders);

struct spool {
    uint64_t id;
    int fd, state_fd;
    uint64_t offset;  /* frames before it have been read */
    uint64_t frames;  /* how many those are */
    uint64_t punched; /* disk space before it was given back */
};

/* The session that a file in the spool folder belongs to; false if it is no spool. */
bool spool_parse_name(const char *name, uint64_t *id);

/* A new spool; `*writer` can only append. ERR_EXISTS, ERR_IO, ERR_UNAVAILABLE (no room). */
enum err spool_create(const struct spool_folders *folders, uint64_t id, struct spool *out,
                      int *writer);

/* Takes up a spool that was left over. `*identity` gets what spool_keep_identity() kept.
 * ERR_IO, ERR_NOMEM. */
enum err spool_open(const struct spool_folders *folders, uint64_t id, struct spool *out,
                    struct buf *identity);

/* Keeps a text with the spool for spool_open(). ERR_IO, ERR_LIMIT. */
enum err spool_keep_identity(struct spool *s, struct str text);

/* Bytes in the file. ERR_IO. */
enum err spool_size(const struct spool *s, uint64_t *size);

/* Fills `window` (which may grow to RECORD_FRAME_MAX + `step`) with the bytes from s->offset on,
 * up to `limit` of the file: about `step` of them, more if the first frame needs more. */
enum err spool_read(const struct spool *s, uint64_t limit, size_t step, struct buf *window);

/* The frames before s->offset are in the ledger: remembers it, and gives disk space back. ERR_IO.*/
enum err spool_commit(struct spool *s);

/* Drops what is in it. */
void spool_discard(struct spool *s);

/* Whether nobody can write to it any more. */
bool spool_is_final(const struct spool *s);

/* Closes; with `remove` the files are deleted. */
void spool_close(const struct spool_folders *folders, struct spool *s, bool remove);

#endif
