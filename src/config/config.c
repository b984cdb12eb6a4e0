#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"
#include "config/schema.h"

/* Up to and including the last '/'. */
static struct str
folder_of(struct str path)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/')
        path.len--;
    return path;
}

static enum err
read_tree(struct problems *p, const struct node *root, struct str path, bool with_files,
          struct config **out)
{
    struct schema_reader reader = {.problems = p, .folder = folder_of(path)};
    struct config *c = arena_alloc(p->arena, sizeof(*c));

    if (c == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration");
    c->path = path;
    schema_read(&reader, root, c);
    if (root->kind == NODE_MAPPING)
        check_config(p, root, c);
    if (with_files)
        check_files(p, root, c);
    *out = c;
    return OK;
}

/* `path` is where the file is, `shown` how the report calls it. */
static enum err
parse(struct str text, struct str path, struct str shown, bool with_files, struct arena *arena,
      struct config_report *report, struct config **out)
{
    struct problems problems = {.arena = arena};
    struct config *config = NULL;
    struct node *root;
    enum err e;

    *out = NULL;
    if (text.len > CONFIG_BYTES_MAX)
        return fail(ERR_LIMIT, "%.*s is larger than %d MiB", STR_ARG(shown),
                    CONFIG_BYTES_MAX >> 20);
    if ((path = arena_str(arena, path)).ptr == NULL)
        return fail(ERR_NOMEM, "no memory for the configuration");
    if ((e = node_read(text, &problems, &root)) == OK)
        e = read_tree(&problems, root, path, with_files, &config);
    problems_write(&problems, shown, report);
    if (e != OK)
        return e;
    if (problems.out_of_memory)
        return fail(ERR_NOMEM, "no memory for the configuration");
    if (problems.errors > 0)
        return fail(ERR_INVALID, "%.*s has %u error%s", STR_ARG(shown), problems.errors,
                    problems.errors == 1 ? "" : "s");
    *out = config;
    return OK;
}

enum err
config_parse(struct str text, struct str path, struct arena *arena, struct config_report *report,
             struct config **out)
{
    return parse(text, path, path, false, arena, report, out);
}

static enum err
read_open_file(int fd, const char *path, size_t max, struct buf *out)
{
    ssize_t n;

    do {
        size_t room = max + 1 - out->len < 4096 ? max + 1 - out->len : 4096;
        enum err e = buf_reserve(out, room);

        if (e != OK)
            return e;
        if ((n = read(fd, out->ptr + out->len, room)) < 0 && errno != EINTR)
            return fail_errno(ERR_IO, "%s", path);
        out->len += n > 0 ? (size_t)n : 0;
        if (out->len > max)
            return fail(ERR_LIMIT, "%s is larger than %zu bytes", path, max);
    } while (n != 0);
    return OK;
}

static enum err
read_file(const char *path, size_t max, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    enum err e;

    if (fd < 0)
        return fail_errno(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read it");
    if (fstat(fd, &status) != 0 || S_ISDIR(status.st_mode))
        e = fail(ERR_IO, "it is not a file");
    else
        e = read_open_file(fd, path, max, out);
    close(fd);
    return e;
}

/* The same path from the root, so that it holds whatever the working folder. */
static enum err
absolute_path(const char *path, struct buf *out)
{
    char *folder;

    if (path[0] != '/') {
        if ((folder = getcwd(NULL, 0)) == NULL)
            return fail_errno(ERR_IO, "the working folder");
        buf_printf(out, "%s/", strcmp(folder, "/") == 0 ? "" : folder);
        free(folder);
    }
    buf_put_text(out, path);
    return buf_ok(out);
}

static enum err
load(const char *path, bool with_files, struct arena *arena, struct config_report *report,
     struct config **out)
{
    struct buf text = buf_make(CONFIG_BYTES_MAX + 1), absolute = buf_make(8192);
    enum err e = absolute_path(path, &absolute);

    *out = NULL;
    if (e == OK)
        e = read_file(path, CONFIG_BYTES_MAX, &text);
    if (e != OK) {
        buf_printf(report->text, "%s: error: %s\n", path, err_text());
        report->errors++;
    } else {
        e = parse(buf_str(&text), buf_str(&absolute), str_from(path), with_files, arena, report,
                  out);
    }
    buf_free_secret(&text); /* it may hold a literal secret */
    buf_free(&absolute);
    return e;
}

enum err
config_load(const char *path, struct arena *arena, struct config_report *report,
            struct config **out)
{
    return load(path, true, arena, report, out);
}

enum err
config_read(const char *path, struct arena *arena, struct config_report *report,
            struct config **out)
{
    return load(path, false, arena, report, out);
}

const struct config_resource *
config_find_resource(const struct config *c, struct str name)
{
    for (size_t i = 0; i < c->n_resources; i++)
        if (str_equal(c->resources[i].name, name))
            return &c->resources[i];
    return NULL;
}

static void
cut_new_line(struct buf *b)
{
    if (b->len > 0 && b->ptr[b->len - 1] == '\n')
        b->len--;
    if (b->len > 0 && b->ptr[b->len - 1] == '\r')
        b->len--;
}

enum err
config_read_secret(const struct config_secret *secret, struct buf *out)
{
    char name[4096];
    const char *value;
    enum err e;

    if (secret->source == SECRET_NONE)
        return fail(ERR_NOT_FOUND, "no secret is configured");
    if (secret->source == SECRET_LITERAL) {
        buf_put_str(out, secret->value);
        return buf_ok(out);
    }
    if (secret->value.len >= sizeof(name))
        return fail(ERR_LIMIT, "the name of a secret is too long");
    memcpy(name, secret->value.ptr, secret->value.len);
    name[secret->value.len] = '\0';
    if (secret->source == SECRET_ENV) {
        if ((value = getenv(name)) == NULL)
            return fail(ERR_NOT_FOUND, "there is no environment variable %s", name);
        buf_put_text(out, value);
        return buf_ok(out);
    }
    /* All of it at once: growing would leave copies behind. */
    if ((e = buf_reserve(out, out->max)) == OK && (e = read_file(name, out->max - 1, out)) == OK)
        cut_new_line(out);
    return e;
}
