/* Verifies tokens as the keeper does, without the rest: reads a configuration, then one token in
 * hexadecimal per line, and answers each with "accepted SUBJECT" or "CODE TEXT". For
 * tokens_test.py. */
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "fiber/fiber.h"
#include "identity/identity.h"

static const char *path;
static int status = 1;

static void
answer(struct identity *id, struct str line)
{
    struct arena *arena = arena_new(4 << 20);
    struct buf token = buf_make(64 << 20);
    struct principal p;
    enum err e = decode_hex(&token, line);

    if (e == OK)
        e = identity_verify(id, buf_str(&token), arena, &p);
    if (e == OK)
        printf("accepted %.*s %zu\n", STR_ARG(p.subject), p.groups.n);
    else
        printf("%s %s\n", err_name(e), err_text());
    fflush(stdout);
    buf_free(&token);
    arena_free(arena);
}

static void
run(void *arg)
{
    struct buf problems = buf_make(1 << 16);
    struct config_report report = {.text = &problems};
    struct arena *arena = arena_new(16 << 20);
    struct config *config;
    struct identity *id;
    char *line = NULL;
    size_t size = 0;
    ssize_t n;

    (void)arg;
    if (config_load(path, arena, &report, &config) != OK || identity_open(config, &id) != OK) {
        fprintf(stderr, "%s\n%.*s", err_text(), STR_ARG(buf_str(&problems)));
        return;
    }
    while ((n = getline(&line, &size, stdin)) > 0)
        answer(id, (struct str){line, (size_t)n - 1});
    free(line);
    identity_close(id);
    arena_free(arena);
    buf_free(&problems);
    status = 0;
}

int
main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    path = argv[1];
    if (fiber_main(run, NULL) != OK)
        return 1;
    return status;
}
