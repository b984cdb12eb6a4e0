#include "control/recordings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/table.h"
#include "control/s3.h"
#include "fiber/fiber.h"
#include "recording/event.h"
#include "store/recordings.h"

enum {
    SECOND_US = 1000000,
    SCAN_FILES_MAX = 256, /* that are looked into in one round; the others have their turn later */
    KNOWN_MAX = 1 << 20,
    UPLOADS_PER_ROUND = 4,
    DELETIONS_PER_ROUND = 64,
    ARENA_BYTES_MAX = 16 << 20,
    ABANDONED_US = 60 * SECOND_US, /* a file without an end that nobody writes: it is over */
    FILES_MAX = RECORDING_SEGMENTS_MAX,
    LONGEST_LINE = RECORDING_EVENT_MAX,
};

/* What a file in the directory was when it was last looked into. */
struct known {
    uint64_t bytes;
    bool settled; /* its row says all that it will ever say */
};

struct recordings {
    struct recordings_options options;
    struct recording_key *key; /* NULL: they are viewed elsewhere */
    int directory_fd;
    struct table *known; /* struct known by the file's name */
    bool has_s3;
    struct s3 s3;
    char *texts[8]; /* of s3; the last two are secret */
    size_t n_texts;
    atomic_bool stop;
};

/* --- opening
 * --------------------------------------------------------------------------------------- */

static enum err
load_key(struct recordings *r)
{
    struct config_secret file = {SECRET_FILE, r->options.config->private_key};
    struct buf pem = buf_make(RECORDING_PEM_MAX);
    enum err e;

    if (file.value.len == 0)
        return OK;
    if ((e = config_read_secret(&file, &pem)) == OK)
        e = recording_key_private(buf_str(&pem), &r->key);
    buf_free_secret(&pem);
    return e;
}

static const char *
keep(struct recordings *r, const char *text, size_t n)
{
    char *copy = strndup(text, n);

    if (copy != NULL)
        r->texts[r->n_texts++] = copy;
    return copy;
}

static enum err
open_s3(struct recordings *r)
{
    const struct config_s3 *c = &r->options.config->s3;

    if (c->endpoint.len == 0)
        return OK;
    if (r->options.access_key == NULL || r->options.secret_key == NULL)
        return fail(ERR_INVALID, "recordings.s3 needs access_key and secret_key");
    r->s3 = (struct s3){
        .endpoint = keep(r, c->endpoint.ptr, c->endpoint.len),
        .bucket = keep(r, c->bucket.ptr, c->bucket.len),
        .region = keep(r, c->region.ptr, c->region.len),
        .prefix = keep(r, c->prefix.ptr, c->prefix.len),
        .ca = keep(r, c->ca.ptr, c->ca.len),
        .access_key = keep(r, r->options.access_key, strlen(r->options.access_key)),
        .secret_key = keep(r, r->options.secret_key, strlen(r->options.secret_key)),
        .stop = &r->stop,
    };
    r->has_s3 = true;
    return r->n_texts == 7 ? OK : fail(ERR_NOMEM, "no memory for the object store");
}

enum err
recordings_open(const struct recordings_options *options, struct recordings **out)
{
    struct recordings *r = calloc(1, sizeof(*r));
    char *path;
    enum err e = OK;

    if (r == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    r->options = *options;
    r->directory_fd = -1;
    path = strndup(options->config->directory.ptr, options->config->directory.len);
    r->known = table_new(KNOWN_MAX);
    if (path == NULL || r->known == NULL)
        e = fail(ERR_NOMEM, "no memory for recordings");
    else if (mkdir(path, 0750) != 0 && errno != EEXIST)
        e = fail_errno(ERR_IO, "cannot make the directory of recordings %s", path);
    else if ((r->directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        e = fail_errno(ERR_IO, "cannot open the directory of recordings %s", path);
    free(path);
    if (e != OK || (e = load_key(r)) != OK || (e = open_s3(r)) != OK) {
        recordings_close(r);
        return e;
    }
    *out = r;
    return OK;
}

static void
free_known(struct str key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
}

void
recordings_close(struct recordings *r)
{
    if (r == NULL)
        return;
    if (r->known != NULL)
        table_each(r->known, free_known, NULL);
    table_free(r->known);
    recording_key_free(r->key);
    for (size_t i = 0; i < r->n_texts; i++) {
        explicit_bzero(r->texts[i], strlen(r->texts[i]));
        free(r->texts[i]);
    }
    if (r->directory_fd >= 0)
        close(r->directory_fd);
    free(r);
}

bool
recordings_can_read(const struct recordings *r)
{
    return r->key != NULL;
}

/* --- on a thread
 * ------------------------------------------------------------------------------------ */

/* What a thread does, and how it ended: the text of its error would stay on the thread. */
struct task {
    enum err e;
    char why[ERR_TEXT_MAX];
};

static void
task_end(struct task *t, enum err e)
{
    t->e = e;
    if (e != OK)
        (void)snprintf(t->why, sizeof(t->why), "%s", err_text());
}

/* [waits] */
static enum err
run(fiber_fn *fn, struct task *t)
{
    enum err e = fiber_offload(fn, t);

    if (e != OK)
        return e;
    return t->e == OK ? OK : fail(t->e, "%s", t->why);
}

/* --- the directory
 * ---------------------------------------------------------------------------------- */

struct found {
    char name[RECORDING_NAME_BYTES];
    uint64_t session;
    int64_t started_us, changed_us;
    uint64_t bytes;
    struct recording_summary sum;
    bool followed; /* a later segment is there: nobody writes this one any more */
};

struct scan {
    struct task task; /* first */
    struct recordings *r;
    struct found *files; /* SCAN_FILES_MAX */
    size_t n;
};

static enum err
look_into(struct recordings *r, struct found *f)
{
    int fd = openat(r->directory_fd, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct recording_set *set;
    struct stat st;
    enum err e;

    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return fail_errno(ERR_IO, "cannot open the recording %s", f->name);
    }
    f->bytes = (uint64_t)st.st_size;
    f->changed_us = (int64_t)st.st_mtim.tv_sec * SECOND_US;
    if ((e = recording_set_open_files(&fd, 1, NULL, &set)) != OK)
        return e;
    f->started_us = recording_set_header(set)->started_us;
    e = recording_set_summarise(set, &f->sum);
    recording_set_close(set);
    return e;
}

/* Whether its row may have to change. Only reads the table, which nobody changes meanwhile: the
 * fiber that does waits for this thread. */
static bool
is_news(const struct scan *s, const char *name)
{
    const struct known *known = table_get(s->r->known, str_from(name));
    struct stat st;

    if (known == NULL)
        return true;
    return !known->settled || (fstatat(s->r->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                               (uint64_t)st.st_size != known->bytes);
}

static void
add_found(struct scan *s, const char *name)
{
    struct found *f = &s->files[s->n];
    char next[RECORDING_NAME_BYTES];
    unsigned segment;
    struct stat st;

    *f = (struct found){0};
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    if (!recording_parse_name(name, &f->session, &segment))
        return;
    if (look_into(s->r, f) != OK) { /* its header may still be on its way */
        log_warning("recording_unreadable", "file=%s error=%s", name, err_text());
        return;
    }
    recording_name(f->session, segment + 1, next);
    f->followed = segment + 1 < RECORDING_SEGMENTS_MAX &&
                  fstatat(s->r->directory_fd, next, &st, AT_SYMLINK_NOFOLLOW) == 0;
    s->n++;
}

static void
scan_directory(void *arg)
{
    struct scan *s = arg;
    int fd = openat(s->r->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    uint64_t session;
    unsigned segment;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        task_end(&s->task, fail_errno(ERR_IO, "cannot read the directory of recordings"));
        return;
    }
    while (s->n < SCAN_FILES_MAX && (entry = readdir(dir)) != NULL)
        if (recording_parse_name(entry->d_name, &session, &segment) && is_news(s, entry->d_name))
            add_found(s, entry->d_name);
    closedir(dir);
    task_end(&s->task, OK);
}

static void
remember(struct recordings *r, const char *name, uint64_t bytes, bool settled)
{
    struct known *known = table_get(r->known, str_from(name));

    if (known == NULL) {
        if ((known = calloc(1, sizeof(*known))) == NULL)
            return;
        if (table_put(r->known, str_from(name), known, NULL) != OK) {
            free(known);
            return;
        }
    }
    *known = (struct known){bytes, settled};
}

static void
forget(struct recordings *r, const char *name)
{
    free(table_remove(r->known, str_from(name)));
}

static int64_t
retain_until(const struct recordings *r, int64_t ended_us, uint32_t by_rules)
{
    uint64_t seconds = r->options.config->retention_seconds;

    if (by_rules > seconds)
        seconds = by_rules;
    if (seconds == 0 || (uint64_t)ended_us > INT64_MAX - seconds * SECOND_US)
        return INT64_MAX;
    return ended_us + (int64_t)(seconds * SECOND_US);
}

/* The row of that name among the session's. */
static bool
find_row(struct recordings *r, uint64_t session, const char *name, struct arena *arena,
         struct recording *out)
{
    struct recording_list list;

    if (recordings_of(r->options.db, session, arena, &list) != OK)
        return false;
    for (size_t i = 0; i < list.n; i++)
        if (str_is(list.items[i].path, name)) {
            *out = list.items[i];
            return true;
        }
    return false;
}

/* When it was over: with its last chunk, or when nobody writes it any more. 0: not yet. */
static int64_t
ended_at(const struct recordings *r, const struct found *f, int64_t now_us)
{
    bool live = r->options.is_live != NULL && r->options.is_live(r->options.arg, f->session);

    if (f->sum.ended || f->followed || (!live && now_us - f->changed_us > ABANDONED_US))
        return f->changed_us > f->started_us ? f->changed_us : f->started_us;
    return 0;
}

static enum err
index_file(struct recordings *r, const struct found *f, int64_t now_us, struct arena *arena)
{
    struct recording row = {0}, new = {
                                    .session = f->session,
                                    .path = str_from(f->name),
                                    .bytes = f->bytes,
                                    .chunks = f->sum.chunks,
                                    .rows = f->sum.rows,
                                    .started_us = f->started_us,
                                    .ended_us = ended_at(r, f, now_us),
                                    .local = true,
                                };
    enum err e;

    if (find_row(r, f->session, f->name, arena, &row) && row.uploaded_us != 0) {
        /* The object was confirmed, but we ended before the file was removed. */
        if (unlinkat(r->directory_fd, f->name, 0) != 0)
            return fail_errno(ERR_IO, "cannot remove %s", f->name);
        forget(r, f->name);
        return row.local ? recordings_set_uploaded(r->options.db, f->session, new.path,
                                                   row.uploaded_us, false)
                         : OK;
    }
    new.retain_until_us =
        new.ended_us == 0 ? INT64_MAX : retain_until(r, new.ended_us, f->sum.retention_seconds);
    if ((e = recordings_put(r->options.db, &new)) == OK)
        remember(r, f->name, f->bytes, new.ended_us != 0);
    return e;
}

/* [waits] */
static enum err
index_directory(struct recordings *r, int64_t now_us)
{
    struct scan scan = {.r = r};
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    enum err e;

    scan.files = calloc(SCAN_FILES_MAX, sizeof(*scan.files));
    if (scan.files == NULL || arena == NULL)
        e = fail(ERR_NOMEM, "no memory for recordings");
    else
        e = run(scan_directory, &scan.task);
    for (size_t i = 0; i < scan.n && e == OK; i++) {
        e = index_file(r, &scan.files[i], now_us, arena);
        arena_reset(arena);
    }
    free(scan.files);
    arena_free(arena);
    return e;
}

/* --- uploads
 * ----------------------------------------------------------------------------------------- */

struct transfer {
    struct task task; /* first */
    struct recordings *r;
    char name[RECORDING_NAME_BYTES];
    int fd;
};

static void
upload(void *arg)
{
    struct transfer *t = arg;
    struct stat st;
    enum err e;

    t->fd = openat(t->r->directory_fd, t->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (t->fd < 0 || fstat(t->fd, &st) != 0)
        e = fail_errno(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s", t->name);
    else
        e = s3_put(&t->r->s3, t->name, t->fd, (uint64_t)st.st_size);
    if (t->fd >= 0)
        close(t->fd);
    task_end(&t->task, e);
}

static bool
take_name(struct str path, char out[RECORDING_NAME_BYTES])
{
    uint64_t session;
    unsigned segment;

    if (path.len >= RECORDING_NAME_BYTES)
        return false;
    (void)snprintf(out, RECORDING_NAME_BYTES, "%.*s", STR_ARG(path));
    return recording_parse_name(out, &session, &segment);
}

/* [waits] The local file goes only when the store has confirmed the object, and the index says so:
 * whatever ends us in between, the next round goes on from there. */
static enum err
upload_one(struct recordings *r, const struct recording *row)
{
    struct transfer t = {.r = r, .fd = -1};
    uint64_t session = row->session;
    enum err e;

    if (!take_name(row->path, t.name))
        return fail(ERR_INVALID, "a recording with an impossible name");
    if ((e = run(upload, &t.task)) != OK)
        return e == ERR_NOT_FOUND ? OK : e; /* of another gateway that shares the store */
    if ((e = recordings_set_uploaded(r->options.db, session, str_from(t.name), clock_wall_us(),
                                     true)) != OK)
        return e;
    if (unlinkat(r->directory_fd, t.name, 0) != 0 && errno != ENOENT)
        return fail_errno(ERR_IO, "cannot remove %s", t.name);
    forget(r, t.name);
    log_info("recording_uploaded", "file=%s", t.name);
    return recordings_set_uploaded(r->options.db, session, str_from(t.name), clock_wall_us(),
                                   false);
}

/* [waits] */
static enum err
upload_ended(struct recordings *r)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct recording_list list = {0};
    enum err e;

    if (!r->has_s3 || arena == NULL) {
        arena_free(arena);
        return arena == NULL ? fail(ERR_NOMEM, "no memory for recordings") : OK;
    }
    e = recordings_to_upload(r->options.db, UPLOADS_PER_ROUND, arena, &list);
    for (size_t i = 0; i < list.n && e == OK; i++)
        e = upload_one(r, &list.items[i]);
    arena_free(arena);
    return e;
}

/* --- the end of retention
 * ------------------------------------------------------------------------------ */

static void
delete_object(void *arg)
{
    struct transfer *t = arg;

    task_end(&t->task, s3_delete(&t->r->s3, t->name));
}

static bool
is_here(const struct recordings *r, const char *name)
{
    struct stat st;

    return fstatat(r->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* [waits] Said in the ledger, then taken from the index, which refuses under a legal hold; only
 * then is it gone. An object that cannot be deleted now gets its row back. */
static enum err
delete_one(struct recordings *r, const struct recording *row)
{
    struct transfer t = {.r = r, .fd = -1};
    char detail[128];
    enum err e;

    if (!take_name(row->path, t.name))
        return fail(ERR_INVALID, "a recording with an impossible name");
    if (row->local && !is_here(r, t.name) && row->uploaded_us == 0)
        return OK; /* another gateway's */
    if (row->uploaded_us != 0 && !r->has_s3)
        return fail(ERR_UNAVAILABLE, "the object store of %s is not configured any more", t.name);
    (void)snprintf(detail, sizeof(detail), "%s: its retention is over", t.name);
    if ((e = r->options.record(r->options.arg, STR("recording_deleted"), str_from(detail))) != OK ||
        (e = recordings_delete(r->options.db, row->session, row->path)) != OK)
        return e == ERR_DENIED ? OK : e;
    forget(r, t.name);
    if (unlinkat(r->directory_fd, t.name, 0) != 0 && errno != ENOENT)
        return fail_errno(ERR_IO, "cannot remove %s", t.name);
    if (row->uploaded_us != 0 && (e = run(delete_object, &t.task)) != OK) {
        err_ignore(recordings_put(r->options.db, row));
        return fail(e, "%s", t.task.why);
    }
    log_info("recording_deleted", "file=%s", t.name);
    return OK;
}

/* [waits] */
static enum err
delete_due(struct recordings *r, int64_t now_us)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct recording_list list = {0};
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    e = recordings_due(r->options.db, now_us, DELETIONS_PER_ROUND, arena, &list);
    for (size_t i = 0; i < list.n && e == OK; i++)
        e = delete_one(r, &list.items[i]);
    arena_free(arena);
    return e;
}

enum err
recordings_sweep(struct recordings *r, int64_t now_us)
{
    enum err e;

    if ((e = index_directory(r, now_us)) != OK)
        return e;
    if ((e = upload_ended(r)) != OK)
        log_warning("recordings_not_uploaded", "error=%s", err_text());
    return delete_due(r, now_us);
}

void
recordings_stop(struct recordings *r)
{
    if (r != NULL)
        atomic_store(&r->stop, true);
}

/* --- questions
 * ------------------------------------------------------------------------------------------- */

/* The index is behind by a round: what is there of an open session is looked at. */
static enum err
find_file(struct recordings *r, uint64_t session, struct recordings_entry *out)
{
    struct recording_summary sum;
    struct recording_set *set;
    enum err e;

    if ((e = recording_set_open(r->directory_fd, session, NULL, &set)) != OK)
        return e;
    if ((e = recording_set_summarise(set, &sum)) == OK)
        *out = (struct recordings_entry){.session = session,
                                         .bytes = sum.bytes,
                                         .chunks = sum.chunks,
                                         .rows = sum.rows,
                                         .ended = sum.ended};
    recording_set_close(set);
    return e;
}

static void
add_row(struct recordings_entry *out, const struct recording *row)
{
    out->bytes += row->bytes;
    out->chunks += row->chunks;
    out->rows = out->rows || row->rows > 0;
    out->legal_hold = out->legal_hold || row->legal_hold;
    out->uploaded = out->uploaded || row->uploaded_us != 0;
    out->ended = row->ended_us != 0; /* of the last one */
    if (row->ended_us != 0 && row->retain_until_us != INT64_MAX &&
        row->retain_until_us > out->retain_until_us)
        out->retain_until_us = row->retain_until_us;
}

enum err
recordings_find(struct recordings *r, uint64_t session, struct recordings_entry *out)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct recording_list list = {0};
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    *out = (struct recordings_entry){.session = session};
    e = recordings_of(r->options.db, session, arena, &list);
    for (size_t i = 0; i < list.n && e == OK; i++)
        add_row(out, &list.items[i]);
    if (e == OK && list.n == 0)
        e = find_file(r, session, out);
    arena_free(arena);
    return e;
}

enum err
recordings_hold(struct recordings *r, uint64_t session, bool on)
{
    enum err e = recordings_set_legal_hold(r->options.db, session, on);

    if (e != ERR_NOT_FOUND)
        return e;
    if ((e = index_directory(r, clock_wall_us())) != OK) /* it may be newer than the last round */
        return e;
    return recordings_set_legal_hold(r->options.db, session, on);
}

/* --- reading
 * ------------------------------------------------------------------------------------------------
 */

struct reading {
    struct task task; /* first */
    struct recordings *r;
    uint64_t session;
    struct recordings_page *page; /* NULL: an export */
    enum recording_format format;
    struct buf *out;
    char names[FILES_MAX][RECORDING_NAME_BYTES];
    size_t n;
};

/* A file without a name in the directory, for what comes from the object store. */
static enum err
fetch(struct recordings *r, const char *name, int *fd)
{
    enum err e;

    if (!r->has_s3)
        return fail(ERR_UNAVAILABLE, "%s was moved to an object store that is not configured",
                    name);
    *fd = openat(r->directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0)
        return fail_errno(ERR_UNAVAILABLE, "no room for %s", name);
    if ((e = s3_get(&r->s3, name, *fd)) != OK)
        close(*fd);
    return e;
}

static enum err
open_files(struct reading *g, struct recording_set **out)
{
    int *fds = calloc(FILES_MAX, sizeof(*fds));
    size_t n = 0;
    enum err e = fds == NULL ? fail(ERR_NOMEM, "no memory for a recording") : OK;

    for (; e == OK && n < g->n; n++) {
        fds[n] = openat(g->r->directory_fd, g->names[n], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fds[n] < 0 && (e = fetch(g->r, g->names[n], &fds[n])) != OK)
            break;
    }
    if (e == OK)
        e = recording_set_open_files(fds, n, g->r->key, out); /* takes them over */
    else
        for (size_t i = 0; i < n; i++)
            close(fds[i]);
    free(fds);
    return e;
}

/* One event, if the page has room for it; `*full` otherwise. */
static enum err
add_event(struct reading *g, struct str line, size_t n, bool *full)
{
    if (g->out->len + line.len + 2 > g->out->max) {
        *full = true;
        return n > 0 ? OK
                     : fail(ERR_LIMIT, "an event of %zu bytes is too large to be shown; export it",
                            line.len);
    }
    if (n > 0)
        buf_put_u8(g->out, ',');
    buf_put_str(g->out, line);
    return buf_ok(g->out);
}

static enum err
read_events(struct reading *g, struct recording_set *set)
{
    struct recordings_page *p = g->page;
    struct recording_event_head head;
    struct str line;
    size_t n = 0;
    bool full = false;
    enum err e;

    p->next_us = p->from_us;
    p->next_after = p->after;
    if ((e = recording_set_seek(set, p->from_us)) != OK)
        return e;
    while (n < p->limit && !full && (e = recording_set_next(set, &line)) == OK) {
        if ((e = recording_event_head(line, &head)) != OK)
            return e;
        if (head.at_us < p->from_us || head.number <= p->after)
            continue;
        if ((e = add_event(g, line, n, &full)) != OK)
            return e;
        if (full)
            break;
        n++;
        p->next_us = head.at_us;
        p->next_after = head.number;
    }
    p->more = e == OK;
    p->cut_off = recording_set_end(set) == RECORDING_CUT_OFF;
    return e == ERR_CLOSED ? OK : e;
}

static enum err
collect(void *arg, struct str bytes)
{
    buf_put_str(arg, bytes);
    return buf_ok(arg);
}

static void
read_recording(void *arg)
{
    struct reading *g = arg;
    struct recording_set *set = NULL;
    enum err e = open_files(g, &set);

    if (e == OK && g->page != NULL) {
        buf_put_u8(g->out, '[');
        e = read_events(g, set);
        buf_put_u8(g->out, ']');
    } else if (e == OK) {
        e = recording_export(set, g->format, collect, g->out);
    }
    recording_set_close(set);
    task_end(&g->task, e);
}

/* The names of the session's files, from the index and, where that is behind, from the directory.
 */
static enum err
name_files(struct reading *g)
{
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct recording_list list = {0};
    enum err e;

    if (arena == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    e = recordings_of(g->r->options.db, g->session, arena, &list);
    for (size_t i = 0; i < list.n && e == OK; i++) {
        uint64_t session;
        unsigned segment;
        char name[RECORDING_NAME_BYTES];

        if (!take_name(list.items[i].path, name) ||
            !recording_parse_name(name, &session, &segment) || session != g->session)
            continue;
        memcpy(g->names[segment], name, sizeof(name));
        g->n = segment + 1 > g->n ? segment + 1 : g->n;
    }
    arena_free(arena);
    while (e == OK && g->n < FILES_MAX) {
        recording_name(g->session, (unsigned)g->n, g->names[g->n]);
        if (!is_here(g->r, g->names[g->n]))
            break;
        g->n++;
    }
    for (size_t i = 0; i < g->n && e == OK; i++)
        if (g->names[i][0] == '\0')
            e = fail(ERR_NOT_FOUND, "a segment of the recording is missing");
    if (e == OK && g->n == 0)
        e = fail(ERR_NOT_FOUND, "session %016llx has no recording here",
                 (unsigned long long)g->session);
    return e;
}

/* [waits] */
static enum err
read_on_thread(struct recordings *r, uint64_t session, struct recordings_page *page,
               enum recording_format format, struct buf *out)
{
    struct reading *g;
    enum err e;

    if (r->key == NULL)
        return fail(ERR_UNAVAILABLE,
                    "recordings cannot be viewed here, for recordings.private_key is not set; use "
                    "'bulkhead replay' where the private key is");
    if ((g = calloc(1, sizeof(*g))) == NULL)
        return fail(ERR_NOMEM, "no memory for a recording");
    g->r = r;
    g->session = session;
    g->page = page;
    g->format = format;
    g->out = out;
    if ((e = name_files(g)) == OK)
        e = run(read_recording, &g->task);
    free(g);
    return e;
}

enum err
recordings_read(struct recordings *r, uint64_t session, struct recordings_page *page,
                struct buf *out)
{
    return read_on_thread(r, session, page, RECORDING_JSON, out);
}

enum err
recordings_export(struct recordings *r, uint64_t session, enum recording_format format,
                  struct buf *out)
{
    return read_on_thread(r, session, NULL, format, out);
}
