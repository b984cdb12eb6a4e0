#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include "base/arena.h"
#include "protocol/postgres/names.h"
#include "protocol/postgres/scram.h"
#include "protocol/postgres/settings.h"
#include "protocol/postgres/wire.h"

#define BYTES(literal) ((struct str){literal, sizeof(literal) - 1})

static enum err
read_client(char type, struct str body)
{
    struct pgwire_parse parse;
    struct pgwire_bind bind;
    struct pgwire_target target;
    struct pgwire_execute execute;
    struct str text;

    switch (type) {
    case 'P':
        return pgwire_read_parse(body, &parse);
    case 'B':
        return pgwire_read_bind(body, true, &bind);
    case 'D':
        return pgwire_read_target(body, &target);
    case 'E':
        return pgwire_read_execute(body, &execute);
    default:
        return pgwire_read_string(body, &text);
    }
}

static enum err
read_server(char type, struct str body)
{
    struct pgwire_parameter parameter;
    enum pgwire_status status;
    struct pgwire_error error;
    struct str text;
    uint64_t rows;
    uint32_t code;

    switch (type) {
    case 'S':
        return pgwire_read_parameter(body, &parameter);
    case 'Z':
        return pgwire_read_ready(body, &status);
    case 'K':
        return pgwire_read_key(body, &code, &text);
    case 'C':
        return pgwire_read_complete(body, &text, &rows);
    case 'R':
        return pgwire_read_authentication(body, &code, &text);
    default:
        return pgwire_read_error(body, &error);
    }
}

static const struct {
    char type;
    struct str body;
} client_messages[] = {
    {'Q', STR_INIT("SELECT 1\0")},
    {'P', STR_INIT("s\0SELECT $1\0\0\1\0\0\0\x17")},
    {'B', STR_INIT("p\0s\0\0\1\0\1\0\2\0\0\0\4\0\0\0\7\xff\xff\xff\xff\0\1\0\1")},
    {'D', STR_INIT("Pp\0")},
    {'E', STR_INIT("p\0\0\0\0\5")},
};

static const struct {
    char type;
    struct str body;
    size_t enough; /* bytes from which on a prefix is a message too */
} server_messages[] = {
    {'S', STR_INIT("client_encoding\0UTF8\0"), 0},
    {'Z', STR_INIT("T"), 0},
    {'C', STR_INIT("INSERT 0 5\0"), 0},
    {'R', STR_INIT("\0\0\0\5salt"), 4},
    {'K', STR_INIT("\0\0\0\1abcdefgh"), 8},
    {'E', STR_INIT("SERROR\0VERROR\0C42P01\0Mno\0\0"), 21},
};

static void
test_no_message_is_whole_before_its_last_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(client_messages) / sizeof(client_messages[0]); i++) {
        struct str body = client_messages[i].body;

        assert_int_equal(read_client(client_messages[i].type, body), OK);
        for (size_t n = 0; n < body.len; n++)
            assert_int_equal(read_client(client_messages[i].type, (struct str){body.ptr, n}),
                             ERR_PROTOCOL);
    }
    for (size_t i = 0; i < sizeof(server_messages) / sizeof(server_messages[0]); i++) {
        struct str body = server_messages[i].body;
        size_t enough = server_messages[i].enough > 0 ? server_messages[i].enough : body.len;

        assert_int_equal(read_server(server_messages[i].type, body), OK);
        for (size_t n = 0; n < enough; n++)
            assert_int_equal(read_server(server_messages[i].type, (struct str){body.ptr, n}),
                             ERR_PROTOCOL);
    }
}

static void
test_bytes_after_a_message_are_refused(void **state)
{
    (void)state;
    assert_int_equal(read_client('Q', BYTES("SELECT 1\0DROP\0")), ERR_PROTOCOL);
    assert_int_equal(read_client('P', BYTES("\0SELECT 1\0\0\0x")), ERR_PROTOCOL);
    assert_int_equal(read_client('B', BYTES("\0\0\0\0\0\0\0\0x")), ERR_PROTOCOL);
    assert_int_equal(read_client('E', BYTES("\0\0\0\0\0x")), ERR_PROTOCOL);
    assert_int_equal(read_client('D', BYTES("X\0")), ERR_PROTOCOL);
}

static void
test_bind_values(void **state)
{
    struct pgwire_bind bind;
    struct bind_value v;

    (void)state;
    assert_int_equal(pgwire_read_bind(client_messages[2].body, true, &bind), OK);
    assert_true(str_is(bind.portal, "p") && str_is(bind.statement, "s"));
    assert_int_equal(bind.n_values, 2);
    pgwire_next_value(&bind, 0, &v);
    assert_true(v.binary && !v.is_null && v.bytes.len == 4 && v.bytes.ptr[3] == 7);
    pgwire_next_value(&bind, 1, &v);
    assert_true(v.is_null);
    /* Two formats for three values. */
    assert_int_equal(pgwire_read_bind(BYTES("\0\0\0\2\0\0\0\1\0\3\xff\xff\xff\xff\xff\xff\xff\xff"
                                            "\xff\xff\xff\xff\0\0"),
                                      true, &bind),
                     ERR_PROTOCOL);
    /* A value cut by the prefix is cut; the next is empty. */
    assert_int_equal(pgwire_read_bind(BYTES("\0\0\0\0\0\2\0\0\0\x10only"), false, &bind), OK);
    pgwire_next_value(&bind, 0, &v);
    assert_true(str_is(v.bytes, "only") && v.full_length == 16);
    pgwire_next_value(&bind, 1, &v);
    assert_true(v.bytes.len == 0 && v.full_length == UINT32_MAX);
}

static void
test_headers(void **state)
{
    unsigned char type;
    uint32_t len;

    (void)state;
    assert_int_equal(pgwire_read_header(BYTES("Q\0\0\0\4"), &type, &len), OK);
    assert_int_equal(len, 0);
    assert_int_equal(pgwire_read_header(BYTES("Q\0\0\0\3"), &type, &len), ERR_PROTOCOL);
    assert_int_equal(pgwire_read_header(BYTES("Q\xff\xff\xff\xff"), &type, &len), ERR_PROTOCOL);
    assert_int_equal(pgwire_read_header(BYTES("Q\0\0"), &type, &len), ERR_PROTOCOL);
}

static void
test_the_order_of_messages(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const struct pgwire_rule *rule = pgwire_frontend_rule((unsigned char)c);
        bool known = c != 0 && strchr("BCDEFHPQSXcdfp", c) != NULL;

        assert_int_equal(rule != NULL, known);
        /* Only COPY's messages and Terminate come during COPY. */
        if (rule != NULL)
            assert_int_equal((rule->when & PGWIRE_COPY_IN) != 0, strchr("cdfX", c) != NULL);
    }
    assert_null(pgwire_backend_rule('W')); /* CopyBoth: replication */
    assert_null(pgwire_backend_rule('V')); /* FunctionCallResponse */
    assert_int_equal(pgwire_backend_rule('R')->when, PGWIRE_OF_LOGIN);
    assert_int_equal(pgwire_backend_rule('s')->when, PGWIRE_OF_EXECUTE);
    assert_int_equal(pgwire_backend_rule('1')->when, PGWIRE_OF_PARSE);
    assert_true((pgwire_backend_rule('N')->when & PGWIRE_OF_NOTHING) != 0);
    assert_true((pgwire_backend_rule('D')->when & PGWIRE_OF_NOTHING) == 0);
}

static void
test_start_packets(void **state)
{
    static struct pgwire_start s;
    static const char startup[] = "\0\0\0\x21\0\3\0\0user\0test\0database\0shop\0";
    struct str packet = {startup, 0x21};
    struct str value;

    (void)state;
    assert_int_equal(pgwire_read_start(packet, &s), OK);
    assert_true(s.kind == PGWIRE_STARTUP && s.major == 3 && s.minor == 0);
    assert_true(pgwire_parameter(&s, "database", &value) && str_is(value, "shop"));
    assert_false(pgwire_parameter(&s, "options", &value));
    for (size_t n = 0; n < packet.len; n++)
        assert_int_not_equal(pgwire_read_start((struct str){startup, n}, &s), OK);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x8\4\xd2\x16\x2f"), &s), OK);
    assert_int_equal(s.kind, PGWIRE_SSL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x8\4\xd2\x16\x30"), &s), OK);
    assert_int_equal(s.kind, PGWIRE_GSS);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x9\4\xd2\x16\x2fx"), &s), ERR_PROTOCOL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x10\4\xd2\x16\x2e\0\0\0\7abcd"), &s), OK);
    assert_true(s.kind == PGWIRE_CANCEL && s.cancel_id == 7 && str_is(s.cancel_secret, "abcd"));
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\xe\4\xd2\x16\x2e\0\0\0\7ab"), &s),
                     ERR_PROTOCOL);
    /* A parameter twice, not UTF-8, without value, without end, with more after the end. */
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x15\0\3\0\0a\0b\0A\0c\0\0xxxx"), &s),
                     ERR_PROTOCOL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\x11\0\3\0\0a\0b\0A\0c\0\0"), &s),
                     ERR_PROTOCOL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\xd\0\3\0\0a\0\xff\0\0"), &s), ERR_PROTOCOL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\xc\0\3\0\0a\0b\0"), &s), ERR_PROTOCOL);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\0\xa\0\2\0\0xx"), &s), OK);
    assert_int_equal(s.major, 2);
    assert_int_equal(pgwire_read_start(BYTES("\0\0\x27\x11"), &s), ERR_PROTOCOL);
}

static void
test_what_we_build_can_be_read(void **state)
{
    struct buf out = buf_make(1 << 20);
    struct pgwire_failure failure = {"ERROR", "42501", BYTES("no\0w"), STR("why"), STR(""), 17};
    struct pgwire_parameter p = {STR("user"), STR("u")};
    static struct pgwire_start s;
    struct pgwire_error error;
    struct pgwire_parse parse;
    unsigned char type;
    uint32_t len;

    (void)state;
    pgwire_put_error(&out, &failure);
    assert_int_equal(pgwire_read_header((struct str){out.ptr, 5}, &type, &len), OK);
    assert_true(type == 'E' && len == out.len - 5);
    assert_int_equal(pgwire_read_error(str_skip(buf_str(&out), 5), &error), OK);
    assert_true(str_is(error.message, "no?w") && str_is(error.sqlstate, "42501"));
    assert_memory_equal(out.ptr + out.len - 5, "P17\0", 5);
    buf_reset(&out);
    pgwire_put_parse(&out, STR("n"), STR("t"));
    assert_int_equal(pgwire_read_parse(str_skip(buf_str(&out), 5), &parse), OK);
    assert_true(str_is(parse.name, "n") && str_is(parse.text, "t"));
    buf_reset(&out);
    pgwire_put_startup(&out, &p, 1);
    assert_int_equal(pgwire_read_start(buf_str(&out), &s), OK);
    assert_true(s.n_parameters == 1);
    buf_reset(&out);
    pgwire_put_cancel(&out, 9, STR("0123456789"));
    assert_int_equal(pgwire_read_start(buf_str(&out), &s), OK);
    assert_true(s.cancel_id == 9 && s.cancel_secret.len == 10);
    buf_free(&out);
}

static enum err
settings_of(struct arena *arena, const char *name, const char *value, struct pgsettings *out)
{
    static struct pgwire_start s;

    memset(&s, 0, sizeof(s));
    s.parameters[0] = (struct pgwire_parameter){STR("user"), STR("u")};
    s.parameters[1] = (struct pgwire_parameter){str_from(name), str_from(value)};
    s.n_parameters = 2;
    return pgsettings_read(&s, arena, out);
}

static void
test_settings_at_start(void **state)
{
    struct arena *arena = arena_new(1 << 20);
    static struct pgsettings out;

    (void)state;
    assert_int_equal(settings_of(arena, "DateStyle", "ISO", &out), OK);
    assert_int_equal(out.n, 1);
    assert_int_equal(settings_of(arena, "client_encoding", "'utf-8'", &out), OK);
    assert_int_equal(out.n, 0);
    assert_int_equal(settings_of(arena, "client_encoding", "LATIN1", &out), ERR_INVALID);
    assert_int_equal(settings_of(arena, "client_encoding", "utf88", &out), ERR_INVALID);
    assert_int_equal(settings_of(arena, "session_replication_role", "replica", &out), ERR_DENIED);
    assert_int_equal(settings_of(arena, "role", "postgres", &out), ERR_DENIED);
    assert_int_equal(settings_of(arena, "options", "-c search_path=a\\ b --lock-timeout=5s", &out),
                     OK);
    assert_int_equal(out.n, 2);
    assert_true(str_is(out.items[0].value, "a b"));
    assert_true(str_is(out.items[1].name, "lock_timeout"));
    assert_int_equal(settings_of(arena, "options", "-c role=postgres", &out), ERR_DENIED);
    assert_int_equal(settings_of(arena, "options", "-crole=postgres", &out), ERR_DENIED);
    assert_int_equal(settings_of(arena, "options", "--standard-conforming-strings=off", &out),
                     ERR_DENIED);
    assert_int_equal(settings_of(arena, "options", "-c client_encoding=SJIS", &out), ERR_INVALID);
    assert_int_equal(settings_of(arena, "options", "-d 5", &out), ERR_DENIED);
    assert_int_equal(settings_of(arena, "options", "-c", &out), ERR_PROTOCOL);
    assert_int_equal(settings_of(arena, "options", "   ", &out), OK);
    arena_free(arena);
}

static void
test_scram_messages(void **state)
{
    static const unsigned char nonce[PGSCRAM_NONCE_BYTES] = "aaaaaaaaaaaaaaaaaa";
    static const unsigned char zero[32];
    struct buf out = buf_make(1024);
    struct pgscram s;

    (void)state;
    assert_int_equal(pgscram_begin(&s, PGSCRAM_END_POINT, nonce), OK);
    assert_true(
        str_is(pgscram_client_first(&s), "p=tls-server-end-point,,n=,r=YWFhYWFhYWFhYWFhYWFhYWFh"));
    assert_int_equal(pgscram_continue(&s, STR("r=other,s=c2FsdA==,i=4096"), STR("")), ERR_PROTOCOL);
    assert_int_equal(
        pgscram_continue(&s, STR("r=YWFhYWFhYWFhYWFhYWFhYWFh,s=c2FsdA==,i=1"), STR("")),
        ERR_PROTOCOL);
    assert_int_equal(
        pgscram_continue(&s, STR("r=YWFhYWFhYWFhYWFhYWFhYWFhX,s=c2FsdA==,i=1"), STR("xy")), OK);
    assert_true(str_is(buf_str(&s.final_bare), "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwseHk=,"
                                               "r=YWFhYWFhYWFhYWFhYWFhYWFhX"));
    pgscram_put_final(&s, zero, &out);
    assert_int_equal(out.len, s.final_bare.len + 3 + 44);
    assert_int_equal(
        pgscram_check_final(STR("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), zero), OK);
    assert_int_equal(
        pgscram_check_final(STR("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="), zero),
        ERR_DENIED);
    assert_int_equal(pgscram_check_final(STR("e=other-error"), zero), ERR_PROTOCOL);
    pgscram_free(&s);
    buf_free(&out);
}

static int destroyed;

static void
destroy(struct pgobject *o)
{
    (void)o;
    destroyed++;
}

static void
test_names_settle(void **state)
{
    struct pgnames *n = pgnames_new(2, 100);
    struct pgobject a = {1, 10, destroy}, b = {1, 10, destroy}, large = {1, 200, destroy};
    struct pgname_change first, second, third;

    (void)state;
    destroyed = 0;
    assert_int_equal(pgnames_begin(n, STR("x"), &a, 1, &first), OK);
    assert_ptr_equal(pgnames_get(n, STR("x")), &a);
    assert_false(pgnames_in_doubt(n, STR("x"), 1));
    assert_true(pgnames_in_doubt(n, STR("x"), 2));
    pgnames_settle(n, &first, PGNAME_DONE);
    assert_false(pgnames_in_doubt(n, STR("x"), 2));
    /* A second one that fails leaves the first; a close that succeeds none. */
    assert_int_equal(pgnames_begin(n, STR("x"), &b, 3, &first), OK);
    assert_int_equal(pgnames_begin(n, STR("x"), NULL, 3, &second), OK);
    assert_null(pgnames_get(n, STR("x")));
    pgnames_settle(n, &first, PGNAME_FAILED);
    pgnames_settle(n, &second, PGNAME_FAILED);
    assert_ptr_equal(pgnames_get(n, STR("x")), &a);
    assert_int_equal(pgnames_begin(n, STR("x"), NULL, 4, &second), OK);
    pgnames_settle(n, &second, PGNAME_DONE);
    assert_null(pgnames_get(n, STR("x")));
    assert_int_equal(pgnames_count(n), 0);
    /* Limits. */
    assert_int_equal(pgnames_set(n, STR("l"), &large), ERR_LIMIT);
    assert_int_equal(pgnames_set(n, STR("1"), &a), OK);
    assert_int_equal(pgnames_set(n, STR("2"), &a), OK);
    assert_int_equal(pgnames_set(n, STR("3"), &a), ERR_LIMIT);
    /* Forgetting outlives what is on its way, but for the unnamed. */
    assert_int_equal(pgnames_begin(n, STR("1"), &b, 5, &first), OK);
    assert_int_equal(pgnames_begin(n, STR(""), &b, 5, &second), OK);
    pgnames_forget_all(n);
    assert_null(pgnames_get(n, STR("1")));
    pgnames_settle(n, &first, PGNAME_DONE);
    pgnames_settle(n, &second, PGNAME_DONE);
    assert_null(pgnames_get(n, STR("1")));
    assert_ptr_equal(pgnames_get(n, STR("")), &b);
    /* A failed Parse of the unnamed statement leaves nothing. */
    assert_int_equal(pgnames_begin(n, STR(""), &a, 6, &third), OK);
    pgnames_settle(n, &third, PGNAME_LOST);
    assert_null(pgnames_get(n, STR("")));
    pgnames_free(n);
    assert_int_equal(a.references, 1);
    assert_int_equal(b.references, 1);
    assert_int_equal(destroyed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_message_is_whole_before_its_last_byte),
        cmocka_unit_test(test_bytes_after_a_message_are_refused),
        cmocka_unit_test(test_bind_values),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_the_order_of_messages),
        cmocka_unit_test(test_start_packets),
        cmocka_unit_test(test_what_we_build_can_be_read),
        cmocka_unit_test(test_settings_at_start),
        cmocka_unit_test(test_scram_messages),
        cmocka_unit_test(test_names_settle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
