/* A PostgreSQL session, message by message. */
#include "pgstage.h"

static void
play_simple(struct stage *t)
{
    query(t, "SELECT 1");
    say(t, t->client);
    hear(t, t->server, 'Q');
    CHECK(str_is(buf_str(&t->body), "SELECT 1") || t->body.len == 9);
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    pgwire_put_plain(&t->out, 'D', STR("\0\0"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "TDCZ");
    leave(t);
}

static void
test_a_query_and_its_answer_pass(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_simple, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 1);
        assert_string_equal(t->gate.admitted[0], "SELECT 1");
        assert_int_equal(t->gate.n_outcomes, 1);
        assert_int_equal(t->gate.outcomes[0].rows, 1);
    }
}

static void
play_refusal_order(struct stage *t)
{
    query(t, "SELECT 1");
    query(t, "DROP TABLE a");
    query(t, "SELECT 2");
    say(t, t->client);
    hear(t, t->server, 'Q');
    hear(t, t->server, 'Q');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    CHECK(!body_has(t, "DROP"));
    hear(t, t->server, 'Q');
    complete(t, "SELECT 1");
    ready(t, 'T');
    server_error(t, "ERROR", "42601");
    ready(t, 'E');
    server_error(t, "ERROR", "25P02");
    ready(t, 'E');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    hear_error(t, "42501");
    CHECK(body_has(t, "agents do not drop"));
    CHECK(body_has(t, "rule \"never\""));
    CHECK(body_has(t, "allowed here: read; write"));
    hear(t, t->client, 'Z');
    CHECK(t->body.ptr[0] == 'E');
    hear_error(t, "25P02");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_a_refusal_comes_in_its_place_with_the_true_state(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_refusal_order, split == 1);

        (void)state;
        assert_int_equal(t->gate.n_admitted, 2);
        assert_int_equal(t->gate.n_refused, 1);
        assert_string_equal(t->gate.outcomes[1].error, "25P02");
    }
}

static void
play_refused_parse(struct stage *t)
{
    parse(t, "", "SELECT 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "x", "DROP TABLE a");
    bind_to(t, "", "x");
    execute(t, "");
    plain(t, 'S');
    query(t, "SELECT 3");
    say(t, t->client);
    hear_all(t, t->server, "PBEP");
    CHECK(body_has(t, pgrefusal_statement.ptr));
    hear_all(t, t->server, "SQ");
    plain(t, '1');
    plain(t, '2');
    complete(t, "SELECT 7");
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12C");
    hear_error(t, "42501");
    hear_all(t, t->client, "ZCZ");
    leave(t);
}

static void
test_after_a_refused_parse_all_is_skipped_until_sync(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_refused_parse, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 2);
        assert_int_equal(t->gate.outcomes[0].rows, 7);
    }
}

static void
play_earlier_error(struct stage *t)
{
    parse(t, "", "SELECT 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "x", "DROP TABLE a");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEPS");
    plain(t, '1');
    server_error(t, "ERROR", "22P02");
    ready(t, 'I');
    say(t, t->server);
    hear(t, t->client, '1');
    hear_error(t, "22P02");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_an_earlier_error_hides_a_refusal_as_it_would_any_error(void **state)
{
    struct stage *t = run(play_earlier_error);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_string_equal(t->gate.outcomes[0].error, "skipped");
}

static void
play_failed_parse_again(struct stage *t)
{
    parse(t, "x", "SELECT 'first'");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    plain(t, '1');
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "1Z");
    parse(t, "x", "SELECT 'second', 2");
    plain(t, 'S');
    bind_to(t, "", "x");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    server_error(t, "ERROR", "42P05");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "42P05");
    hear(t, t->client, 'Z');
    hear_all(t, t->server, "BES");
    plain(t, '2');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "2CZ");
    leave(t);
}

static void
test_a_name_means_what_the_server_confirmed(void **state)
{
    struct stage *t = run(play_failed_parse_again);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 1);
    assert_string_equal(t->gate.admitted[0], "SELECT 'first'");
}

static void
refused_in_extended(struct stage *t, const char *sqlstate)
{
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PS");
    CHECK(sqlstate != NULL);
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, sqlstate);
    hear(t, t->client, 'Z');
}

static void
play_unknown_names(struct stage *t)
{
    bind_to(t, "", "nothing");
    refused_in_extended(t, "26000");
    execute(t, "nothing");
    refused_in_extended(t, "34000");
    query(t, "EXECUTE nothing");
    say(t, t->client);
    hear(t, t->server, 'Q');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "26000");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_unknown_names_are_refused(void **state)
{
    struct stage *t = run(play_unknown_names);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 0);
    assert_int_equal(t->result, OK);
}

static void
play_sql_prepare(struct stage *t)
{
    query(t, "PREPARE p AS SELECT 1");
    query(t, "EXECUTE p");
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "PREPARE");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "EXECUTE p"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    bind_to(t, "", "p");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "BES");
    plain(t, '2');
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "2CZ");
    query(t, "DEALLOCATE ALL");
    bind_to(t, "", "p");
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "DEALLOCATE ALL");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    refused_in_extended(t, "26000");
    leave(t);
}

static void
test_sql_and_protocol_share_the_names_of_statements(void **state)
{
    struct stage *t = run(play_sql_prepare);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 4);
    assert_int_equal(t->result, OK);
}

static void
expect_fatal(struct stage *t, const char *sqlstate)
{
    hear_error(t, sqlstate);
    CHECK(body_has(t, "FATAL"));
    hear_end(t->client);
}

static void
play_unknown_message(struct stage *t)
{
    plain(t, 'y');
    say(t, t->client);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_an_unknown_message_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_unknown_message)->result, ERR_PROTOCOL);
}

static void
play_bad_texts(struct stage *t)
{
    static char large[SQL_TEXT_MAX + 100];

    memset(large, ' ', sizeof(large) - 1);
    query(t, large);
    pgwire_put_plain(&t->out, 'Q', (struct str){"SELECT 1\0; DROP TABLE a", 24});
    query(t, "SELECT '\xff'");
    query(t, "SELEC");
    pgwire_put_plain(&t->out, 'F', STR("\0\0\0\1\0\0\0\0\0\0"));
    query(t, "SELECT 1");
    say(t, t->client);
    for (int i = 0; i < 5; i++) {
        static const char *const sqlstates[] = {"54000", "22021", "22021", "42601", "0A000"};

        hear(t, t->server, 'Q');
        CHECK(body_has(t, pgrefusal_statement.ptr));
        server_error(t, "ERROR", "42601");
        ready(t, 'I');
        say(t, t->server);
        hear_error(t, sqlstates[i]);
        hear(t, t->client, 'Z');
    }
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "SELECT 1"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_bad_texts_are_refused_and_the_session_goes_on(void **state)
{
    struct stage *t = run(play_bad_texts);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_refused, 5);
}

static void
play_copy_in(struct stage *t)
{
    query(t, "COPY a FROM STDIN");
    pgwire_put_plain(&t->out, 'd', STR("1\n"));
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    plain(t, 'S'); /* ignored, as PostgreSQL does */
    plain(t, 'c');
    pgwire_put_plain(&t->out, 'd', STR("stray\n"));
    say(t, t->client);
    hear_all(t, t->server, "dc");
    complete(t, "COPY 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_copy_data_pass_while_the_server_wants_them(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_copy_in, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.outcomes[0].rows, 1);
    }
}

static void
play_copy_abandoned(struct stage *t)
{
    query(t, "COPY a FROM STDIN");
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    pgwire_put_plain(&t->out, 'd', STR("1\n"));
    say(t, t->client);
    stream_close(t->client);
    t->client = NULL;
    hear_all(t, t->server, "dfX");
    server_error(t, "ERROR", "57014");
    ready(t, 'I');
    say(t, t->server);
}

static void
test_a_client_gone_in_copy_fails_the_copy(void **state)
{
    struct stage *t = run(play_copy_abandoned);

    (void)state;
    assert_int_equal(t->gate.n_outcomes, 1);
    assert_string_equal(t->gate.outcomes[0].error, "57014");
    assert_false(t->gate.outcomes[0].unknown);
}

static void
play_target_gone(struct stage *t)
{
    query(t, "SELECT 1");
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    say(t, t->server);
    stream_close(t->server);
    t->server = NULL;
    hear(t, t->client, 'T');
    expect_fatal(t, "08006");
}

static void
test_a_target_gone_in_a_result_is_told_and_the_outcome_unknown(void **state)
{
    struct stage *t = run(play_target_gone);

    (void)state;
    assert_int_equal(t->result, ERR_UNAVAILABLE);
    assert_int_equal(t->gate.n_outcomes, 1);
    assert_true(t->gate.outcomes[0].unknown);
}

static void
play_strings(struct stage *t)
{
    pgwire_put_plain(&t->out, 'S', STR("standard_conforming_strings\0off\0"));
    say(t, t->server);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_other_string_rules_end_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_strings)->result, ERR_UNSUPPORTED);
}

static void
play_end(struct stage *t)
{
    t->gate.ended = true;
    fiber_condition_signal(&t->gate.end);
    hear(t, t->server, 'X');
    expect_fatal(t, "57P01");
    CHECK(body_has(t, "revoked"));
}

static void
test_the_end_of_the_grant_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_end)->result, ERR_DENIED);
}

static void
play_out_of_place(struct stage *t)
{
    complete(t, "SELECT 1");
    say(t, t->server);
    hear(t, t->server, 'X');
    expect_fatal(t, "08P01");
}

static void
test_an_answer_to_nothing_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_out_of_place)->result, ERR_PROTOCOL);
}

static void
answering_server(void *arg)
{
    struct stage *t = arg;
    struct buf out = buf_make(1 << 20);

    for (int i = 0; i < 20001; i++) {
        hear(t, t->server, i == 20000 ? 'S' : 'P');
        if (i == 20000)
            pgwire_put_ready(&out, PGWIRE_IDLE);
        else
            pgwire_put_plain(&out, '1', STR(""));
        if (out.len > 8192 || i == 20000) {
            CHECK(stream_write(t->server, buf_str(&out), soon()) == OK);
            buf_reset(&out);
        }
    }
    buf_free(&out);
}

static void
play_many_parses(struct stage *t)
{
    struct fiber *server;
    struct str bytes;
    size_t total = 0;

    CHECK(fiber_start("server", answering_server, t, &server) == OK);
    for (int i = 0; i < 20000; i++)
        parse(t, "", "SELECT 1");
    plain(t, 'S');
    say(t, t->client);
    fiber_join(server);
    while (total < 20000 * 5 + 6) {
        CHECK(stream_peek(t->client, soon(), &bytes) == OK);
        total += bytes.len;
        stream_consume(t->client, bytes.len);
    }
    leave(t);
}

static void
test_many_pipelined_parses(void **state)
{
    (void)state;
    assert_int_equal(run(play_many_parses)->result, OK);
}

static void
play_named_portal(struct stage *t)
{
    query(t, "BEGIN");
    parse(t, "", "SELECT 1");
    bind_to(t, "c", "");
    execute(t, "c");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "QPBES");
    complete(t, "BEGIN");
    ready(t, 'T');
    plain(t, '1');
    plain(t, '2');
    plain(t, 's');
    ready(t, 'T');
    say(t, t->server);
    hear_all(t, t->client, "CZ12sZ");
    execute(t, "c");
    plain(t, 'S');
    query(t, "COMMIT");
    say(t, t->client);
    hear_all(t, t->server, "ESQ");
    complete(t, "SELECT 1");
    ready(t, 'T');
    complete(t, "COMMIT");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZCZ");
    execute(t, "c");
    refused_in_extended(t, "34000");
    leave(t);
}

static void
test_portals_end_with_their_transaction(void **state)
{
    struct stage *t = run(play_named_portal);

    (void)state;
    /* BEGIN, Bind of the named portal, two Executes, COMMIT */
    assert_int_equal(t->gate.n_admitted, 5);
    assert_int_equal(t->gate.n_outcomes, 5);
}

static void
play_planned_functions(struct stage *t)
{
    parse(t, "", "SELECT mine(1)");
    bind_to(t, "", "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBS");
    CHECK(t->gate.n_admitted == 1);
    plain(t, '1');
    plain(t, '2');
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12Z");
    leave(t);
}

static void
test_what_the_planner_may_run_is_recorded_at_bind(void **state)
{
    struct stage *t = run(play_planned_functions);

    (void)state;
    assert_int_equal(t->gate.n_outcomes, 1);
}

static void
play_idle(struct stage *t)
{
    for (int i = 0; i < 2; i++) {
        CHECK(fiber_sleep_until(clock_monotonic_ms() + 1200) == ERR_TIMEOUT);
        query(t, "SELECT 1");
        say(t, t->client);
        hear(t, t->server, 'Q');
        complete(t, "SELECT 1");
        ready(t, 'I');
        say(t, t->server);
        hear_all(t, t->client, "CZ");
    }
    leave(t);
}

static void
test_an_idle_session_gives_memory_back_and_goes_on(void **state)
{
    (void)state;
    assert_int_equal(run(play_idle)->result, OK);
}

/* Asks, and the server says that it is done, in this state. */
static void
ask(struct stage *t, const char *text, char status)
{
    query(t, text);
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "SET");
    ready(t, status);
    say(t, t->server);
    hear_all(t, t->client, "CZ");
}

static void
play_purposes(struct stage *t)
{
    ask(t, "SELECT 1", 'I');
    ask(t, "/* purpose: for once */ SELECT 2", 'I');
    ask(t, "SET bulkhead.purpose = 'ticket 7'", 'I');
    ask(t, "SELECT 4", 'I');
    ask(t, "BEGIN", 'T');
    ask(t, "SET LOCAL bulkhead.purpose = 'just now'", 'T');
    ask(t, "SELECT 7", 'T');
    ask(t, "ROLLBACK", 'I');
    ask(t, "SELECT 9", 'I');
    ask(t, "RESET bulkhead.purpose", 'I');
    ask(t, "SELECT 11", 'I');
    ask(t, "SET bulkhead.purpose = 'in one'; SELECT 12; RESET bulkhead.purpose", 'I');
    ask(t, "SELECT 13", 'I');
    query(t, "SET bulkhead.purpose = 7");
    query(t, "-- purpose: bell \a\nSELECT 1");
    say(t, t->client);
    for (int i = 0; i < 2; i++) {
        hear(t, t->server, 'Q');
        CHECK(body_has(t, pgrefusal_statement.ptr));
        server_error(t, "ERROR", "42601");
        ready(t, 'I');
        say(t, t->server);
        hear_error(t, "22023");
        CHECK(body_has(t, "bulkhead.purpose must be "));
        hear(t, t->client, 'Z');
    }
    leave(t);
}

static void
test_what_a_session_says_that_it_is_for(void **state)
{
    static const char *const purposes[] = {
        "",         "for once", "ticket 7", "ticket 7", "ticket 7", "just now", "just now",
        "just now", "ticket 7", "ticket 7", "",         "in one",   ""};
    struct stage *t = run(play_purposes);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_admitted, sizeof(purposes) / sizeof(purposes[0]));
    assert_int_equal(t->gate.n_refused, 2);
    for (size_t i = 0; i < t->gate.n_admitted; i++)
        assert_string_equal(t->gate.purposes[i], purposes[i]);
}

static void
play_purposes_in_parts(struct stage *t)
{
    parse(t, "s", "SET bulkhead.purpose = 'later'");
    parse(t, "q", "/* purpose: of its own */ SELECT 1");
    parse(t, "r", "SELECT 2");
    bind_to(t, "", "r");
    execute(t, "");
    bind_to(t, "", "q");
    execute(t, "");
    bind_to(t, "", "s");
    execute(t, "");
    bind_to(t, "", "r");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PPPBEBEBEBES");
    for (int i = 0; i < 3; i++)
        plain(t, '1');
    for (int i = 0; i < 4; i++) {
        plain(t, '2');
        complete(t, "SELECT 1");
    }
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "1112C2C2C2CZ");
    leave(t);
}

static void
test_a_prepared_set_of_the_purpose_holds_when_it_runs(void **state)
{
    static const char *const purposes[] = {"", "of its own", "later", "later"};

    (void)state;
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_purposes_in_parts, split == 1);

        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 4);
        for (size_t i = 0; i < 4; i++)
            assert_string_equal(t->gate.purposes[i], purposes[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_and_its_answer_pass),
        cmocka_unit_test(test_a_refusal_comes_in_its_place_with_the_true_state),
        cmocka_unit_test(test_after_a_refused_parse_all_is_skipped_until_sync),
        cmocka_unit_test(test_an_earlier_error_hides_a_refusal_as_it_would_any_error),
        cmocka_unit_test(test_a_name_means_what_the_server_confirmed),
        cmocka_unit_test(test_unknown_names_are_refused),
        cmocka_unit_test(test_sql_and_protocol_share_the_names_of_statements),
        cmocka_unit_test(test_an_unknown_message_ends_the_session),
        cmocka_unit_test(test_bad_texts_are_refused_and_the_session_goes_on),
        cmocka_unit_test(test_copy_data_pass_while_the_server_wants_them),
        cmocka_unit_test(test_a_client_gone_in_copy_fails_the_copy),
        cmocka_unit_test(test_a_target_gone_in_a_result_is_told_and_the_outcome_unknown),
        cmocka_unit_test(test_other_string_rules_end_the_session),
        cmocka_unit_test(test_the_end_of_the_grant_ends_the_session),
        cmocka_unit_test(test_an_answer_to_nothing_ends_the_session),
        cmocka_unit_test(test_many_pipelined_parses),
        cmocka_unit_test(test_portals_end_with_their_transaction),
        cmocka_unit_test(test_what_the_planner_may_run_is_recorded_at_bind),
        cmocka_unit_test(test_what_a_session_says_that_it_is_for),
        cmocka_unit_test(test_a_prepared_set_of_the_purpose_holds_when_it_runs),
        cmocka_unit_test(test_an_idle_session_gives_memory_back_and_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
