#include "ledger/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 32, ID_DIGITS = 16, STATE_BYTES = 16 };

static void
make_name(uint64_t id, const char *suffix, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%0*llx.%s", ID_DIGITS, (unsigned long long)id, suffix);
}

bool
spool_parse_name(const char *name, uint64_t *id)
{
    char again[NAME_BYTES];
    uint64_t value = 0;

    for (int i = 0; i < ID_DIGITS; i++) {
        char c = name[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    make_name(value, "spool", again);
    *id = value;
    return strcmp(name, again) == 0;
}

static enum err
open_folder(int directory_fd, const char *name, int *out)
{
    if (mkdirat(directory_fd, name, 0700) != 0 && errno != EEXIST)
        return fail_errno(ERR_IO, "cannot make the ledger's folder %s", name);
    *out = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*out < 0)
        return fail_errno(ERR_IO, "cannot open the ledger's folder %s", name);
    return OK;
}

enum err
spool_folders_open(int directory_fd, struct spool_folders *out)
{
    enum err e;

    out->spool_fd = out->state_fd = -1;
    if ((e = open_folder(directory_fd, "spool", &out->spool_fd)) == OK &&
        (e = open_folder(directory_fd, "state", &out->state_fd)) == OK)
        return OK;
    spool_folders_close(out);
    return e;
}

void
spool_folders_close(struct spool_folders *folders)
{
    if (folders->spool_fd >= 0)
        close(folders->spool_fd);
    if (folders->state_fd >= 0)
        close(folders->state_fd);
    folders->spool_fd = folders->state_fd = -1;
}

static enum err
fail_to_make(uint64_t id)
{
    if (errno == EEXIST)
        return fail(ERR_EXISTS, "session %016llx has a spool already", (unsigned long long)id);
    return fail_errno(errno == ENOSPC || errno == EDQUOT || errno == EMFILE || errno == ENFILE
                          ? ERR_UNAVAILABLE
                          : ERR_IO,
                      "cannot make a spool");
}

enum err
spool_create(const struct spool_folders *folders, uint64_t id, struct spool *out, int *writer)
{
    char name[NAME_BYTES];
    enum err e;

    *out = (struct spool){.id = id, .fd = -1, .state_fd = -1};
    make_name(id, "spool", name);
    *writer =
        openat(folders->spool_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (*writer < 0)
        return fail_to_make(id);
    out->fd = openat(folders->spool_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    make_name(id, "state", name);
    if (out->fd >= 0)
        out->state_fd =
            openat(folders->state_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out->state_fd >= 0 && flock(*writer, LOCK_SH | LOCK_NB) == 0)
        return OK;
    e = fail_to_make(id);
    close(*writer);
    *writer = -1;
    spool_close(folders, out, true);
    return e;
}

static uint64_t
load_u64(const unsigned char *from)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | from[i];
    return value;
}

static void
store_u64(unsigned char *to, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        to[i] = (unsigned char)value;
}

static enum err
read_state(struct spool *s, struct buf *identity)
{
    unsigned char state[STATE_BYTES];
    ssize_t n = pread(s->state_fd, state, sizeof(state), 0);
    enum err e;

    if (n < 0)
        return fail_errno(ERR_IO, "cannot read a spool's state");
    if (n < STATE_BYTES)
        return OK;
    s->offset = load_u64(state);
    s->frames = load_u64(state + 8);
    if ((e = buf_reserve(identity, SPOOL_IDENTITY_MAX)) != OK)
        return e;
    if ((n = pread(s->state_fd, identity->ptr, SPOOL_IDENTITY_MAX, STATE_BYTES)) < 0)
        return fail_errno(ERR_IO, "cannot read a spool's state");
    identity->len = (size_t)n;
    return OK;
}

enum err
spool_open(const struct spool_folders *folders, uint64_t id, struct spool *out,
           struct buf *identity)
{
    char name[NAME_BYTES];
    enum err e;

    *out = (struct spool){.id = id, .fd = -1, .state_fd = -1};
    make_name(id, "spool", name);
    out->fd = openat(folders->spool_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    make_name(id, "state", name);
    if (out->fd >= 0)
        out->state_fd =
            openat(folders->state_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out->state_fd < 0)
        e = fail_errno(ERR_IO, "cannot open the spool of session %016llx", (unsigned long long)id);
    else
        e = read_state(out, identity);
    if (e != OK)
        spool_close(folders, out, false);
    return e;
}

/* Whole, or an error: the file is the ledger's own and small. */
static enum err
write_state(const struct spool *s, const void *bytes, size_t n, off_t at)
{
    ssize_t done;

    do
        done = pwrite(s->state_fd, bytes, n, at);
    while (done < 0 && errno == EINTR);
    if (done != (ssize_t)n)
        return fail_errno(ERR_IO, "cannot write a spool's state");
    return OK;
}

enum err
spool_keep_identity(struct spool *s, struct str text)
{
    enum err e;

    if (text.len > SPOOL_IDENTITY_MAX)
        return fail(ERR_LIMIT, "an identity of %zu bytes", text.len);
    if ((e = write_state(s, text.ptr, text.len, STATE_BYTES)) != OK)
        return e;
    return spool_commit(s);
}

enum err
spool_size(const struct spool *s, uint64_t *size)
{
    struct stat st;

    if (fstat(s->fd, &st) != 0)
        return fail_errno(ERR_IO, "cannot look at a spool");
    *size = (uint64_t)st.st_size;
    return OK;
}

static enum err
fill(const struct spool *s, size_t want, struct buf *window)
{
    enum err e;

    if ((e = buf_reserve(window, want - window->len)) != OK)
        return e;
    while (window->len < want) {
        ssize_t n = pread(s->fd, window->ptr + window->len, want - window->len,
                          (off_t)(s->offset + window->len));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(ERR_IO, "cannot read a spool");
        if (n == 0)
            break;
        window->len += (size_t)n;
    }
    return OK;
}

enum err
spool_read(const struct spool *s, uint64_t limit, size_t step, struct buf *window)
{
    uint64_t left = limit > s->offset ? limit - s->offset : 0;
    struct cursor header;
    size_t frame;
    enum err e;

    buf_reset(window);
    if ((e = fill(s, left < step ? (size_t)left : step, window)) != OK)
        return e;
    header = cursor_make(buf_str(window));
    frame = 4 + (size_t)cursor_u32(&header);
    if (header.failed || frame <= window->len || frame > RECORD_FRAME_MAX || frame > left)
        return OK;
    return fill(s, frame, window);
}

enum err
spool_commit(struct spool *s)
{
    unsigned char state[STATE_BYTES];
    enum err e;

    store_u64(state, s->offset);
    store_u64(state + 8, s->frames);
    if ((e = write_state(s, state, sizeof(state), 0)) != OK)
        return e;
    if (s->offset - s->punched >= SPOOL_PUNCH_BYTES) {
        /* Not every file system can; then the space comes back when the session ends. */
        (void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->punched,
                        (off_t)(s->offset - s->punched));
        s->punched = s->offset;
    }
    return OK;
}

void
spool_discard(struct spool *s)
{
    if (ftruncate(s->fd, 0) != 0)
        return; /* it is deleted with the session anyway */
}

bool
spool_is_final(const struct spool *s)
{
    return flock(s->fd, LOCK_EX | LOCK_NB) == 0;
}

void
spool_close(const struct spool_folders *folders, struct spool *s, bool remove)
{
    char name[NAME_BYTES];

    if (s->fd >= 0)
        close(s->fd);
    if (s->state_fd >= 0)
        close(s->state_fd);
    s->fd = s->state_fd = -1;
    if (!remove)
        return;
    /* The spool first: a state without a spool means nothing, but a spool without its state would
     * be read again from its start. */
    make_name(s->id, "spool", name);
    (void)unlinkat(folders->spool_fd, name, 0);
    make_name(s->id, "state", name);
    (void)unlinkat(folders->state_fd, name, 0);
}
