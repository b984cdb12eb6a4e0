#include "cli/admin_client.h"

#include <stdio.h>

#include "cli/cli.h"
#include "config/config.h"

enum { CONFIG_ARENA_MAX = 256 << 20, REPORT_BYTES_MAX = 1 << 20 };

/* The configuration's runtime directory; its other problems are not ours. */
static enum err
find_runtime_directory(const char *config_path, struct arena *arena, struct str *out)
{
    struct buf problems = buf_make(REPORT_BYTES_MAX);
    struct config_report report = {.text = &problems};
    struct config *config;
    enum err e = config_read(config_path, arena, &report, &config);

    if (e == OK)
        *out = config->runtime_directory;
    else
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&problems)));
    buf_free(&problems);
    return e;
}

int
admin_client_ask(const char *config_path, const struct ipc_admin_request *request,
                 void (*line)(struct str text, void *arg), void *arg)
{
    return admin_client_ask_for_file(config_path, request, line, arg, NULL);
}

int
admin_client_ask_for_file(const char *config_path, const struct ipc_admin_request *request,
                          void (*line)(struct str text, void *arg), void *arg, int *fd)
{
    struct arena *arena = arena_new(CONFIG_ARENA_MAX);
    struct str directory;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : find_runtime_directory(config_path, arena, &directory);

    if (e == OK)
        e = ipc_admin_ask(directory, request, line, arg, fd);
    if (e != OK)
        fprintf(stderr, "bulkhead: %s\n", err_text());
    arena_free(arena);
    return e == OK ? CLI_OK : CLI_FAILED;
}

void
admin_client_print(struct str text, void *arg)
{
    (void)arg;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        putchar((c < 0x20 && c != '\t') || c == 0x7f ? '?' : c);
    }
    putchar('\n');
}
