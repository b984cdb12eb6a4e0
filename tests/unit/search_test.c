#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail /* ours is meant */

#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/dry_run_text.h"
#include "control/search.h"
#include "ledger/chain.h"
#include "ledger/fields.h"
#include "ledger/walk.h"

enum { ANSWER_MAX = 64 << 20, RECORDS = 600, FILE_BYTES = 20000 };

static char directory[64];
static int64_t begun_us; /* of the first record; one a minute */

/* --- a ledger of our own making ----------------------------------------------------------------
 */

static void
put_identity(struct json *j, const char *subject)
{
    json_key(j, "identity");
    json_open(j, '{');
    json_field_text(j, "subject", subject);
    json_field_text(j, "issuer", "corp");
    json_field_text(j, "token_id", "t1");
    json_key(j, "groups");
    json_open(j, '[');
    json_str(j, STR("analysts"));
    json_close(j, ']');
    json_key(j, "delegation");
    json_open(j, '[');
    json_str(j, str_from(subject));
    json_close(j, ']');
    json_close(j, '}');
}

static void
put_session(struct json *j, unsigned session)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016x", session);
    json_field_text(j, "session", text);
    json_field_uint(j, "n", 1);
    json_field_text(j, "session_time", "2026-01-31T08:00:00.000000Z");
}

struct intent {
    unsigned session;
    uint64_t command;
    const char *subject, *resource, *verdict, *rule, *statement, *schema, *table, *effect;
};

static void
put_intent(struct chain *c, int64_t at_us, const struct intent *i)
{
    struct json *j = chain_begin(c, at_us, "command_intent");

    put_session(j, i->session);
    json_field_uint(j, "command", i->command);
    put_identity(j, i->subject);
    json_field_text(j, "resource", i->resource);
    json_field_text(j, "database", "sales");
    json_field_text(j, "verdict", i->verdict);
    json_field_text(j, "rule", i->rule);
    json_key(j, "message");
    json_put_null(j);
    json_field_text(j, "statement", i->statement);
    json_key(j, "binds");
    json_open(j, '[');
    json_close(j, ']');
    json_key(j, "facts");
    json_open(j, '[');
    json_open(j, '{');
    json_field_text(j, "effect", i->effect);
    json_key(j, "classes");
    json_open(j, '[');
    json_close(j, ']');
    json_field_text(j, "kind", "relation");
    json_field_text(j, "schema", i->schema);
    json_field_text(j, "name", i->table);
    json_close(j, '}');
    json_close(j, ']');
    assert_int_equal(chain_end(c), OK);
}

static void
put_outcome(struct chain *c, int64_t at_us, unsigned session, uint64_t command, const char *subject,
            const char *resource, uint64_t rows)
{
    struct json *j = chain_begin(c, at_us, "command_outcome");

    put_session(j, session);
    json_field_text(j, "subject", subject);
    json_field_text(j, "resource", resource);
    json_field_uint(j, "command", command);
    json_field_uint(j, "rows", rows);
    assert_int_equal(chain_end(c), OK);
}

static void
put_opened(struct chain *c, int64_t at_us, unsigned session, const char *subject)
{
    struct json *j = chain_begin(c, at_us, "session_opened");

    put_session(j, session);
    json_field_text(j, "source", "192.0.2.7");
    json_field_text(j, "protocol", "postgres");
    put_identity(j, subject);
    json_field_text(j, "resource", "analytics");
    assert_int_equal(chain_end(c), OK);
}

/* Record 1 and 2 open sessions 1 and 2; then, a minute apart, pairs of an intent and an outcome.
 * The first session reads public.orders, the second is refused a write to audit.log now and then.
 */
static int
make_ledger(void **state)
{
    struct chain *c;

    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/search_test.XXXXXX");
    assert_non_null(mkdtemp(directory));
    begun_us = clock_wall_us() - (int64_t)RECORDS * 60 * 1000000;
    assert_int_equal(chain_open(directory, FILE_BYTES, &c), OK);
    put_opened(c, begun_us, 1, "agent-a");
    put_opened(c, begun_us, 2, "agent-b");
    for (unsigned i = 0; i + 2 < RECORDS; i += 2) {
        int64_t at_us = begun_us + (int64_t)(i + 2) * 60 * 1000000;
        bool second = i % 8 == 0;
        char statement[64];
        struct intent intent = {.session = second ? 2 : 1,
                                .command = i / 2 + 1,
                                .subject = second ? "agent-b" : "agent-a",
                                .resource = "analytics",
                                .verdict = second ? "deny" : "allow",
                                .rule = second ? "never" : "readers",
                                .statement = statement,
                                .schema = second ? "audit" : "public",
                                .table = second ? "log" : "orders",
                                .effect = second ? "write" : "read"};

        (void)snprintf(statement, sizeof(statement), "%s \"Quoted\\\" %u",
                       second ? "insert into log" : "SELECT", i);
        put_intent(c, at_us, &intent);
        put_outcome(c, at_us + 1000000, intent.session, intent.command, intent.subject, "analytics",
                    second ? 0 : 10);
        assert_int_equal(chain_write(c), OK);
    }
    chain_close(c);
    return 0;
}

static int
remove_one(const char *path, const struct stat *s, int flag, struct FTW *ftw)
{
    (void)s;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int
remove_ledger(void **state)
{
    (void)state;
    return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- asking ------------------------------------------------------------------------------ */

static void
set(struct search_query *q, struct arena *arena, const char *key, const char *value)
{
    enum err e = search_query_set(q, arena, str_from(key), str_from(value), clock_wall_us());

    if (e != OK)
        print_error("%s=%s: %s\n", key, value, err_text());
    assert_int_equal(e, OK);
}

static json_t *
parse(struct buf *answer)
{
    json_error_t error;
    json_t *parsed = json_loadb(answer->ptr, answer->len, 0, &error);

    if (parsed == NULL)
        print_error("%s\n%.*s\n", error.text, (int)answer->len, answer->ptr);
    assert_non_null(parsed);
    buf_free(answer);
    return parsed;
}

static json_t *
search(const struct search_query *q)
{
    struct buf out = buf_make(ANSWER_MAX);
    enum err e = search_ledger(directory, q, NULL, &out);

    if (e != OK)
        print_error("%s\n", err_text());
    assert_int_equal(e, OK);
    return parse(&out);
}

static json_int_t
seq_of(const json_t *answer, size_t i)
{
    return json_integer_value(
        json_object_get(json_array_get(json_object_get(answer, "items"), i), "seq"));
}

/* How many records in all pages of a filter; they must come in order, each once. */
static unsigned
count_all(const char *key, const char *value, unsigned limit)
{
    struct arena *arena = arena_new(1 << 16);
    struct search_query q = {.limit = limit};
    json_int_t last = INT64_MAX;
    unsigned n = 0;

    if (key != NULL)
        set(&q, arena, key, value);
    for (;;) {
        json_t *answer = search(&q);
        const char *next = json_string_value(json_object_get(answer, "next"));
        size_t items = json_array_size(json_object_get(answer, "items"));
        uint64_t before = 0;

        assert_true(items <= limit);
        for (size_t i = 0; i < items; i++) {
            assert_true(seq_of(answer, i) < last);
            last = seq_of(answer, i);
        }
        n += (unsigned)items;
        if (next != NULL)
            assert_true(str_to_uint(str_from(next), UINT64_MAX, &before));
        json_decref(answer);
        if (before == 0)
            break;
        q.before = before;
    }
    arena_free(arena);
    return n;
}

static void
test_pages_hold_every_record_once_newest_first(void **state)
{
    (void)state;
    assert_int_equal(count_all(NULL, NULL, 1000), RECORDS);
    assert_int_equal(count_all(NULL, NULL, 7), RECORDS);
    assert_int_equal(count_all(NULL, NULL, 1), RECORDS);
}

static void
test_filters_find_what_they_say(void **state)
{
    unsigned pairs = (RECORDS - 2) / 2, second = (pairs + 3) / 4;

    (void)state;
    assert_int_equal(count_all("verdict", "deny", 50), second);
    assert_int_equal(count_all("subject", "agent-b", 50), 2 * second + 1);
    assert_int_equal(count_all("subject", "agent-?", 50), RECORDS);
    assert_int_equal(count_all("resource", "nowhere", 50), 0);
    assert_int_equal(count_all("type", "command_outcome", 50), pairs);
    assert_int_equal(count_all("session", "0000000000000002", 50), 2 * second + 1);
    assert_int_equal(count_all("table", "audit.log", 50), second);
    assert_int_equal(count_all("table", "log", 50), second);
    assert_int_equal(count_all("table", "public.log", 50), 0);
    assert_int_equal(count_all("table", "*.o?ders", 50), pairs - second);
    assert_int_equal(count_all("text", "INSERT INTO", 50), second);
    assert_int_equal(count_all("text", "\"quoted\\\" 4", 50), count_all("text", "ed\\\" 4", 9));
    assert_true(count_all("text", "\"quoted\\\" 4", 50) > 0);
    assert_int_equal(count_all("text", "nothing of the kind", 50), 0);
}

static void
format_minutes(unsigned minutes, char out[CLOCK_TEXT_BYTES])
{
    (void)clock_format(begun_us + (int64_t)minutes * 60 * 1000000, out);
}

static void
test_times_bound_a_search_on_both_sides(void **state)
{
    struct arena *arena = arena_new(1 << 16);
    struct search_query q = {.limit = 1000};
    char from[CLOCK_TEXT_BYTES], to[CLOCK_TEXT_BYTES];
    json_t *answer;

    (void)state;
    format_minutes(100, from);
    format_minutes(119, to);
    set(&q, arena, "from", from);
    set(&q, arena, "to", to);
    answer = search(&q);
    assert_int_equal(json_array_size(json_object_get(answer, "items")), 20);
    assert_true(json_is_null(json_object_get(answer, "next")));
    json_decref(answer);
    arena_free(arena);
}

static void
test_bad_filters_are_refused_with_words(void **state)
{
    static const char *const bad[][2] = {
        {"limit", "0"},   {"limit", "1001"},    {"limit", "-1"},     {"before", "x"},
        {"from", "soon"}, {"to", "2026-13-01"}, {"from", "20261301"}};
    struct arena *arena = arena_new(1 << 16);
    struct search_query q = {0};
    char long_value[600];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(search_query_set(&q, arena, str_from(bad[i][0]), str_from(bad[i][1]), 0),
                         ERR_INVALID);
        assert_true(strlen(err_text()) > 10);
    }
    memset(long_value, 'x', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    assert_int_equal(search_query_set(&q, arena, STR("text"), str_from(long_value), 0),
                     ERR_INVALID);
    assert_int_equal(search_query_set(&q, arena, STR("color"), STR("red"), 0), ERR_NOT_FOUND);
    set(&q, arena, "subject", "");
    set(&q, arena, "from", "");
    assert_int_equal(q.filter.subject.len, 0);
    arena_free(arena);
}

static void
test_one_record_by_its_number(void **state)
{
    static const uint64_t asked[] = {1, 2, 77, RECORDS - 1, RECORDS};

    (void)state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct buf out = buf_make(ANSWER_MAX);
        json_t *record;

        assert_int_equal(search_record(directory, asked[i], &out), OK);
        record = parse(&out);
        assert_int_equal(json_integer_value(json_object_get(record, "seq")), asked[i]);
        json_decref(record);
    }
    for (uint64_t missing = 0; missing <= RECORDS + 1; missing += RECORDS + 1) {
        struct buf out = buf_make(ANSWER_MAX);

        assert_int_equal(search_record(directory, missing, &out), ERR_NOT_FOUND);
        buf_free(&out);
    }
}

static void
test_an_export_is_every_line_in_order(void **state)
{
    struct search_query q = {0};
    struct search_export *x;
    struct buf all = buf_make(ANSWER_MAX);
    unsigned lines = 0;
    enum err e;

    (void)state;
    assert_int_equal(search_export_open(directory, &q, &x), OK);
    while ((e = search_export_read(x, NULL, &all)) == OK)
        ;
    assert_int_equal(e, ERR_CLOSED);
    search_export_close(x);
    for (struct str rest = buf_str(&all), line; rest.len > 0;) {
        char head[32];

        rest = str_cut(rest, '\n', &line);
        (void)snprintf(head, sizeof(head), "{\"seq\":%u,", ++lines);
        assert_true(str_starts(line, str_from(head)));
    }
    assert_int_equal(lines, RECORDS);
    buf_free(&all);
}

static void
test_the_last_commands_of_a_session_come_oldest_first(void **state)
{
    struct buf out = buf_make(ANSWER_MAX);
    json_t *commands;

    (void)state;
    assert_int_equal(search_recent(directory, 2, 0, 3, &out), OK);
    commands = parse(&out);
    assert_int_equal(json_array_size(commands), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *c = json_array_get(commands, i);

        assert_string_equal(json_string_value(json_object_get(c, "verdict")), "deny");
        assert_string_equal(json_string_value(json_object_get(c, "rule")), "never");
        assert_memory_equal(json_string_value(json_object_get(c, "text")), "insert into log", 15);
        if (i > 0)
            assert_true(strcmp(json_string_value(json_object_get(c, "at")),
                               json_string_value(
                                   json_object_get(json_array_get(commands, i - 1), "at"))) > 0);
    }
    json_decref(commands);
    out = buf_make(ANSWER_MAX);
    assert_int_equal(search_recent(directory, 3, 0, 3, &out), OK);
    commands = parse(&out);
    assert_int_equal(json_array_size(commands), 0);
    json_decref(commands);
}

static void
test_an_overview_adds_up(void **state)
{
    unsigned pairs = (RECORDS - 2) / 2, second = (pairs + 3) / 4;
    struct buf out = buf_make(ANSWER_MAX);
    json_int_t commands = 0, refused = 0;
    json_t *answer, *item;
    size_t i;

    (void)state;
    assert_int_equal(search_overview(directory, 1, clock_wall_us(), NULL, &out), OK);
    answer = parse(&out);
    assert_int_equal(json_array_size(json_object_get(answer, "nodes")), 3);
    assert_int_equal(json_array_size(json_object_get(answer, "edges")), 2);
    item = json_array_get(json_object_get(answer, "edges"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "identity")), "agent-a");
    assert_int_equal(json_integer_value(json_object_get(item, "commands")), pairs - second);
    assert_int_equal(json_integer_value(json_object_get(item, "rows")), 10 * (pairs - second));
    item = json_array_get(json_object_get(answer, "edges"), 1);
    assert_int_equal(json_integer_value(json_object_get(item, "refused")), second);
    json_array_foreach(json_object_get(answer, "series"), i, item)
    {
        commands += json_integer_value(json_object_get(item, "commands"));
        refused += json_integer_value(json_object_get(item, "refused"));
    }
    assert_in_range(i, 24, 26);
    assert_int_equal(commands, pairs);
    assert_int_equal(refused, second);
    json_decref(answer);
}

static void
test_verify_says_whole_and_broken(void **state)
{
    struct buf out = buf_make(ANSWER_MAX);
    json_t *answer;
    char path[128], byte = 'X';
    int fd;

    (void)state;
    assert_int_equal(search_verify(directory, &out), OK);
    answer = parse(&out);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    assert_int_equal(json_integer_value(json_object_get(answer, "records")), RECORDS);
    assert_int_equal(json_string_length(json_object_get(answer, "head")), 64);
    json_decref(answer);

    (void)snprintf(path, sizeof(path), "%s/0000000001.jsonl", directory);
    fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, 200), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 200), 1);
    out = buf_make(ANSWER_MAX);
    assert_int_equal(search_verify(directory, &out), OK);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 200), 1);
    close(fd);
    answer = parse(&out);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    assert_non_null(
        strstr(json_string_value(json_object_get(answer, "detail")), "0000000001.jsonl, line 1"));
    json_decref(answer);
}

/* --- ledgers that are not as they should be ---------------------------------------------- */

static void
make_file(const char *where, const char *name, struct str bytes)
{
    char path[160];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", where, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.ptr, bytes.len), bytes.len);
    close(fd);
}

#define LINE(seq, more)                                                                            \
    "{\"seq\":" seq ",\"time\":\"2026-01-31T08:00:00.000000Z\",\"type\":\"event\"" more "}\n"

static void
test_what_is_no_record_is_counted_and_never_shown(void **state)
{
    static const char lines[] = LINE(
        "1",
        ",\"text\":\"fine\"") "not a record\n"
                              "\n" LINE("2", ",\"text\":\"twice\",\"text\":\"said\"") LINE(
                                  "3",
                                  ",\"text\":\"un\"closed\"") "{\"seq\":4,\"time\":\"2026-01-31T08:"
                                                              "00:00.000000Z\",\"type\":\"event\","
                                                              "\"seq\":1}\n" LINE("5",
                                                                                  ",\"text\":"
                                                                                  "\"\\ud800\"")
                                                                  LINE(
                                                                      "6",
                                                                      ",\"a\":[[[{}]]],\"text\":"
                                                                      "\"fine, too\"") "{\"seq\":7,"
                                                                                       "\"time\":"
                                                                                       "\"2026-01-"
                                                                                       "31T08";
    char where[64] = "/tmp/search_test.XXXXXX";
    char kept[sizeof(directory)];
    struct search_query q = {0};
    json_t *answer;

    (void)state;
    assert_non_null(mkdtemp(where));
    make_file(where, "0000000001.jsonl", STR(lines));
    memcpy(kept, directory, sizeof(kept));
    (void)snprintf(directory, sizeof(directory), "%s", where);
    answer = search(&q);
    assert_int_equal(json_array_size(json_object_get(answer, "items")), 2);
    assert_int_equal(seq_of(answer, 0), 6);
    assert_int_equal(seq_of(answer, 1), 1);
    assert_int_equal(json_integer_value(json_object_get(answer, "damaged")), 6);
    json_decref(answer);
    remove_ledger(NULL);
    memcpy(directory, kept, sizeof(directory));
}

/* Cuts the last file at every byte of its end: nothing but whole records is ever seen. */
static void
test_a_file_cut_anywhere_shows_its_whole_records(void **state)
{
    static const char lines[] = LINE("1", ",\"text\":\"a\"") LINE("2", ",\"text\":\"b\"");
    char where[64] = "/tmp/search_test.XXXXXX";
    char kept[sizeof(directory)];
    size_t first = str_index(STR(lines), '\n') + 1;

    (void)state;
    assert_non_null(mkdtemp(where));
    memcpy(kept, directory, sizeof(kept));
    (void)snprintf(directory, sizeof(directory), "%s", where);
    for (size_t n = 0; n < sizeof(lines); n++) {
        size_t whole = n >= sizeof(lines) - 1 ? 2 : n >= first ? 1 : 0;
        struct search_query q = {0};
        json_t *answer;

        make_file(where, "0000000001.jsonl", (struct str){lines, n});
        answer = search(&q);
        assert_int_equal(json_array_size(json_object_get(answer, "items")), whole);
        assert_int_equal(json_integer_value(json_object_get(answer, "damaged")), 0);
        json_decref(answer);
    }
    remove_ledger(NULL);
    memcpy(directory, kept, sizeof(directory));
}

static void
test_a_directory_without_a_ledger_is_an_error(void **state)
{
    char where[64] = "/tmp/search_test.XXXXXX";
    struct search_query q = {0};
    struct buf out = buf_make(ANSWER_MAX);

    (void)state;
    assert_non_null(mkdtemp(where));
    assert_int_equal(search_ledger(where, &q, NULL, &out), ERR_NOT_FOUND);
    assert_int_equal(rmdir(where), 0);
    assert_int_equal(search_ledger(where, &q, NULL, &out), ERR_NOT_FOUND);
    buf_free(&out);
}

static void
test_a_search_that_is_given_up_says_so(void **state)
{
    atomic_bool stop = true;
    struct search_query q = {.limit = 1000};
    struct buf out = buf_make(ANSWER_MAX);

    (void)state;
    assert_int_equal(search_ledger(directory, &q, &stop, &out), ERR_CANCELED);
    buf_free(&out);
}

/* Both directions from every record see the same neighbours. */
static void
test_a_walk_may_turn_anywhere(void **state)
{
    struct walk *w;

    (void)state;
    assert_int_equal(walk_open(directory, &w), OK);
    for (uint64_t seq = 1; seq <= RECORDS; seq += 13) {
        struct str text;
        struct line line;

        assert_int_equal(walk_to(w, seq), OK);
        assert_int_equal(walk_next(w, &text, &line), OK);
        assert_int_equal(line.seq, seq);
        assert_int_equal(walk_previous(w, &text, &line), OK);
        assert_int_equal(line.seq, seq);
        if (seq > 1) {
            assert_int_equal(walk_previous(w, &text, &line), OK);
            assert_int_equal(line.seq, seq - 1);
        } else {
            assert_int_equal(walk_previous(w, &text, &line), ERR_CLOSED);
        }
    }
    walk_close(w);
}

static void
test_what_a_human_decided_is_found_by_their_name(void **state)
{
    json_t *record = json_loads("{\"type\":\"approval\",\"actor\":\"carol\"}", 0, NULL);
    struct ledger_filter carol = {.subject = STR("car*")}, dave = {.subject = STR("dave")};

    (void)state;
    assert_true(ledger_filter_matches(&carol, record));
    assert_false(ledger_filter_matches(&dave, record));
    json_decref(record);
}

static void
test_members_are_seen_as_a_parser_sees_them(void **state)
{
    struct fields f = fields_of(
        STR("{ \"a\" : \"x\\\"}\\\\\" , \"b\":{\"c\":[1,\"]}\"]}, \"d\":null,\"e\":-1.5e3 }"));
    struct buf scratch = buf_make(100);
    struct str key, value, text;

    (void)state;
    assert_true(fields_next(&f, &key, &value));
    assert_true(str_is(key, "a") && fields_text(value, &scratch, &text));
    assert_true(str_is(text, "x\"}\\"));
    assert_true(fields_next(&f, &key, &value));
    assert_true(str_is(key, "b") && str_is(value, "{\"c\":[1,\"]}\"]}"));
    assert_true(fields_next(&f, &key, &value) && str_is(value, "null"));
    assert_false(fields_text(value, &scratch, &text));
    assert_true(fields_next(&f, &key, &value) && str_is(value, "-1.5e3"));
    assert_false(fields_next(&f, &key, &value));
    assert_false(f.failed);
    f = fields_of(STR("{\"a\":\"x"));
    assert_false(fields_next(&f, &key, &value));
    assert_true(f.failed);
    buf_free(&scratch);
}

/* --- dry runs ---------------------------------------------------------------------------- */

#define CONFIG_HEAD                                                                                \
    "# a comment\n"                                                                                \
    "listen: {postgres: 127.0.0.1:5432}\n"                                                         \
    "postgres: {cleartext_on_loopback: true}\n"                                                    \
    "issuers:\n"                                                                                   \
    "  - {name: corp, issuer: \"https://idp.example.com\", audience: bulkhead, groups_claim: "     \
    "groups}\n"                                                                                    \
    "ledger: {directory: /tmp/l}\n"
#define POLICIES_NOW                                                                               \
    "policies:\n"                                                                                  \
    "  - name: readers\n"                                                                          \
    "    who: {groups: [analysts]}\n"                                                              \
    "    resources: {names: [analytics]}\n"                                                        \
    "    allow: [read]\n"
#define CONFIG_TAIL                                                                                \
    "resources:\n"                                                                                 \
    "  analytics:\n"                                                                               \
    "    protocol: postgres\n"                                                                     \
    "    address: 127.0.0.1:5433\n"                                                                \
    "    tls: off\n"                                                                               \
    "    credential: {user: u, password: p}\n"

static const char config_text[] = CONFIG_HEAD POLICIES_NOW CONFIG_TAIL;

static enum err
dry_run(const char *policies, struct buf *report, json_t **out)
{
    struct search_dry_run run = {.config_text = STR(config_text),
                                 .config_path = STR("/etc/bulkhead/bulkhead.yaml"),
                                 .policies = str_from(policies),
                                 .days = 2,
                                 .wall_us = clock_wall_us()};
    struct buf answer = buf_make(ANSWER_MAX);
    enum err e = search_dry_run(directory, &run, NULL, report, &answer);

    if (e == OK)
        *out = parse(&answer);
    buf_free(&answer);
    return e;
}

static void
expect_dry_run(const char *policies, json_t **out)
{
    struct buf report = buf_make(1 << 20);
    enum err e = dry_run(policies, &report, out);

    if (e != OK)
        print_error("%s\n%.*s\n", err_text(), (int)report.len, report.ptr);
    assert_int_equal(e, OK);
    buf_free(&report);
}

static void
test_the_same_policies_change_nothing(void **state)
{
    json_t *answer;

    (void)state;
    expect_dry_run(POLICIES_NOW, &answer);
    assert_int_equal(json_integer_value(json_object_get(answer, "commands")), (RECORDS - 2) / 2);
    assert_int_equal(json_integer_value(json_object_get(answer, "changed_total")), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "sessions")), 2);
    json_decref(answer);
}

static void
test_a_policy_that_denies_says_which_commands_it_would(void **state)
{
    static const char list[] = "- name: readers\n"
                               "  who: {groups: [analysts]}\n"
                               "  resources: {names: [analytics]}\n"
                               "  allow: [read]\n"
                               "- name: no orders\n"
                               "  commands: [read]\n"
                               "  tables: [public.orders]\n"
                               "  deny: \"orders are not for agents\"\n";
    unsigned pairs = (RECORDS - 2) / 2, second = (pairs + 3) / 4;
    json_t *answer, *first;

    (void)state;
    expect_dry_run(list, &answer);
    assert_int_equal(json_integer_value(json_object_get(answer, "changed_total")), pairs - second);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(answer, "counts"), "allow to deny")),
        pairs - second);
    assert_int_equal(json_array_size(json_object_get(answer, "changed")),
                     pairs - second < 200 ? pairs - second : 200);
    first = json_array_get(json_object_get(answer, "changed"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "rule_was")), "readers");
    assert_string_equal(json_string_value(json_object_get(first, "rule_would")), "no orders");
    assert_string_equal(json_string_value(json_object_get(first, "recorded")), "allow");
    assert_string_equal(json_string_value(json_object_get(first, "message")),
                        "orders are not for agents");
    json_decref(answer);
}

static void
test_errors_in_policies_have_the_lines_that_were_given(void **state)
{
    struct buf report = buf_make(1 << 20);
    json_t *answer = NULL;

    (void)state;
    assert_int_equal(dry_run("- name: readers\n  allow: [nothing-of-the-kind]\n", &report, &answer),
                     ERR_INVALID);
    buf_put_u8(&report, '\0');
    assert_non_null(strstr(report.ptr, "policies:2:"));
    buf_free(&report);
    report = buf_make(1 << 20);
    assert_int_equal(
        dry_run("policies:\n- name: readers\n  allow: [nothing-of-the-kind]\n", &report, &answer),
        ERR_INVALID);
    buf_put_u8(&report, '\0');
    assert_non_null(strstr(report.ptr, "policies:3:"));
    buf_free(&report);
    report = buf_make(1 << 20);
    assert_int_equal(dry_run("policies: [", &report, &answer), ERR_INVALID);
    assert_true(report.len > 0);
    buf_free(&report);
}

static void
test_policies_are_replaced_wherever_they_stand(void **state)
{
    static const char *const configs[] = {"a: 1\npolicies:\n- x\n- y\nb: 2\n",
                                          "policies: [x]\na: 1\nb: 2\n",
                                          "---\na: 1\nb: 2\npolicies:\n  - x", "a: 1\nb: 2\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct buf out = buf_make(10000);
        unsigned shift = 7;

        assert_int_equal(dry_run_text(str_from(configs[i]), STR("- new"), &out, &shift), OK);
        assert_int_equal(shift, 1);
        buf_put_u8(&out, '\0');
        if (i == 2)
            assert_string_equal(out.ptr, "policies:\n- new\n\na: 1\nb: 2\n");
        else
            assert_string_equal(out.ptr, "policies:\n- new\na: 1\nb: 2\n");
        buf_free(&out);
    }
}

/* --- speed ------------------------------------------------------------------------------- */

/* `recent` has 20 ms for a live session, however large the ledger is. Set BULKHEAD_SLOW_TESTS to
 * measure on 1 GiB. */
static void
test_recent_is_quick_on_a_large_ledger(void **state)
{
    bool large = getenv("BULKHEAD_SLOW_TESTS") != NULL;
    size_t target = (size_t)(large ? 1024 : 64) << 20, written = 0;
    char where[64] = "/tmp/search_test.XXXXXX";
    char kept[sizeof(directory)];
    struct buf out = buf_make(ANSWER_MAX);
    struct chain *c;
    int64_t begun, took_us = INT64_MAX;

    (void)state;
    assert_non_null(mkdtemp(where));
    assert_int_equal(chain_open(where, 256 << 20, &c), OK);
    for (unsigned i = 0; written < target; i++) {
        struct intent intent = {i % 100 + 1,
                                i,
                                "agent-a",
                                "analytics",
                                "allow",
                                "readers",
                                "SELECT * FROM public.orders WHERE id = 17",
                                "public",
                                "orders",
                                "read"};

        put_intent(c, clock_wall_us(), &intent);
        if (i % 1000 == 0) {
            written += chain_pending(c);
            assert_int_equal(chain_write(c), OK);
        }
    }
    chain_close(c);
    for (int attempt = 0; attempt < 5; attempt++) { /* the machine may be busy */
        buf_reset(&out);
        begun = clock_monotonic_us();
        assert_int_equal(search_recent(where, 50, 0, SEARCH_RECENT_MAX, &out), OK);
        if (clock_monotonic_us() - begun < took_us)
            took_us = clock_monotonic_us() - begun;
    }
    assert_true(out.len > 1000);
    if (large) {
        struct search_query q = {.filter = {.subject = STR("nobody")}};

        print_message("recent: %lld us\n", (long long)took_us);
        buf_reset(&out);
        begun = clock_monotonic_us();
        assert_int_equal(search_ledger(where, &q, NULL, &out), OK);
        print_message("a search through all: %lld us\n", (long long)(clock_monotonic_us() - begun));
        buf_reset(&out);
        begun = clock_monotonic_us();
        assert_int_equal(search_overview(where, 7, clock_wall_us(), NULL, &out), OK);
        print_message("overview: %lld us\n", (long long)(clock_monotonic_us() - begun));
    }
    buf_free(&out);
    memcpy(kept, directory, sizeof(kept));
    (void)snprintf(directory, sizeof(directory), "%s", where);
    remove_ledger(NULL);
    memcpy(directory, kept, sizeof(directory));
    assert_true(took_us < 20000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_hold_every_record_once_newest_first),
        cmocka_unit_test(test_filters_find_what_they_say),
        cmocka_unit_test(test_times_bound_a_search_on_both_sides),
        cmocka_unit_test(test_bad_filters_are_refused_with_words),
        cmocka_unit_test(test_one_record_by_its_number),
        cmocka_unit_test(test_an_export_is_every_line_in_order),
        cmocka_unit_test(test_the_last_commands_of_a_session_come_oldest_first),
        cmocka_unit_test(test_an_overview_adds_up),
        cmocka_unit_test(test_verify_says_whole_and_broken),
        cmocka_unit_test(test_what_is_no_record_is_counted_and_never_shown),
        cmocka_unit_test(test_a_file_cut_anywhere_shows_its_whole_records),
        cmocka_unit_test(test_a_directory_without_a_ledger_is_an_error),
        cmocka_unit_test(test_a_search_that_is_given_up_says_so),
        cmocka_unit_test(test_a_walk_may_turn_anywhere),
        cmocka_unit_test(test_what_a_human_decided_is_found_by_their_name),
        cmocka_unit_test(test_members_are_seen_as_a_parser_sees_them),
        cmocka_unit_test(test_the_same_policies_change_nothing),
        cmocka_unit_test(test_a_policy_that_denies_says_which_commands_it_would),
        cmocka_unit_test(test_errors_in_policies_have_the_lines_that_were_given),
        cmocka_unit_test(test_policies_are_replaced_wherever_they_stand),
        cmocka_unit_test(test_recent_is_quick_on_a_large_ledger),
    };

    return cmocka_run_group_tests(tests, make_ledger, remove_ledger);
}
