#include "cli/explain_lineage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { NAME_WIDTH = 20, SHOWN_WIDTH = 24, SHOWN_BYTES = 512 };

/* The catalog. */

static void
ignore_line(struct str line, void *arg)
{
    (void)line;
    (void)arg;
}

static enum err
open_file(const char *file, const char *config, const struct config_resource *resource,
          struct str database, int *fd)
{
    struct ipc_admin_request request = {
        .verb = STR("catalog"), .subject = resource->name, .database = database};

    if (file != NULL) {
        *fd = open(file, O_RDONLY | O_CLOEXEC);
        return *fd < 0 ? fail_errno(ERR_IO, "cannot open %s", file) : OK;
    }
    if (admin_client_ask_for_file(config, &request, ignore_line, NULL, fd) != CLI_OK)
        return fail(ERR_UNAVAILABLE, "the running gateway gave no catalog");
    return *fd < 0 ? fail(ERR_UNAVAILABLE, "the running gateway gave no catalog") : OK;
}

static enum err
map(int fd, struct str *out)
{
    struct stat status;
    void *bytes;

    if (fstat(fd, &status) != 0 || status.st_size <= 0 || status.st_size > CATALOG_BYTES_MAX)
        return fail(ERR_PROTOCOL, "that is no catalog");
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return fail_errno(ERR_IO, "mmap");
    *out = (struct str){bytes, (size_t)status.st_size};
    return OK;
}

/* pg_catalog comes first unless it is named. */
static enum err
read_path(struct explain_catalog *c, struct str text, struct arena *arena)
{
    bool has_catalog = false;
    size_t n = 1;

    if ((c->schemas = arena_array(arena, text.len + 3, sizeof(*c->schemas))) == NULL)
        return fail(ERR_NOMEM, "no memory for the search path");
    c->schemas[0] = STR("pg_catalog");
    while (text.len > 0) {
        struct str name;

        text = str_cut(text, ',', &name);
        name = str_trim(name);
        if (name.len == 0)
            continue;
        has_catalog = has_catalog || str_is(name, "pg_catalog");
        c->schemas[n++] = name;
    }
    c->context.path = has_catalog ? (struct sql_path){c->schemas + 1, n - 1}
                                  : (struct sql_path){c->schemas, n};
    c->context.path_known = true;
    return OK;
}

enum err
explain_catalog_open(struct explain_catalog *c, const char *file, const char *config,
                     const struct config_resource *resource, struct str database,
                     const char *search_path, struct arena *arena)
{
    const struct protection protection = {.protect = resource->protect,
                                          .n_protect = resource->n_protect};
    int fd = -1;
    enum err e = open_file(file, config, resource, database, &fd);

    *c = (struct explain_catalog){0};
    if (e == OK)
        e = map(fd, &c->bytes);
    if (fd >= 0)
        close(fd);
    if (e == OK && (e = catalog_open(c->bytes, &c->catalog)) == OK &&
        (e = shield_make(&c->catalog, &protection, NULL, NULL, &c->shield)) == OK)
        e = read_path(c, search_path != NULL ? str_from(search_path) : STR("public"), arena);
    c->context.shield = c->shield;
    return e;
}

void
explain_catalog_close(struct explain_catalog *c)
{
    shield_free(c->shield);
    if (c->bytes.len > 0)
        (void)munmap((void *)(uintptr_t)c->bytes.ptr, c->bytes.len);
}

/* Lineage. */

static void
put_shown(struct buf *out, const struct sql_hidden *h)
{
    switch (h->how) {
    case SQL_HIDE_NOTHING:
        buf_put_text(out, "as it is");
        break;
    case SQL_HIDE_ALL:
        buf_put_text(out, "masked: ");
        buf_put_text(out, mask_kind_name(h->rule->kind));
        break;
    case SQL_HIDE_JSON:
        for (size_t i = 0; i < h->n; i++) {
            buf_put_text(out, i == 0 ? "masked: " : ", ");
            for (size_t k = 0; k < h->paths[i].n_keys; k++) {
                buf_put_text(out, k == 0 ? "" : ".");
                buf_put_str(out, h->paths[i].keys[k]);
            }
            buf_printf(out, " %s", mask_kind_name(h->paths[i].rule->kind));
        }
        break;
    case SQL_HIDE_FIELDS:
        buf_put_text(out, "masked: some fields");
        break;
    }
}

static void
print_column(const struct sql_output_column *column)
{
    struct buf shown = buf_make(SHOWN_BYTES);

    put_shown(&shown, &column->hidden);
    printf("  ");
    cli_print_padded(column->name, NAME_WIDTH);
    cli_print_padded(buf_str(&shown), SHOWN_WIDTH);
    cli_print_padded(column->from.len > 0 ? column->from : STR("-"), 0);
    putchar('\n');
    buf_free(&shown);
}

static void
print_note(const char *what, struct str name)
{
    printf("  %s", what);
    cli_print_padded(name, 0);
    putchar('\n');
}

static void
print_output(const struct sql_output *o)
{
    switch (o->kind) {
    case SQL_OUTPUT_COPY:
        print_note("copies to the client", STR(""));
        break;
    case SQL_OUTPUT_CURSOR:
        print_note("shows what its cursor was declared to show: ", o->name);
        return;
    case SQL_OUTPUT_PREPARED:
        print_note("shows what was prepared: ", o->name);
        return;
    case SQL_OUTPUT_NONE:
    case SQL_OUTPUT_ROWS:
        break;
    }
    if (o->declares)
        print_note(o->prepares ? "prepares " : "declares cursor ", o->name);
    for (size_t i = 0; i < o->n; i++)
        print_column(&o->columns[i]);
    if (o->open)
        print_note("and columns that are not known here, as they are", STR(""));
    if (o->n == 0 && !o->open)
        print_note("answers no rows", STR(""));
}

void
explain_print_lineage(const struct sql_lineage *l)
{
    for (size_t i = 0; i < l->n_outputs; i++) {
        if (l->n_outputs > 1)
            printf("\nstatement %zu", i + 1);
        printf("\n  %-*s %-*s %s\n", NAME_WIDTH, "COLUMN", SHOWN_WIDTH, "SHOWN",
               "PROTECTED SOURCE");
        print_output(&l->outputs[i]);
    }
}
