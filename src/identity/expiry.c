#include "identity/expiry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/table.h"
#include "identity/statefile.h"

enum {
    LINE_BYTES_MAX = EXPIRY_NAME_BYTES_MAX + 32,
    FILE_BYTES_MAX = 256 << 20,
    PRUNE_EVERY_SECONDS = 60,
};

struct expiry_set {
    char *path; /* NULL: memory only */
    int fd;     /* for appending; -1 without a file */
    bool durable;
    size_t max;
    size_t lines;        /* in the file, expired ones too */
    off_t end;           /* of the last whole line */
    int64_t pruned;      /* seconds */
    struct table *names; /* name → struct entry */
};

struct entry {
    int64_t expires;
};

/* Lists entries of the table, for what must not happen while walking it. */
struct listing {
    struct str *names; /* borrowed from the table */
    size_t n;
    int64_t expired_at; /* only those; INT64_MAX: all */
};

static void
list_one(struct str key, void *value, void *arg)
{
    const struct entry *entry = value;
    struct listing *list = arg;

    if (entry->expires < list->expired_at)
        list->names[list->n++] = key;
}

static enum err
list_names(const struct expiry_set *s, int64_t expired_at, struct listing *out)
{
    *out = (struct listing){.expired_at = expired_at};
    out->names = calloc(table_count(s->names) + 1, sizeof(*out->names));
    if (out->names == NULL)
        return fail(ERR_NOMEM, "no memory for a list of tokens");
    table_each(s->names, list_one, out);
    return OK;
}

static enum err
remember(struct expiry_set *s, struct str name, int64_t expires)
{
    struct entry *entry = malloc(sizeof(*entry));
    void *old = NULL;
    enum err e;

    if (entry == NULL)
        return fail(ERR_NOMEM, "no memory for a token's name");
    entry->expires = expires;
    if ((e = table_put(s->names, name, entry, &old)) != OK)
        free(entry);
    free(old);
    return e;
}

static bool
is_plain(struct str name)
{
    if (name.len == 0 || name.len > EXPIRY_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    return true;
}

static enum err
write_all(int fd, struct str bytes, const char *path)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail_errno(ERR_IO, "writing %s", path);
        bytes = str_skip(bytes, (size_t)n);
    }
    return OK;
}

static void
format_line(struct buf *line, struct str name, int64_t expires)
{
    buf_printf(line, "%lld %.*s\n", (long long)expires, STR_ARG(name));
}

/* Writes the file anew with what is in the set, beside the old one, and puts it in its place. */
static enum err
rewrite(struct expiry_set *s)
{
    struct buf text = buf_make(FILE_BYTES_MAX);
    char temporary[STATEFILE_PATH_MAX];
    struct listing list;
    enum err e;
    int fd = -1;

    if ((e = list_names(s, INT64_MAX, &list)) != OK)
        return e;
    for (size_t i = 0; i < list.n; i++) {
        const struct entry *entry = table_get(s->names, list.names[i]);

        format_line(&text, list.names[i], entry->expires);
    }
    free(list.names);
    if (snprintf(temporary, sizeof(temporary), "%s.new", s->path) >= (int)sizeof(temporary))
        e = fail(ERR_LIMIT, "the state directory's name is too long");
    else
        e = buf_ok(&text);
    if (e == OK) {
        (void)unlink(temporary);
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            e = fail_errno(ERR_IO, "creating %s", temporary);
        else
            e = write_all(fd, buf_str(&text), temporary);
    }
    if (e == OK && (fsync(fd) != 0 || rename(temporary, s->path) != 0))
        e = fail_errno(ERR_IO, "replacing %s", s->path);
    if (e != OK) {
        if (fd >= 0)
            close(fd);
        buf_free(&text);
        return e;
    }
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->lines = list.n;
    s->end = (off_t)text.len;
    buf_free(&text);
    return statefile_sync_folder(s->path);
}

/* Forgets what has expired; the file is written anew once most of it is of no use. */
static enum err
prune(struct expiry_set *s, int64_t now)
{
    struct listing list;
    enum err e;

    s->pruned = now;
    if ((e = list_names(s, now, &list)) != OK)
        return e;
    /* The key is the table's own and goes with the entry, so it is not used after. */
    for (size_t i = 0; i < list.n; i++)
        free(table_remove(s->names, list.names[i]));
    free(list.names);
    if (s->path != NULL && s->lines > 2 * table_count(s->names) + 1000)
        return rewrite(s);
    return OK;
}

static enum err
read_line(struct expiry_set *s, struct str line, int64_t now, size_t number)
{
    struct str seconds, name = str_cut(line, ' ', &seconds);
    uint64_t expires;

    if (!str_to_uint(seconds, INT64_MAX, &expires) || !is_plain(name))
        return fail(ERR_INVALID,
                    "%s:%zu: this line is damaged; restore the file or remove the line", s->path,
                    number);
    s->lines++;
    return (int64_t)expires < now ? OK : remember(s, name, (int64_t)expires);
}

static enum err
read_text(struct expiry_set *s, struct str text, int64_t now, bool *torn)
{
    size_t number = 0;
    enum err e;

    while (text.len > 0) {
        size_t end = str_index(text, '\n');

        if (end == text.len) {
            *torn = true;
            return OK;
        }
        if ((e = read_line(s, (struct str){text.ptr, end}, now, ++number)) != OK)
            return e;
        text = str_skip(text, end + 1);
        s->end += (off_t)end + 1;
    }
    return OK;
}

static enum err
read_file(struct expiry_set *s, int64_t now)
{
    struct buf text = buf_make(FILE_BYTES_MAX);
    bool torn = false;
    struct stat st;
    enum err e;

    s->fd = open(s->path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return fail_errno(ERR_IO, "opening %s", s->path);
    if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return fail(ERR_IO, "%s is not a file", s->path);
    if (st.st_size > FILE_BYTES_MAX)
        return fail(ERR_LIMIT, "%s is larger than %d bytes", s->path, FILE_BYTES_MAX);
    if ((e = buf_reserve(&text, (size_t)st.st_size + 1)) != OK)
        return e;
    while (text.len < (size_t)st.st_size) {
        ssize_t n = read(s->fd, text.ptr + text.len, (size_t)st.st_size - text.len);

        if (n <= 0) {
            e = fail_errno(ERR_IO, "reading %s", s->path);
            break;
        }
        text.len += (size_t)n;
    }
    if (e == OK)
        e = read_text(s, buf_str(&text), now, &torn);
    buf_free(&text);
    if (e != OK)
        return e;
    if (torn || s->lines > table_count(s->names))
        return rewrite(s);
    return statefile_sync_folder(s->path);
}

enum err
expiry_open(const char *path, size_t max, bool durable, int64_t now, struct expiry_set **out)
{
    struct expiry_set *s = calloc(1, sizeof(*s));
    enum err e = OK;

    if (s == NULL)
        return fail(ERR_NOMEM, "no memory for a list of tokens");
    s->fd = -1;
    s->max = max;
    s->durable = durable;
    s->pruned = now;
    s->names = table_new(max);
    if (path != NULL)
        s->path = strdup(path);
    if (s->names == NULL || (path != NULL && s->path == NULL))
        e = fail(ERR_NOMEM, "no memory for a list of tokens");
    else if (path != NULL)
        e = read_file(s, now);
    if (e != OK) {
        expiry_close(s);
        return e;
    }
    *out = s;
    return OK;
}

static void
free_one(struct str key, void *value, void *arg)
{
    (void)key, (void)arg;
    free(value);
}

void
expiry_close(struct expiry_set *s)
{
    if (s == NULL)
        return;
    if (s->names != NULL) {
        table_each(s->names, free_one, NULL);
        table_free(s->names);
    }
    if (s->fd >= 0)
        close(s->fd);
    free(s->path);
    free(s);
}

/* Half a line must not stay: the next one would be written behind it. */
static enum err
append(struct expiry_set *s, struct str name, int64_t expires)
{
    struct buf line = buf_make(LINE_BYTES_MAX);
    enum err e;

    format_line(&line, name, expires);
    if ((e = buf_ok(&line)) == OK)
        e = write_all(s->fd, buf_str(&line), s->path);
    if (e == OK && s->durable && fdatasync(s->fd) != 0)
        e = fail_errno(ERR_IO, "syncing %s", s->path);
    if (e == OK) {
        s->end += (off_t)line.len;
        s->lines++;
    } else if (ftruncate(s->fd, s->end) != 0) {
        /* Then the next start will find the damage and say so. */
    }
    buf_free(&line);
    return e;
}

enum err
expiry_add(struct expiry_set *s, struct str name, int64_t expires, int64_t now)
{
    const struct entry *entry;
    enum err e;

    if (!is_plain(name))
        return fail(ERR_INVALID,
                    "the name of a token must have 1 to %d characters, none of them "
                    "a control character",
                    EXPIRY_NAME_BYTES_MAX);
    entry = table_get(s->names, name);
    if (entry != NULL && entry->expires >= now)
        return fail(ERR_EXISTS, "this token is in the list already");
    if (now - s->pruned >= PRUNE_EVERY_SECONDS ||
        (table_count(s->names) >= s->max && now > s->pruned))
        if ((e = prune(s, now)) != OK)
            return e;
    if (table_count(s->names) >= s->max)
        return fail(ERR_LIMIT, "the list of tokens is full (%zu)", s->max);
    if (s->path != NULL && (e = append(s, name, expires)) != OK)
        return e;
    return remember(s, name, expires);
}

bool
expiry_has(const struct expiry_set *s, struct str name)
{
    return table_get(s->names, name) != NULL;
}

size_t
expiry_count(const struct expiry_set *s)
{
    return table_count(s->names);
}
