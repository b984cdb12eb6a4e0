#include "cli/cli.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/audit_view.h"
#include "config/config.h"
#include "ledger/filter.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

enum {
    REPORT_BYTES_MAX = 4 << 20,
    ARENA_BYTES_MAX = 512 << 20,
    LIMIT_MAX = 1000000,
    FOLLOW_MS = 200,
    DIRECTORY_BYTES = 4096,
};

static const char usage[] =
    "usage: bulkhead audit list   [FILTERS] [--limit N] [--json]\n"
    "       bulkhead audit show   SEQ | SESSION [--json]\n"
    "       bulkhead audit follow [FILTERS] [--json]\n"
    "       bulkhead audit verify\n"
    "\n"
    "Reads the audit ledger: the record of every session, command, refusal and act.\n"
    "\n"
    "  list    the records in order, one a line\n"
    "  show    one record by its number, or all of a session by its id, with every field\n"
    "  follow  new records as they come, until interrupted\n"
    "  verify  checks the whole chain; exits with 1 and says where it is broken first\n"
    "\n"
    "filters (`*` and `?` match any text and any character):\n"
    "  --session ID  --subject NAME  --resource NAME  --type TYPE  --verdict VERDICT\n"
    "  --since TIME  --until TIME    2026-01-31T08:00:00Z, a part of it, or 15m for that long ago\n"
    "  --limit N     only the last N\n"
    "\n"
    "  --json            records as they are, one JSON object a line\n"
    "  --directory DIR   the ledger's directory; default: what the configuration says\n"
    "  --config FILE     the configuration; default: $BULKHEAD_CONFIG,\n"
    "                    /etc/bulkhead/bulkhead.yaml\n";

struct audit {
    const char *verb, *config, *directory, *which;
    struct ledger_filter filter;
    char since[LEDGER_TIME_BYTES], until[LEDGER_TIME_BYTES];
    uint64_t limit; /* 0: none */
    bool json;
    char from_config[DIRECTORY_BYTES];

    int directory_fd;
    bool found, damaged;
    char **kept; /* with a limit: a ring of lines */
    uint64_t n_kept;
};

/* --- showing ------------------------------------------------------------------------------- */

static void
print_record(const struct audit *a, struct str line, const json_t *record)
{
    if (a->json && isatty(STDOUT_FILENO)) {
        audit_print_safe(stdout, line, false);
        putchar('\n');
    } else if (a->json) {
        fwrite(line.ptr, 1, line.len, stdout);
        putchar('\n');
    } else if (strcmp(a->verb, "show") == 0) {
        audit_print_whole(stdout, record);
    } else {
        audit_print_line(stdout, record);
    }
}

static void
keep_line(struct audit *a, struct str line)
{
    char **slot = &a->kept[a->n_kept++ % a->limit];

    free(*slot);
    *slot = strndup(line.ptr, line.len);
}

static void
print_kept(struct audit *a)
{
    uint64_t first = a->n_kept > a->limit ? a->n_kept - a->limit : 0;

    for (uint64_t i = first; i < a->n_kept; i++) {
        char *line = a->kept[i % a->limit];
        json_t *record = line == NULL ? NULL : json_loads(line, JSON_ALLOW_NUL, NULL);

        if (record != NULL)
            print_record(a, str_from(line), record);
        json_decref(record);
    }
    for (uint64_t i = 0; a->kept != NULL && i < a->limit; i++)
        free(a->kept[i]);
    free(a->kept);
}

static bool
is_wanted(const struct audit *a, const json_t *record)
{
    const json_t *seq = json_object_get(record, "seq");
    uint64_t number;

    if (a->which == NULL)
        return ledger_filter_matches(&a->filter, record);
    if (strlen(a->which) < LEDGER_SESSION_TEXT_BYTES - 1 &&
        str_to_uint(str_from(a->which), INT64_MAX, &number))
        return json_integer_value(seq) == (json_int_t)number;
    return ledger_filter_matches(&(struct ledger_filter){.session = str_from(a->which)}, record);
}

/* One line of a file. */
static void
take_line(struct audit *a, struct str line, const char *file)
{
    json_t *record = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);

    if (!json_is_object(record)) {
        fprintf(stderr, "bulkhead: %s holds a line that is not a record; see audit verify\n", file);
        a->damaged = true;
    } else if (is_wanted(a, record)) {
        a->found = true;
        if (a->kept != NULL)
            keep_line(a, line);
        else
            print_record(a, line, record);
    }
    json_decref(record);
}

/* --- files --------------------------------------------------------------------------------- */

static int
open_file(const struct audit *a, const char *name)
{
    return openat(a->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static int
complain(const char *what)
{
    fprintf(stderr, "bulkhead: %s: %s\n", what, err_text());
    return CLI_FAILED;
}

/* Whether the file begins after `since`, so that the one before it is needed, too. */
static bool
begins_after(const struct audit *a, const char *name, struct str since)
{
    int fd = open_file(a, name);
    struct series_reader reader = series_read_from(fd, 0);
    struct line line;
    struct str text;
    bool after = true;

    if (fd >= 0 && series_next(&reader, &text) == OK && line_read(text, &line) == OK)
        after = str_compare(line.time, since) >= 0;
    series_reader_free(&reader);
    if (fd >= 0)
        close(fd);
    return after;
}

static enum err
read_file(struct audit *a, const char *name)
{
    int fd = open_file(a, name);
    struct series_reader reader = series_read_from(fd, 0);
    struct str line;
    enum err e;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", name);
    while ((e = series_next(&reader, &line)) == OK)
        take_line(a, line, name);
    series_reader_free(&reader);
    close(fd);
    /* The last line may be in the middle of being written. */
    return e == ERR_CLOSED || e == ERR_TRUNCATED ? OK : e;
}

static enum err
read_series(struct audit *a)
{
    struct series_file *files;
    size_t n, first = 0;
    enum err e;

    if ((e = series_list(a->directory_fd, &files, &n)) != OK)
        return e;
    if (a->filter.since.len > 0 && n > 0)
        for (first = n - 1; first > 0 && begins_after(a, files[first].name, a->filter.since);)
            first--;
    for (size_t i = first; i < n && e == OK; i++)
        e = read_file(a, files[i].name);
    free(files);
    return e;
}

static int
list(struct audit *a)
{
    enum err e;

    if (a->limit > 0 && (a->kept = calloc(a->limit, sizeof(*a->kept))) == NULL) {
        fputs("bulkhead: no memory\n", stderr);
        return CLI_FAILED;
    }
    e = read_series(a);
    if (a->limit > 0)
        print_kept(a);
    if (e != OK)
        return complain(a->directory);
    return a->damaged ? CLI_FAILED : CLI_OK;
}

static int
show(struct audit *a)
{
    if (read_series(a) != OK)
        return complain(a->directory);
    if (!a->found)
        fprintf(stderr, "bulkhead: the ledger has no record or session %s\n", a->which);
    return a->found && !a->damaged ? CLI_OK : CLI_FAILED;
}

/* --- follow -------------------------------------------------------------------------------- */

/* Reads what is there; shows it unless it was there before following began. */
static enum err
catch_up(struct audit *a, struct series_reader *reader, const char *name, bool display)
{
    struct str line;
    enum err e;

    while ((e = series_next(reader, &line)) == OK)
        if (display)
            take_line(a, line, name);
    fflush(stdout);
    return e == ERR_CLOSED || e == ERR_TRUNCATED ? OK : e;
}

/* The file of the series that comes after `seq` (0: the last one). ERR_NOT_FOUND. */
static enum err
next_file(const struct audit *a, uint64_t seq, struct series_file *out)
{
    struct series_file *files;
    size_t n;
    enum err e = series_list(a->directory_fd, &files, &n);

    if (e != OK)
        return e;
    e = ERR_NOT_FOUND;
    if (seq == 0 && n > 0) {
        *out = files[n - 1];
        e = OK;
    }
    for (size_t i = n; i > 0 && seq != 0 && files[i - 1].first_seq > seq; i--) {
        *out = files[i - 1];
        e = OK;
    }
    free(files);
    return e;
}

/* One file until the next one is there. `*file` becomes the next. */
static enum err
follow_file(struct audit *a, struct series_file *file, bool from_end)
{
    static const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000};
    int fd = open_file(a, file->name);
    struct series_reader reader = series_read_from(fd, 0);
    struct series_file next;
    enum err e = OK, found = ERR_NOT_FOUND;

    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", file->name);
    if (from_end)
        e = catch_up(a, &reader, file->name, false);
    while (e == OK && found == ERR_NOT_FOUND) {
        found = next_file(a, file->first_seq, &next); /* first: then this one is complete */
        if ((e = catch_up(a, &reader, file->name, true)) == OK && found == ERR_NOT_FOUND)
            nanosleep(&pause, NULL);
    }
    series_reader_free(&reader);
    close(fd);
    *file = next;
    return e != OK ? e : found;
}

static int
follow(struct audit *a)
{
    static const struct timespec pause = {.tv_nsec = FOLLOW_MS * 1000000};
    bool from_end = true;
    struct series_file file;
    enum err e;

    while ((e = next_file(a, 0, &file)) == ERR_NOT_FOUND) {
        from_end = false; /* nothing yet: all that comes is new */
        nanosleep(&pause, NULL);
    }
    while (e == OK) {
        e = follow_file(a, &file, from_end);
        from_end = false;
    }
    return complain(a->directory);
}

/* --- verify -------------------------------------------------------------------------------- */

static void
print_hash(const unsigned char hash[LINE_HASH_BYTES])
{
    for (size_t i = 0; i < LINE_HASH_BYTES; i++)
        printf("%02x", hash[i]);
}

static void
print_result(const struct verify_result *r)
{
    printf("ok: %llu record%s in %llu file%s\n", (unsigned long long)r->records,
           r->records == 1 ? "" : "s", (unsigned long long)r->files, r->files == 1 ? "" : "s");
    if (r->records > 0) {
        fputs("first: ", stdout);
        audit_print_safe(stdout, str_from(r->first_time), false);
        fputs("\nlast:  ", stdout);
        audit_print_safe(stdout, str_from(r->last_time), false);
        fputs("\nhash:  ", stdout);
        print_hash(r->last_hash);
        putchar('\n');
    }
    printf("commands admitted: %llu, of which with unknown outcome: %llu%s\n",
           (unsigned long long)r->intents, (unsigned long long)r->without_outcome,
           r->outcomes_not_counted ? " or more" : "");
    if (r->torn_bytes > 0)
        printf("the last line is incomplete (%llu bytes): being written, or a crash's; "
               "the next start cuts it\n",
               (unsigned long long)r->torn_bytes);
}

static int
verify(const struct audit *a)
{
    struct verify_result result;
    enum err e = verify_ledger(a->directory, &result);

    if (e == OK) {
        print_result(&result);
        return CLI_OK;
    }
    if (e != ERR_INVALID)
        return complain(a->directory);
    if (result.line == 0)
        printf("BROKEN %s/%s: ", a->directory, result.file);
    else
        printf("BROKEN %s/%s:%llu: ", a->directory, result.file, (unsigned long long)result.line);
    audit_print_safe(stdout, str_from(err_text()), false);
    if (result.records == 0)
        printf("\nno record before it\n");
    else
        printf("\n%llu record%s before it %s sound\n", (unsigned long long)result.records,
               result.records == 1 ? "" : "s", result.records == 1 ? "is" : "are");
    return CLI_FAILED;
}

/* --- arguments ----------------------------------------------------------------------------- */

static int
refuse(const char *why)
{
    fprintf(stderr, "bulkhead: %s\n%s", why, usage);
    return CLI_USAGE;
}

static bool
take_time(const char *value, char text[LEDGER_TIME_BYTES], struct str *out)
{
    if (ledger_time(str_from(value), clock_wall_us(), text) != OK)
        return false;
    *out = str_from(text);
    return true;
}

static bool
take_filter(struct audit *a, int option, const char *value)
{
    switch (option) {
    case 's':
        a->filter.session = str_from(value);
        return true;
    case 'u':
        a->filter.subject = str_from(value);
        return true;
    case 'r':
        a->filter.resource = str_from(value);
        return true;
    case 't':
        a->filter.type = str_from(value);
        return true;
    case 'v':
        a->filter.verdict = str_from(value);
        return true;
    case 'S':
        return take_time(value, a->since, &a->filter.since);
    case 'U':
        return take_time(value, a->until, &a->filter.until);
    }
    return fail(ERR_INVALID, "an unknown option or one without its value") == OK;
}

static bool
take_option(struct audit *a, int option, const char *value)
{
    switch (option) {
    case 'c':
        a->config = value;
        return true;
    case 'd':
        a->directory = value;
        return true;
    case 'j':
        a->json = true;
        return true;
    case 'l':
        return (str_to_uint(str_from(value), LIMIT_MAX, &a->limit) && a->limit > 0) ||
               fail(ERR_INVALID, "--limit takes a number from 1 to %d", LIMIT_MAX) == OK;
    }
    return take_filter(a, option, value);
}

/* CLI_OK, and then *`ask_help` if help was asked for. */
static int
parse(struct audit *a, int argc, char **argv, bool *ask_help)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"directory", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"session", required_argument, NULL, 's'},
                                            {"subject", required_argument, NULL, 'u'},
                                            {"resource", required_argument, NULL, 'r'},
                                            {"type", required_argument, NULL, 't'},
                                            {"verdict", required_argument, NULL, 'v'},
                                            {"since", required_argument, NULL, 'S'},
                                            {"until", required_argument, NULL, 'U'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option, wanted;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            *ask_help = true;
            return CLI_OK;
        }
        if (!take_option(a, option, optarg))
            return refuse(err_text());
    }
    if (optind == argc)
        return refuse("audit needs one of list, show, follow, verify");
    a->verb = argv[optind];
    wanted = strcmp(a->verb, "show") == 0 ? 2 : 1;
    if (argc - optind != wanted)
        return refuse(wanted == 2 ? "audit show takes one number or session"
                                  : "audit takes one verb and options");
    a->which = wanted == 2 ? argv[optind + 1] : NULL;
    return CLI_OK;
}

static enum err
directory_from_config(struct audit *a)
{
    struct buf text = buf_make(REPORT_BYTES_MAX);
    struct config_report report = {.text = &text};
    struct arena *arena = arena_new(ARENA_BYTES_MAX);
    struct config *config;
    enum err e = arena == NULL ? fail(ERR_NOMEM, "no memory")
                               : config_read(a->config, arena, &report, &config);

    if (e == OK && config->ledger_directory.len >= sizeof(a->from_config))
        e = fail(ERR_LIMIT, "the name of the ledger's directory is too long");
    if (e == OK) {
        (void)snprintf(a->from_config, sizeof(a->from_config), "%.*s",
                       STR_ARG(config->ledger_directory));
        a->directory = a->from_config;
    } else {
        fwrite(buf_str(&text).ptr, 1, text.len, stderr);
    }
    arena_free(arena);
    buf_free(&text);
    return e;
}

static int
run(struct audit *a)
{
    static const struct {
        const char *verb;
        int (*fn)(struct audit *a);
    } verbs[] = {{"list", list}, {"show", show}, {"follow", follow}};

    if (strcmp(a->verb, "verify") == 0)
        return verify(a);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(a->verb, verbs[i].verb) == 0)
            return verbs[i].fn(a);
    return refuse("audit needs one of list, show, follow, verify");
}

int
cli_audit(int argc, char **argv)
{
    struct audit a = {.config = cli_default_config()};
    bool ask_help = false;
    int status = parse(&a, argc, argv, &ask_help);

    if (status != CLI_OK)
        return status;
    if (ask_help) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    if (a.directory == NULL && directory_from_config(&a) != OK)
        return complain(a.config);
    a.directory_fd = open(a.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a.directory_fd < 0) {
        err_ignore(fail_errno(ERR_IO, "cannot open the ledger"));
        return complain(a.directory);
    }
    status = run(&a);
    close(a.directory_fd);
    return status;
}
