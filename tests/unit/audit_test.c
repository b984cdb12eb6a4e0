#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/audit_view.h"
#include "cli/cli.h"
#include "ipc/record.h"
#include "ledger/ledger.h"

enum { OUTPUT_MAX = 1 << 20 };

/* A statement that would repaint a terminal: escape, C1 control, text direction, newline, DEL. */
#define HOSTILE "select '\x1b[31m \xc2\x9b\x33\x31m \xe2\x80\xae \x7f'\n, 'caf\xc3\xa9'"

static char directory[64];

static void
put_command(int fd, uint64_t number, enum verdict_kind verdict)
{
    struct demand demand = {CLASSES(READ), OBJECT_RELATION, STR("public"), STR("t")};
    struct command command = {
        .text = STR(HOSTILE), .database = STR("sales"), .demands = &demand, .n_demands = 1};
    struct record_intent intent = {
        .command = number, .verdict = verdict, .rule = STR("readers"), .subject = &command};
    struct record_outcome outcome = {
        .command = number, .rows = 1, .bytes = 2, .duration_us = 3, .masked = 7};
    struct buf frames = buf_make(RECORD_FRAME_MAX);

    record_put_intent(&frames, 1, &intent);
    if (verdict == VERDICT_ALLOW)
        record_put_outcome(&frames, 1, &outcome);
    assert_int_equal(write(fd, frames.ptr, frames.len), frames.len);
    buf_free(&frames);
}

/* Two sessions with three records each, and a service's start: files of one or two records. */
static int
make_ledger(void **state)
{
    struct ledger_options options = {.directory = directory, .file_bytes = 400};
    struct ledger *l;

    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/audit_test.XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(ledger_open(&options, &l), OK);
    assert_int_equal(ledger_service_event(l, LEDGER_SERVICE_STARTED, STR("keeper"), STR("")), OK);
    for (uint64_t id = 1; id <= 2; id++) {
        struct ledger_identity identity = {.subject = id == 1 ? STR("agent-a") : STR("agent-b"),
                                           .resource = STR("analytics")};
        int fd;

        assert_int_equal(ledger_session_new(l, id, STR("192.0.2.1"), STR("postgres"), &fd), OK);
        assert_int_equal(ledger_session_identify(l, id, &identity), OK);
        put_command(fd, 1, id == 1 ? VERDICT_ALLOW : VERDICT_DENY);
        close(fd);
        assert_int_equal(ledger_session_gone(l, id, "ended", 0), OK);
        assert_int_equal(ledger_drain(l, NULL, NULL), OK);
    }
    ledger_close(l);
    return 0;
}

static int
remove_ledger(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

/* Runs `bulkhead audit …`; returns its exit status, its output in `output`. */
static int
run(char *output, int n, const char *const arguments[])
{
    const char *argv[16] = {"audit"};
    FILE *file = tmpfile();
    size_t got;
    pid_t pid;
    int status;

    for (int i = 0; i < n; i++)
        argv[i + 1] = arguments[i];
    argv[n + 1] = "--directory";
    argv[n + 2] = directory;
    fflush(NULL);
    if ((pid = fork()) == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        dup2(fileno(file), STDERR_FILENO);
        status = cli_audit(n + 3, (char **)(uintptr_t)argv);
        fflush(NULL);
        _exit(status);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    rewind(file);
    got = fread(output, 1, OUTPUT_MAX - 1, file);
    output[got] = '\0';
    fclose(file);
    return WEXITSTATUS(status);
}

#define RUN(output, ...)                                                                           \
    run(output, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),                       \
        (const char *const[]){__VA_ARGS__})

static size_t
lines(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void
test_list_shows_a_record_a_line_and_filters(void **state)
{
    static char out[OUTPUT_MAX];

    (void)state;
    assert_int_equal(RUN(out, "list"), CLI_OK);
    assert_int_equal(lines(out), 8);
    assert_non_null(strstr(out, "service_started"));
    assert_int_equal(RUN(out, "list", "--subject", "*-b"), CLI_OK);
    assert_int_equal(lines(out), 3);
    assert_int_equal(RUN(out, "list", "--session", "0000000000000001"), CLI_OK);
    assert_int_equal(lines(out), 4);
    assert_int_equal(RUN(out, "list", "--verdict", "deny", "--resource", "analytics"), CLI_OK);
    assert_int_equal(lines(out), 1);
    assert_int_equal(RUN(out, "list", "--type", "session_*", "--limit", "2"), CLI_OK);
    assert_int_equal(lines(out), 2);
    assert_non_null(strstr(out, "0000000000000002"));
    assert_null(strstr(out, "0000000000000001"));
    assert_int_equal(RUN(out, "list", "--since", "1h"), CLI_OK);
    assert_int_equal(lines(out), 8);
    assert_int_equal(RUN(out, "list", "--until", "2001-01-01"), CLI_OK);
    assert_int_equal(lines(out), 0);
    assert_int_equal(RUN(out, "list", "--json", "--type", "command_outcome"), CLI_OK);
    assert_non_null(strstr(out, "{\"seq\":"));
}

static void
test_no_control_character_reaches_the_terminal(void **state)
{
    static char out[OUTPUT_MAX];
    static const char *const verbs[][2] = {{"list", "--limit=100"}, {"show", "0000000000000001"}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(RUN(out, verbs[i][0], verbs[i][1]), CLI_OK);
        for (const char *at = out; *at != '\0'; at++)
            assert_true(*at == '\n' || (unsigned char)*at >= 0x20);
        assert_null(strstr(out, "\x7f"));
        assert_null(strstr(out, "\xc2\x9b"));
        assert_null(strstr(out, "\xe2\x80\xae"));
        assert_non_null(strstr(out, "caf\xc3\xa9"));
        assert_non_null(strstr(out, "\\u202e"));
    }
}

static void
test_show_takes_a_number_or_a_session(void **state)
{
    static char out[OUTPUT_MAX];

    (void)state;
    assert_int_equal(RUN(out, "show", "1"), CLI_OK);
    assert_non_null(strstr(out, "\"type\": \"service_started\""));
    assert_int_equal(RUN(out, "show", "0000000000000002"), CLI_OK);
    assert_non_null(strstr(out, "\"verdict\": \"deny\""));
    assert_null(strstr(out, "agent-a"));
    assert_int_equal(RUN(out, "show", "4711"), CLI_FAILED);
}

static void
test_verify_says_where_the_ledger_is_broken(void **state)
{
    static char out[OUTPUT_MAX];
    char command[256];

    (void)state;
    assert_int_equal(RUN(out, "verify"), CLI_OK);
    assert_non_null(strstr(out, "ok: 8 records"));
    assert_non_null(strstr(out, "commands admitted: 1, of which with unknown outcome: 0"));
    (void)snprintf(command, sizeof(command), "sed -i s/agent-b/agent-c/ %s/0*.jsonl", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(RUN(out, "verify"), CLI_FAILED);
    assert_non_null(strstr(out, "BROKEN /tmp/audit_test."));
    assert_non_null(strstr(out, ".jsonl:1: record "));
    assert_non_null(strstr(out, "was changed"));
}

static void
test_wrong_arguments_are_usage_errors(void **state)
{
    static char out[OUTPUT_MAX];

    (void)state;
    assert_int_equal(RUN(out, "lst"), CLI_USAGE);
    assert_int_equal(RUN(out, "show"), CLI_USAGE);
    assert_int_equal(RUN(out, "list", "--limit", "0"), CLI_USAGE);
    assert_int_equal(RUN(out, "list", "--since", "yesterday"), CLI_USAGE);
    assert_int_equal(RUN(out, "list", "--colour"), CLI_USAGE);
    assert_int_equal(RUN(out, "--help"), CLI_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_ledger, remove_ledger)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_list_shows_a_record_a_line_and_filters),
        T(test_no_control_character_reaches_the_terminal),
        T(test_show_takes_a_number_or_a_session),
        T(test_verify_says_where_the_ledger_is_broken),
        T(test_wrong_arguments_are_usage_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
