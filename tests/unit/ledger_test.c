#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/record.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

enum { TEXT_MAX = 64 << 20 };

struct fixture {
    char directory[64];
    struct ledger *l;
    struct ledger_options options;
};

static void
open_ledger(struct fixture *f)
{
    enum err e = ledger_open(&f->options, &f->l);

    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
}

static void
close_ledger(struct fixture *f)
{
    ledger_close(f->l);
    f->l = NULL;
}

/* As if the process had been killed: nothing is drained or written. */
static void
crash_while(struct fixture *f, void (*doing)(struct fixture *f))
{
    pid_t pid;
    int status;

    close_ledger(f);
    pid = fork();
    if (pid == 0) {
        if (ledger_open(&f->options, &f->l) != OK)
            _exit(1);
        doing(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/ledger_test.XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    f->options = (struct ledger_options){.directory = f->directory, .file_bytes = 1 << 20};
    open_ledger(f);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    ledger_close(f->l);
    (void)snprintf(command, sizeof(command), "rm -rf %s", f->directory);
    if (system(command) != 0)
        return -1;
    free(f);
    return 0;
}

static void
path_of(const struct fixture *f, const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s", f->directory, name);
}

static char *
read_file(const struct fixture *f, const char *name, size_t *n)
{
    char path[128], *text = malloc(TEXT_MAX);
    FILE *file;

    path_of(f, name, path);
    file = fopen(path, "rb");
    assert_non_null(file);
    *n = fread(text, 1, TEXT_MAX - 1, file);
    text[*n] = '\0';
    fclose(file);
    return text;
}

static void
write_file(const struct fixture *f, const char *name, const char *bytes, size_t n)
{
    char path[128];
    FILE *file;

    path_of(f, name, path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static size_t
list_files(const struct fixture *f, struct series_file **files)
{
    int fd = open(f->directory, O_RDONLY | O_DIRECTORY);
    size_t n;

    assert_int_equal(series_list(fd, files, &n), OK);
    close(fd);
    return n;
}

/* All records of the whole series. */
static json_t *
records(const struct fixture *f)
{
    struct series_file *files;
    size_t n = list_files(f, &files), size;
    json_t *all = json_array();

    for (size_t i = 0; i < n; i++) {
        char *text = read_file(f, files[i].name, &size);
        struct str left = {text, size}, line;

        while (left.len > 0) {
            json_t *record;

            left = str_cut(left, '\n', &line);
            record = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, NULL);
            assert_non_null(record);
            json_array_append_new(all, record);
        }
        free(text);
    }
    free(files);
    return all;
}

static const char *
text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text == NULL ? "" : text;
}

static size_t
count_type(const json_t *all, const char *type)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(all); i++)
        n += strcmp(text_of(json_array_get(all, i), "type"), type) == 0;
    return n;
}

/* The `nth` record of the type. */
static const json_t *
find_type(const json_t *all, const char *type, size_t nth)
{
    for (size_t i = 0; i < json_array_size(all); i++)
        if (strcmp(text_of(json_array_get(all, i), "type"), type) == 0 && nth-- == 0)
            return json_array_get(all, i);
    assert_string_equal("no such record", type);
    return NULL;
}

static void
assert_verifies(const struct fixture *f, uint64_t n)
{
    struct verify_result result;
    enum err e = verify_ledger(f->directory, &result);

    if (e != OK)
        print_error("%s:%llu: %s\n", result.file, (unsigned long long)result.line, err_text());
    assert_int_equal(e, OK);
    assert_int_equal(result.records, n);
    assert_int_equal(result.torn_bytes, 0);
}

static void
assert_broken(const struct fixture *f, const char *file, uint64_t line)
{
    struct verify_result result;

    assert_int_equal(verify_ledger(f->directory, &result), ERR_INVALID);
    assert_string_equal(result.file, file);
    assert_int_equal(result.line, line);
}

static void
notes(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(ledger_note(f->l, 0, STR("test"), STR("a note that says nothing")), OK);
    assert_int_equal(ledger_drain(f->l, NULL, NULL), OK);
}

static int
begin_session(struct fixture *f, uint64_t id)
{
    int fd;

    assert_int_equal(ledger_session_new(f->l, id, STR("192.0.2.1:5555"), STR("postgres"), &fd), OK);
    return fd;
}

static void
identify(struct fixture *f, uint64_t id, struct str subject)
{
    static const struct str groups[] = {STR_INIT("analytics"), STR_INIT("agents")};
    struct ledger_identity identity = {
        .subject = subject,
        .issuer = STR("corp"),
        .token_id = STR("jti-1"),
        .groups = {groups, 2},
        .delegation = {&subject, 1},
        .resource = STR("analytics"),
        .database = STR("sales"),
        .expires_us = 1,
    };

    assert_int_equal(ledger_session_identify(f->l, id, &identity), OK);
}

static void
put(int fd, struct buf *frame)
{
    assert_int_equal(write(fd, frame->ptr, frame->len), frame->len);
    buf_free(frame);
}

static void
put_intent(int fd, uint64_t number, struct str text, enum verdict_kind verdict)
{
    static const struct demand demands[] = {
        {CLASSES(WRITE) | CLASSES(UPDATE), OBJECT_RELATION, STR_INIT("public"), STR_INIT("t")}};
    static const struct bind_value binds[] = {{.type = 25, .bytes = STR_INIT("it's\n")},
                                              {.type = 17, .binary = true, .bytes = STR_INIT("\1")},
                                              {.type = 25, .is_null = true}};
    struct command command = {.text = text,
                              .database = STR("sales"),
                              .demands = demands,
                              .n_demands = 1,
                              .binds = binds,
                              .n_binds = 3};
    struct record_intent intent = {
        .command = number,
        .verdict = verdict,
        .rule = STR("the rule"),
        .policy_hash = STR("hash"),
        .subject = &command,
        .masked = verdict == VERDICT_MODIFY ? STR("public.t.c") : STR(""),
        .protected_column = verdict == VERDICT_DENY ? STR("public.t.d") : STR(""),
        .purpose = verdict == VERDICT_STEP_UP ? STR("ticket 12") : STR(""),
    };
    struct buf frame = buf_make(RECORD_FRAME_MAX);

    record_put_intent(&frame, clock_wall_us(), &intent);
    assert_int_equal(buf_ok(&frame), OK);
    put(fd, &frame);
}

static void
put_outcome(int fd, uint64_t number)
{
    struct record_outcome outcome = {.command = number,
                                     .rows = 3,
                                     .bytes = 4,
                                     .duration_us = UINT64_MAX,
                                     .limit = number == 3 ? STR("max_affected_rows") : STR(""),
                                     .masked = number == 3 ? 5 : 0,
                                     .detected = number == 3 ? 6 : 0};
    struct buf frame = buf_make(RECORD_FRAME_MAX);

    record_put_outcome(&frame, clock_wall_us(), &outcome);
    put(fd, &frame);
}

static void
put_decision(int fd, uint64_t number, enum record_decision_kind kind)
{
    struct record_decision decision = {.command = number,
                                       .decision = kind,
                                       .request = STR("abc"),
                                       .by = STR("alice"),
                                       .text = STR("in the window"),
                                       .waited_us = 12};
    struct buf frame = buf_make(RECORD_FRAME_MAX);

    record_put_decision(&frame, clock_wall_us(), &decision);
    put(fd, &frame);
}

static void
put_closed(int fd)
{
    struct record_note note = {STR("terminated"), STR("by the client"), 10, 20};
    struct buf frame = buf_make(RECORD_FRAME_MAX);

    record_put_note(&frame, clock_wall_us(), RECORD_CLOSED, &note);
    put(fd, &frame);
}

static void
drain(struct fixture *f)
{
    assert_int_equal(ledger_drain(f->l, NULL, NULL), OK);
}

static void
test_a_sessions_life_is_recorded(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 7);
    const json_t *r;
    json_t *all;

    identify(f, 7, STR("agent"));
    put_intent(fd, 1, STR("update t set x = 'a\x1b[31m'"), VERDICT_ALLOW);
    put_outcome(fd, 1);
    put_intent(fd, 2, STR("bad \xff"), VERDICT_DENY);
    put_closed(fd);
    close(fd);
    drain(f);
    assert_int_equal(ledger_session_gone(f->l, 7, "ended", 0), OK);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 0);

    assert_verifies(f, 5);
    all = records(f);
    r = find_type(all, "session_opened", 0);
    assert_string_equal(text_of(r, "session"), "0000000000000007");
    assert_string_equal(text_of(r, "source"), "192.0.2.1:5555");
    r = find_type(all, "command_intent", 0);
    assert_string_equal(text_of(json_object_get(r, "identity"), "subject"), "agent");
    assert_string_equal(text_of(r, "verdict"), "allow");
    assert_string_equal(text_of(r, "statement"), "update t set x = 'a\x1b[31m'");
    assert_string_equal(text_of(json_array_get(json_object_get(r, "binds"), 0), "text"), "it's\n");
    assert_string_equal(text_of(json_array_get(json_object_get(r, "binds"), 1), "base64"), "AQ==");
    assert_string_equal(text_of(json_array_get(json_object_get(r, "facts"), 0), "effect"), "write");
    assert_string_equal(text_of(json_array_get(json_object_get(r, "facts"), 0), "name"), "t");
    r = find_type(all, "command_intent", 1);
    assert_string_equal(text_of(r, "statement_base64"), "YmFkIP8=");
    r = find_type(all, "command_outcome", 0);
    assert_int_equal(json_integer_value(json_object_get(r, "rows")), 3);
    assert_string_equal(text_of(r, "subject"), "agent");
    r = find_type(all, "session_closed", 0);
    assert_string_equal(text_of(r, "reason"), "ended");
    assert_string_equal(text_of(r, "said"), "terminated");
    assert_int_equal(json_integer_value(json_object_get(r, "commands")), 2);
    assert_int_equal(json_integer_value(json_object_get(r, "denied")), 1);
    json_decref(all);
}

static void
test_masks_and_limits_are_recorded_where_there_are_any(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 7);
    const json_t *r;
    json_t *all;

    identify(f, 7, STR("agent"));
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    put_outcome(fd, 1);
    put_intent(fd, 2, STR("select d from t"), VERDICT_DENY);
    put_intent(fd, 3, STR("select c from t"), VERDICT_MODIFY);
    put_outcome(fd, 3);
    put_closed(fd);
    close(fd);
    drain(f);
    all = records(f);
    r = find_type(all, "command_intent", 0);
    assert_null(json_object_get(r, "masked"));
    assert_null(json_object_get(r, "protected"));
    r = find_type(all, "command_intent", 1);
    assert_null(json_object_get(r, "masked"));
    assert_string_equal(text_of(r, "protected"), "public.t.d");
    r = find_type(all, "command_intent", 2);
    assert_string_equal(text_of(r, "verdict"), "modify");
    assert_string_equal(text_of(r, "masked"), "public.t.c");
    r = find_type(all, "command_outcome", 0);
    assert_null(json_object_get(r, "limit"));
    assert_null(json_object_get(r, "masked_values"));
    assert_null(json_object_get(r, "detected"));
    r = find_type(all, "command_outcome", 1);
    assert_string_equal(text_of(r, "limit"), "max_affected_rows");
    assert_int_equal(json_integer_value(json_object_get(r, "masked_values")), 5);
    assert_int_equal(json_integer_value(json_object_get(r, "detected")), 6);
    json_decref(all);
}

static void
test_held_commands_and_what_humans_said_are_recorded(void **state)
{
    struct fixture *f = *state;
    struct ledger_approval approval = {.session = 7,
                                       .request = STR("abc"),
                                       .event = STR("approved"),
                                       .actor = STR("alice"),
                                       .rule = STR("the rule"),
                                       .binding_hash = STR("0123456789abcdef0123456789abcdef"),
                                       .text = STR("in the window")};
    struct verify_result result;
    int fd = begin_session(f, 7);
    const json_t *r;
    json_t *all;

    identify(f, 7, STR("agent"));
    put_intent(fd, 1, STR("drop table t"), VERDICT_STEP_UP);
    drain(f);
    assert_int_equal(ledger_approval(f->l, &approval), OK);
    put_decision(fd, 1, RECORD_APPROVED);
    put_decision(fd, 1, RECORD_APPROVED); /* of another rule */
    put_outcome(fd, 1);
    put_intent(fd, 2, STR("drop table u"), VERDICT_STEP_UP);
    put_decision(fd, 2, RECORD_APPROVED);
    put_decision(fd, 2, RECORD_DENIED);
    put_intent(fd, 3, STR("drop table v"), VERDICT_STEP_UP);
    put_intent(fd, 4, STR("drop table w"), VERDICT_STEP_UP);
    put_decision(fd, 4, RECORD_APPROVED);
    put_closed(fd);
    close(fd);
    drain(f);
    assert_int_equal(ledger_session_gone(f->l, 7, "ended", 0), OK);
    drain(f);
    all = records(f);
    r = find_type(all, "command_intent", 0);
    assert_string_equal(text_of(r, "verdict"), "step_up");
    assert_string_equal(text_of(r, "purpose"), "ticket 12");
    r = find_type(all, "approval", 0);
    assert_string_equal(text_of(r, "session"), "0000000000000007");
    assert_string_equal(text_of(r, "event"), "approved");
    assert_string_equal(text_of(r, "binding_hash"),
                        "3031323334353637383961626364656630313233343536373839616263646566");
    r = find_type(all, "decision", 0);
    assert_string_equal(text_of(r, "decision"), "approved");
    assert_string_equal(text_of(r, "request"), "abc");
    assert_string_equal(text_of(r, "by"), "alice");
    assert_string_equal(text_of(r, "subject"), "agent");
    assert_int_equal(json_integer_value(json_object_get(r, "waited_us")), 12);
    r = find_type(all, "session_closed", 0);
    assert_int_equal(json_integer_value(json_object_get(r, "denied")), 1);
    json_decref(all);
    assert_int_equal(verify_ledger(f->directory, &result), OK);
    assert_int_equal(result.intents, 2);         /* 1 and 4 */
    assert_int_equal(result.without_outcome, 1); /* 4 */
}

static void
test_files_are_ended_at_their_size_and_the_chain_goes_on(void **state)
{
    struct fixture *f = *state;
    struct series_file *files;
    struct stat st;
    char path[128];

    ledger_reconfigure(f->l, 500, 0);
    for (int i = 0; i < 20; i++)
        notes(f, 3);
    assert_int_equal(list_files(f, &files), 20);
    assert_int_equal(files[1].first_seq, 4);
    path_of(f, files[1].name, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0137, 0);
    free(files);
    assert_verifies(f, 60);
    close_ledger(f);
    open_ledger(f);
    notes(f, 1);
    assert_verifies(f, 61);
}

static void
test_a_second_writer_is_kept_out(void **state)
{
    struct fixture *f = *state;
    struct ledger *second;

    assert_int_equal(ledger_open(&f->options, &second), ERR_EXISTS);
}

static void
test_a_torn_last_line_is_cut_and_recorded(void **state)
{
    struct fixture *f = *state;
    size_t n;
    char *text;
    json_t *all;

    notes(f, 3);
    close_ledger(f);
    text = read_file(f, "0000000001.jsonl", &n);
    write_file(f, "0000000001.jsonl", text, n - 20);
    free(text);
    open_ledger(f);
    notes(f, 1);
    assert_verifies(f, 4);
    all = records(f);
    assert_int_equal(count_type(all, "ledger_recovered"), 1);
    assert_true(json_integer_value(
                    json_object_get(find_type(all, "ledger_recovered", 0), "cut_bytes")) > 100);
    json_decref(all);
}

static void
test_an_empty_last_file_is_continued(void **state)
{
    struct fixture *f = *state;

    notes(f, 3);
    close_ledger(f);
    write_file(f, "0000000004.jsonl", "", 0);
    open_ledger(f);
    notes(f, 2);
    assert_verifies(f, 5);
}

/* Changes the ledger's one file with `change`, expects refusal and that nothing was touched. */
static void
check_damage(struct fixture *f, size_t (*change)(char *text, size_t n), uint64_t line)
{
    struct ledger *l;
    size_t n, after;
    char *text, *again;

    notes(f, 5);
    close_ledger(f);
    text = read_file(f, "0000000001.jsonl", &n);
    n = change(text, n);
    write_file(f, "0000000001.jsonl", text, n);
    assert_broken(f, "0000000001.jsonl", line);
    assert_int_equal(ledger_open(&f->options, &l), ERR_INVALID);
    assert_non_null(strstr(err_text(), "0000000001.jsonl"));
    again = read_file(f, "0000000001.jsonl", &after);
    assert_int_equal(after, n);
    assert_memory_equal(again, text, n);
    free(text);
    free(again);
}

static char *
line_at(char *text, int number)
{
    while (--number > 0)
        text = strchr(text, '\n') + 1;
    return text;
}

static size_t
change_byte(char *text, size_t n)
{
    *strstr(line_at(text, 3), "nothing") = 'N';
    return n;
}

static size_t
remove_line(char *text, size_t n)
{
    char *from = line_at(text, 4), *to = line_at(text, 3);

    memmove(to, from, (size_t)(text + n - from));
    return n - (size_t)(from - to);
}

static size_t
swap_lines(char *text, size_t n)
{
    char *a = line_at(text, 2), *b = line_at(text, 3), *c = line_at(text, 4);
    size_t first = (size_t)(b - a), second = (size_t)(c - b);
    char *copy = malloc(first);

    memcpy(copy, a, first);
    memmove(a, b, second);
    memcpy(a + second, copy, first);
    free(copy);
    return n;
}

static size_t
remove_first(char *text, size_t n)
{
    char *from = line_at(text, 2);

    memmove(text, from, (size_t)(text + n - from));
    return n - (size_t)(from - text);
}

static size_t
break_json(char *text, size_t n)
{
    line_at(text, 5)[0] = '[';
    return n;
}

static void
test_a_changed_byte_is_found(void **state)
{
    check_damage(*state, change_byte, 3);
}

static void
test_a_removed_line_is_found(void **state)
{
    check_damage(*state, remove_line, 3);
}

static void
test_swapped_lines_are_found(void **state)
{
    check_damage(*state, swap_lines, 2);
}

static void
test_a_truncated_start_is_found(void **state)
{
    check_damage(*state, remove_first, 1);
}

static void
test_what_is_not_a_record_is_found(void **state)
{
    check_damage(*state, break_json, 5);
}

static void
test_a_removed_file_is_found(void **state)
{
    static const char *const removed[] = {"0000000001.jsonl", "0000000007.jsonl"};
    static const char *const next[] = {"0000000004.jsonl", "0000000010.jsonl"};

    for (int i = 0; i < 2; i++) {
        struct fixture *f;
        struct ledger *l;
        char path[128];

        assert_int_equal(setup((void **)&f), 0);
        ledger_reconfigure(f->l, 100, 0);
        for (int k = 0; k < 5; k++)
            notes(f, 3);
        close_ledger(f);
        path_of(f, removed[i], path);
        assert_int_equal(unlink(path), 0);
        assert_broken(f, next[i], 0);
        assert_int_equal(ledger_open(&f->options, &l), ERR_INVALID);
        assert_int_equal(teardown((void **)&f), 0);
    }
    (void)state;
}

static void
test_admitted_intents_without_outcome_are_counted(void **state)
{
    struct fixture *f = *state;
    struct verify_result result;
    int fd = begin_session(f, 1);

    identify(f, 1, STR("agent"));
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    put_intent(fd, 2, STR("select 2"), VERDICT_ALLOW);
    put_intent(fd, 3, STR("select 3"), VERDICT_DENY);
    put_outcome(fd, 1);
    drain(f);
    close(fd);
    assert_int_equal(verify_ledger(f->directory, &result), OK);
    assert_int_equal(result.intents, 2);
    assert_int_equal(result.without_outcome, 1);
}

/* The keeper's message arrives while a round is under way: still before the spool is read. */
static void
identify_seven(void *arg)
{
    struct fixture *f = arg;
    static bool done;

    if (!done)
        identify(f, 7, STR("late"));
    done = true;
}

static void
test_a_spool_waits_until_its_session_is_identified(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 7);
    json_t *all;

    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    drain(f);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 0);
    json_decref(all);

    assert_int_equal(ledger_drain(f->l, identify_seven, f), OK);
    drain(f);
    close(fd);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 1);
    assert_string_equal(text_of(json_array_get(all, 0), "type"), "session_opened");
    assert_string_equal(
        text_of(json_object_get(find_type(all, "command_intent", 0), "identity"), "subject"),
        "late");
    json_decref(all);
}

/* What was appended after a round began is not read in it, even if the session is gone since. */
static void
append_and_go(void *arg)
{
    struct fixture *f = arg;
    static bool done;

    if (!done)
        assert_int_equal(ledger_session_gone(f->l, 9, "ended", 0), OK);
    done = true;
}

static void
test_a_session_that_goes_during_a_round_waits_for_the_next(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 9);
    json_t *all;

    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    close(fd);
    ledger_woken(f->l);
    usleep(5000);
    assert_int_equal(ledger_round(f->l, append_and_go, f), OK);
    all = records(f);
    assert_int_equal(json_array_size(all), 0);
    json_decref(all);
    drain(f);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 1);
    assert_true(json_is_null(json_object_get(find_type(all, "command_intent", 0), "identity")));
    assert_int_equal(count_type(all, "session_closed"), 1);
    json_decref(all);
}

static void
test_a_session_is_not_over_while_its_spool_can_be_written(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 3);
    json_t *all;

    identify(f, 3, STR("agent"));
    assert_int_equal(ledger_session_gone(f->l, 3, "crashed", 11), OK);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 1);
    put_intent(fd, 1, STR("select 'late'"), VERDICT_ALLOW);
    close(fd);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 0);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 1);
    assert_int_equal(
        json_integer_value(json_object_get(find_type(all, "session_closed", 0), "signal")), 11);
    json_decref(all);
}

static void
test_a_connection_that_said_nothing_leaves_no_record(void **state)
{
    struct fixture *f = *state;

    close(begin_session(f, 3));
    assert_int_equal(ledger_session_gone(f->l, 3, "ended", 0), OK);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 0);
    assert_int_equal(ledger_session_new(f->l, 0, STR(""), STR(""), &(int){0}), ERR_EXISTS);
    notes(f, 1);
    assert_verifies(f, 1);
}

static void
test_refusals_are_recorded(void **state)
{
    struct fixture *f = *state;
    struct ledger_refusal refusal = {.reason = STR("token_expired"),
                                     .text = STR("the token expired"),
                                     .claimed_subject = STR("somebody"),
                                     .source = STR("192.0.2.9:1"),
                                     .protocol = STR("postgres")};
    json_t *all;
    int fd = begin_session(f, 3);

    assert_int_equal(ledger_session_refused(f->l, 3, &refusal), OK);
    assert_int_equal(ledger_session_refused(f->l, 0, &refusal), OK);
    close(fd);
    assert_int_equal(ledger_session_gone(f->l, 3, "ended", 0), OK);
    drain(f);
    all = records(f);
    assert_int_equal(json_array_size(all), 2);
    assert_string_equal(text_of(json_array_get(all, 0), "source"), "192.0.2.1:5555");
    assert_string_equal(text_of(json_array_get(all, 1), "source"), "192.0.2.9:1");
    assert_string_equal(text_of(json_array_get(all, 1), "claimed_subject"), "somebody");
    json_decref(all);
}

static void
do_crash_before_reading(struct fixture *f)
{
    int fd = begin_session(f, 5);

    identify(f, 5, STR("agent"));
    assert_int_equal(ledger_flush(f->l, false), OK);
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    put_intent(fd, 2, STR("select 2"), VERDICT_ALLOW);
}

static void
test_left_over_spools_are_recovered(void **state)
{
    struct fixture *f = *state;
    const json_t *r;
    json_t *all;

    crash_while(f, do_crash_before_reading);
    open_ledger(f);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 0);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 2);
    r = find_type(all, "command_intent", 1);
    assert_true(json_is_true(json_object_get(r, "recovered")));
    assert_string_equal(text_of(json_object_get(r, "identity"), "subject"), "agent");
    assert_string_equal(text_of(find_type(all, "session_closed", 0), "reason"), "gateway ended");
    assert_verifies(f, json_array_size(all));
    json_decref(all);
}

static void
do_crash_after_reading(struct fixture *f)
{
    char path[160];
    int fd = begin_session(f, 5);

    identify(f, 5, STR("agent"));
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    put_outcome(fd, 1);
    drain(f);
    /* As if it had died between writing the records and noting that it had read them. */
    (void)snprintf(path, sizeof(path), "%s/state/0000000000000005.state", f->directory);
    assert_int_equal(truncate(path, 0), 0);
    put_intent(fd, 2, STR("select 2"), VERDICT_ALLOW);
}

static void
test_what_was_recorded_before_a_crash_is_not_recorded_twice(void **state)
{
    struct fixture *f = *state;
    json_t *all;

    crash_while(f, do_crash_after_reading);
    open_ledger(f);
    drain(f);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 2);
    assert_int_equal(count_type(all, "command_outcome"), 1);
    assert_int_equal(json_integer_value(json_object_get(find_type(all, "command_intent", 1), "n")),
                     3);
    json_decref(all);
}

/* A session outlives the ledger: what it still writes is read by the next one. */
static void
test_a_session_that_outlives_the_ledger_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int fd = begin_session(f, 5);
    json_t *all;

    identify(f, 5, STR("agent"));
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    close_ledger(f);
    open_ledger(f);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 1);
    put_intent(fd, 2, STR("select 2"), VERDICT_ALLOW);
    close(fd);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 0);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 2);
    json_decref(all);
}

static void
test_a_spool_of_garbage_ends_its_session_only(void **state)
{
    struct fixture *f = *state;
    int bad = begin_session(f, 1), good = begin_session(f, 2);
    const char *why;
    uint64_t id;
    json_t *all;

    identify(f, 1, STR("bad"));
    identify(f, 2, STR("good"));
    put_intent(bad, 1, STR("select 1"), VERDICT_ALLOW);
    assert_int_equal(write(bad, "this is not a frame", 19), 19);
    put_intent(good, 1, STR("select 1"), VERDICT_ALLOW);
    drain(f);
    put_intent(good, 2, STR("select 1"), VERDICT_ALLOW);
    put_intent(bad, 2, STR("select 1"), VERDICT_ALLOW);
    drain(f);
    assert_true(ledger_next_cut(f->l, &id, &why));
    assert_int_equal(id, 1);
    assert_string_equal(why, "spool_corrupt");
    assert_false(ledger_next_cut(f->l, &id, &why));
    close(bad);
    close(good);
    assert_int_equal(ledger_session_gone(f->l, 1, "cut_off", 0), OK);
    drain(f);
    assert_int_equal(ledger_session_count(f->l), 1);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 3);
    assert_int_equal(count_type(all, "event"), 1);
    assert_string_equal(text_of(find_type(all, "event", 0), "event"), "spool_corrupt");
    assert_int_equal(count_type(all, "session_closed"), 1);
    json_decref(all);
}

static void
test_a_backlog_ends_the_session_but_is_recorded(void **state)
{
    struct fixture *f = *state;
    size_t n = 1 << 20;
    char *text = malloc(n);
    const char *why;
    uint64_t id;
    json_t *all;
    int fd = begin_session(f, 1);

    memset(text, 'x', n);
    identify(f, 1, STR("agent"));
    for (uint64_t i = 1; i <= 70; i++)
        put_intent(fd, i, (struct str){text, n}, VERDICT_ALLOW);
    free(text);
    ledger_reconfigure(f->l, 8 << 20, 0);
    drain(f);
    close(fd);
    assert_true(ledger_next_cut(f->l, &id, &why));
    assert_string_equal(why, "spool_backlog");
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 70);
    assert_verifies(f, 72);
    json_decref(all);
}

static void
test_a_frame_half_written_is_completed_later_or_reported(void **state)
{
    struct fixture *f = *state;
    struct record_note note = {STR("cancel"), STR("a request"), 0, 0};
    struct buf frame = buf_make(4096);
    int fd = begin_session(f, 1);
    json_t *all;

    identify(f, 1, STR("agent"));
    record_put_note(&frame, 1, RECORD_EVENT, &note);
    assert_int_equal(write(fd, frame.ptr, 7), 7);
    drain(f);
    assert_int_equal(write(fd, frame.ptr + 7, frame.len - 7), frame.len - 7);
    assert_int_equal(write(fd, frame.ptr, 9), 9);
    close(fd);
    buf_free(&frame);
    assert_int_equal(ledger_session_gone(f->l, 1, "killed", 9), OK);
    drain(f);
    all = records(f);
    assert_int_equal(count_type(all, "event"), 1);
    assert_int_equal(
        json_integer_value(json_object_get(find_type(all, "session_closed", 0), "torn_bytes")), 9);
    json_decref(all);
}

static void
test_a_disk_that_is_almost_full_stops_new_commands(void **state)
{
    struct fixture *f = *state;
    int fd;

    assert_true(ledger_accepting(f->l));
    assert_string_equal(ledger_refusal(f->l), "");
    ledger_reconfigure(f->l, 1 << 20, UINT64_MAX);
    assert_false(ledger_accepting(f->l));
    assert_non_null(strstr(ledger_refusal(f->l), "almost full"));
    assert_int_equal(ledger_session_new(f->l, 1, STR(""), STR(""), &fd), ERR_UNAVAILABLE);
    assert_int_equal(fd, -1);
    notes(f, 1); /* what is known is still written */
    ledger_reconfigure(f->l, 1 << 20, 0);
    assert_true(ledger_accepting(f->l));
}

/* The limit on a file's size stands in for a full disk: a write ends in the middle of a record. */
static void
test_a_full_disk_stops_commands_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, low;
    int fd = begin_session(f, 1);

    identify(f, 1, STR("agent"));
    for (uint64_t i = 1; i <= 20; i++)
        put_intent(fd, i, STR("select 1"), VERDICT_ALLOW);
    close(fd);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 5000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    drain(f);
    assert_false(ledger_accepting(f->l));
    assert_int_equal(ledger_note(f->l, 0, STR("test"), STR("while full")), OK);
    assert_int_equal(ledger_admin(f->l, STR("root"), STR("kill"), STR(""), STR("")),
                     ERR_UNAVAILABLE);
    drain(f);
    assert_false(ledger_accepting(f->l));
    assert_in_range(ledger_timeout_ms(f->l), 0, 1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    drain(f);
    assert_true(ledger_accepting(f->l));
    assert_verifies(f, 23);
}

static void
test_the_loop_sleeps_until_it_is_woken_and_then_gathers(void **state)
{
    struct fixture *f = *state;
    int fd;
    json_t *all;

    drain(f);
    assert_int_equal(ledger_timeout_ms(f->l), -1);
    assert_true(ledger_poll_fd(f->l) >= 0);
    fd = begin_session(f, 1);
    identify(f, 1, STR("agent"));
    drain(f);
    assert_true(ledger_timeout_ms(f->l) > 100);
    put_intent(fd, 1, STR("select 1"), VERDICT_ALLOW);
    ledger_woken(f->l);
    assert_int_equal(ledger_poll_fd(f->l), -1);
    assert_in_range(ledger_timeout_ms(f->l), 0, LEDGER_BATCH_MS);
    usleep(LEDGER_BATCH_MS * 1000 + 1000);
    assert_int_equal(ledger_round(f->l, NULL, NULL), OK);
    close(fd);
    all = records(f);
    assert_int_equal(count_type(all, "command_intent"), 1);
    json_decref(all);
    assert_in_range(ledger_timeout_ms(f->l), 1, LEDGER_SYNC_MS);
}

static void
test_other_records_have_their_fields(void **state)
{
    struct fixture *f = *state;
    json_t *all;

    assert_int_equal(
        ledger_service_event(f->l, LEDGER_SERVICE_DIED, STR("keeper"), STR("signal 11")), OK);
    assert_int_equal(ledger_configuration_loaded(f->l, STR("/etc/b.yaml"), STR("abcd"), STR("")),
                     OK);
    assert_int_equal(
        ledger_admin(f->l, STR("root (uid 0)"), STR("session_kill"), STR("7"), STR("")), OK);
    all = records(f);
    assert_string_equal(text_of(find_type(all, "service_died", 0), "detail"), "signal 11");
    assert_string_equal(text_of(find_type(all, "configuration_loaded", 0), "digest"), "abcd");
    assert_string_equal(text_of(find_type(all, "admin_action", 0), "actor"), "root (uid 0)");
    json_decref(all);
    assert_verifies(f, 3);
}

/* The script that docs/ledger.md offers as an independent check. */
static int
run_documented_script(const struct fixture *f)
{
    char command[512], path[128], *text = malloc(TEXT_MAX), *from, *to;
    FILE *docs = fopen(BULKHEAD_SOURCE_ROOT "/docs/ledger.md", "rb");
    int status;

    assert_non_null(docs);
    text[fread(text, 1, TEXT_MAX - 1, docs)] = '\0';
    fclose(docs);
    assert_non_null(from = strstr(text, "```python\n"));
    from += strlen("```python\n");
    assert_non_null(to = strstr(from, "```"));
    write_file(f, "script.py", from, (size_t)(to - from));
    free(text);
    path_of(f, "script.py", path);
    (void)snprintf(command, sizeof(command), "/usr/bin/python3 %s %s >/dev/null 2>&1", path,
                   f->directory);
    status = system(command);
    assert_int_equal(unlink(path), 0);
    return status;
}

static void
test_the_documented_script_agrees(void **state)
{
    struct fixture *f = *state;
    size_t n;
    char *text;

    ledger_reconfigure(f->l, 500, 0);
    notes(f, 3);
    notes(f, 3);
    assert_int_equal(run_documented_script(f), 0);
    text = read_file(f, "0000000001.jsonl", &n);
    change_byte(text, n);
    write_file(f, "0000000001.jsonl", text, n);
    free(text);
    assert_int_not_equal(run_documented_script(f), 0);
}

static int64_t
cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

/* LEDGER_BENCH=1: records a second of one core, statements of 300 bytes and outcomes. */
static void
test_speed(void **state)
{
    struct fixture *f = *state;
    enum { SESSIONS = 20, ROUNDS = 50, COMMANDS = 200 };
    int fds[SESSIONS];
    char text[300];
    int64_t us = 0;

    if (getenv("LEDGER_BENCH") == NULL)
        skip();
    memset(text, 'x', sizeof(text));
    memcpy(text, "select 'a \"quoted\" text', ", 26);
    ledger_reconfigure(f->l, 256 << 20, 0);
    for (uint64_t i = 0; i < SESSIONS; i++) {
        fds[i] = begin_session(f, i + 1);
        identify(f, i + 1, STR("agent"));
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int64_t start;

        for (uint64_t i = 0; i < SESSIONS; i++)
            for (uint64_t k = 0; k < COMMANDS; k++) {
                put_intent(fds[i], round * COMMANDS + k, (struct str){text, sizeof(text)},
                           VERDICT_ALLOW);
                put_outcome(fds[i], round * COMMANDS + k);
            }
        ledger_woken(f->l);
        usleep((unsigned)ledger_timeout_ms(f->l) * 1000);
        start = cpu_us();
        assert_int_equal(ledger_round(f->l, NULL, NULL), OK);
        us += cpu_us() - start;
    }
    print_message("%.0f records a second of one core\n",
                  2.0 * SESSIONS * ROUNDS * COMMANDS * 1e6 / (double)us);
    for (int i = 0; i < SESSIONS; i++)
        close(fds[i]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_sessions_life_is_recorded),
        T(test_masks_and_limits_are_recorded_where_there_are_any),
        T(test_held_commands_and_what_humans_said_are_recorded),
        T(test_files_are_ended_at_their_size_and_the_chain_goes_on),
        T(test_a_second_writer_is_kept_out),
        T(test_a_torn_last_line_is_cut_and_recorded),
        T(test_an_empty_last_file_is_continued),
        T(test_a_changed_byte_is_found),
        T(test_a_removed_line_is_found),
        T(test_swapped_lines_are_found),
        T(test_a_truncated_start_is_found),
        T(test_what_is_not_a_record_is_found),
        T(test_a_removed_file_is_found),
        T(test_admitted_intents_without_outcome_are_counted),
        T(test_a_spool_waits_until_its_session_is_identified),
        T(test_a_session_that_goes_during_a_round_waits_for_the_next),
        T(test_a_session_is_not_over_while_its_spool_can_be_written),
        T(test_a_connection_that_said_nothing_leaves_no_record),
        T(test_refusals_are_recorded),
        T(test_left_over_spools_are_recovered),
        T(test_what_was_recorded_before_a_crash_is_not_recorded_twice),
        T(test_a_session_that_outlives_the_ledger_loses_nothing),
        T(test_a_spool_of_garbage_ends_its_session_only),
        T(test_a_backlog_ends_the_session_but_is_recorded),
        T(test_a_frame_half_written_is_completed_later_or_reported),
        T(test_a_disk_that_is_almost_full_stops_new_commands),
        T(test_a_full_disk_stops_commands_and_loses_nothing),
        T(test_the_loop_sleeps_until_it_is_woken_and_then_gathers),
        T(test_other_records_have_their_fields),
        T(test_the_documented_script_agrees),
        T(test_speed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
