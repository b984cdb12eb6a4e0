/* A PostgreSQL session while a command of it waits for humans, message by message. */
#include "pgstage.h"

/* The answer to the gateway's question for role and path. */
static void
put_context_row(struct stage *t)
{
    pgwire_put_plain(&t->out, 'D', STR("\0\3\0\0\0\4none\0\0\0\5agent\0\0\0\6public"));
}

static void
answer_context(struct stage *t, char status)
{
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "search_path"));
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    put_context_row(t);
    complete(t, "SELECT 1");
    ready(t, status);
    say(t, t->server);
}

/* The same within a segment. */
static void
answer_context_inside(struct stage *t)
{
    hear_all(t, t->server, "PBECCH");
    plain(t, '1');
    plain(t, '2');
    put_context_row(t);
    complete(t, "SELECT 1");
    plain(t, '3');
    plain(t, '3');
    say(t, t->server);
}

static void
hear_notice(struct stage *t)
{
    hear(t, t->client, 'N');
    CHECK(body_has(t, "this command waits for an approval by group dba: request req1, until "
                      "2023-11-14T22:13:20Z"));
    CHECK(body_has(t, "rule \"schema changes\""));
    CHECK(body_has(t, "decide at https://gw/approvals/req1; cancel the statement to withdraw"));
}

static void
decide_hold(struct stage *t, enum hold_end end)
{
    CHECK(t->gate.hold.waits);
    t->gate.hold.end = end;
    t->gate.hold.decided = true;
    fiber_condition_signal(&t->gate.hold.changed);
}

/* In place of the command the server gets one that fails. */
static void
refused_at_server(struct stage *t, char type, char status)
{
    hear(t, t->server, type);
    CHECK(body_has(t, pgrefusal_statement.ptr));
    server_error(t, "ERROR", "42601");
    if (type == 'Q')
        ready(t, status);
    say(t, t->server);
}

/* Nothing comes for a while. */
static void
hear_nothing(struct stream *from)
{
    struct str bytes;

    CHECK(stream_buffered(from).len == 0);
    CHECK(stream_peek(from, clock_monotonic_ms() + 30, &bytes) == ERR_TIMEOUT);
}

static void
play_approved(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    query(t, "SELECT 2");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    CHECK(str_is(str_from(t->gate.hold.context), "role agent; search_path public"));
    CHECK(!t->gate.hold.in_transaction);
    hear_nothing(t->server);
    decide_hold(t, HOLD_APPROVED);
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "ALTER TABLE a ADD b int"));
    complete(t, "ALTER TABLE");
    ready(t, 'I');
    say(t, t->server);
    hear(t, t->server, 'Q');
    CHECK(body_has(t, "SELECT 2"));
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZCZ");
    leave(t);
}

static void
test_an_approved_statement_goes_on_and_later_ones_waited(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_approved, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 2);
        assert_string_equal(t->gate.admitted[0], "ALTER TABLE a ADD b int");
    }
}

static void
play_denied(struct stage *t)
{
    static const struct {
        enum hold_end end;
        const char *sqlstate;
    } cases[] = {{HOLD_DENIED, "42501"},
                 {HOLD_TIMED_OUT, "42501"},
                 {HOLD_UNAVAILABLE, "57P03"},
                 {HOLD_POLICY_CHANGED, "42501"},
                 {HOLD_TOO_LARGE, "54000"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        query(t, "ALTER TABLE a ADD b int");
        say(t, t->client);
        answer_context(t, 'I');
        hear_notice(t);
        decide_hold(t, cases[i].end);
        refused_at_server(t, 'Q', 'I');
        hear_error(t, cases[i].sqlstate);
        CHECK(body_has(t, "denied by alice: not today"));
        CHECK(body_has(t, "rule \"schema changes\"; request req1."));
        hear(t, t->client, 'Z');
        CHECK(t->body.ptr[0] == 'I');
    }
    leave(t);
}

static void
test_a_refusal_has_the_humans_words_and_its_own_code(void **state)
{
    struct stage *t = run(play_denied);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_admitted, 0);
    assert_int_equal(t->gate.n_refused, 5);
}

static void
play_order(struct stage *t)
{
    query(t, "SELECT 1");
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    hear(t, t->server, 'Q');
    hear_nothing(t->server); /* what comes before it is answered first */
    complete(t, "SELECT 1");
    ready(t, 'I');
    say(t, t->server);
    answer_context(t, 'I');
    hear_all(t, t->client, "CZ");
    hear_notice(t);
    pgwire_put_plain(&t->out, 'S', STR("application_name\0x\0"));
    pgwire_put_plain(&t->out, 'N', STR("SNOTICE\0C00000\0Mhello\0\0"));
    say(t, t->server);
    hear_all(t, t->client, "SN"); /* it goes on */
    CHECK(body_has(t, "hello"));
    decide_hold(t, HOLD_APPROVED);
    hear(t, t->server, 'Q');
    complete(t, "ALTER TABLE");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_the_notice_comes_in_order_and_the_server_is_heard_meanwhile(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_order, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
    }
}

static void
play_within_message(struct stage *t)
{
    static const char notice[] = "SNOTICE\0C00000\0Mhello, in two parts\0";

    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'T', STR("\0\0"));
    put_context_row(t);
    complete(t, "SELECT 1");
    ready(t, 'I');
    pgwire_put_plain(&t->out, 'N', (struct str){notice, sizeof(notice)});
    t->out.len -= 10;
    say(t, t->server);
    while (!t->gate.hold.waits || t->gate.hold.asked == 0)
        fiber_yield();
    (void)fiber_sleep_until(clock_monotonic_ms() + 20); /* ours would come now */
    buf_put(&t->out, notice + sizeof(notice) - 10, 10);
    say(t, t->server);
    hear(t, t->client, 'N');
    CHECK(body_has(t, "hello, in two parts"));
    hear_notice(t);
    decide_hold(t, HOLD_DENIED);
    refused_at_server(t, 'Q', 'I');
    hear_error(t, "42501");
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_the_notice_is_never_within_a_message(void **state)
{
    (void)state;
    assert_int_equal(run(play_within_message)->result, OK);
}

static void
play_canceled(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    door_cancel(&t->door, 0, STR(""));
    refused_at_server(t, 'Q', 'I');
    hear_error(t, "57014");
    hear(t, t->client, 'Z');
    close(cancels.server_end); /* nothing was sent over it */
    cancels.server_end = -1;
    leave(t);
}

static void
test_a_cancel_request_withdraws(void **state)
{
    struct stage *t = run(play_canceled);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_admitted, 0);
    assert_true(t->gate.hold.withdrawn && !t->gate.hold.left);
}

static void
play_gone(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    stream_close(t->client);
    t->client = NULL;
    refused_at_server(t, 'Q', 'I');
    hear(t, t->server, 'X');
}

static void
test_a_client_that_goes_withdraws(void **state)
{
    struct stage *t = run(play_gone);

    (void)state;
    assert_int_equal(t->gate.n_admitted, 0);
    assert_true(t->gate.hold.left);
}

static void
play_half_closed(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    plain(t, 'X');
    say(t, t->client);
    CHECK(shutdown(stream_fd(t->client), SHUT_WR) == 0);
    answer_context(t, 'I');
    hear_notice(t);
    refused_at_server(t, 'Q', 'I');
    hear_error(t, "57014"); /* it still reads */
    hear(t, t->client, 'Z');
    hear(t, t->server, 'X');
}

static void
test_a_client_that_said_its_last_word_reads_that_nothing_ran(void **state)
{
    struct stage *t = run(play_half_closed);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_admitted, 0);
}

static void
play_extended(struct stage *t)
{
    parse(t, "", "ALTER TABLE a ADD b int");
    pgwire_put_target(&t->out, 'D', 'S', STR(""));
    bind_to(t, "", "");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PDBH"); /* announced, and answered first */
    plain(t, '1');
    pgwire_put_plain(&t->out, 't', STR("\0\0"));
    plain(t, 'n');
    plain(t, '2');
    say(t, t->server);
    answer_context_inside(t);
    hear_all(t, t->client, "1tn2");
    hear_notice(t);
    CHECK(!t->gate.hold.in_transaction);
    hear_nothing(t->server);
    decide_hold(t, HOLD_APPROVED);
    hear_all(t, t->server, "ES");
    complete(t, "ALTER TABLE");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_of_the_extended_protocol_execute_waits(void **state)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_extended, split == 1);

        (void)state;
        assert_int_equal(t->result, OK);
        assert_int_equal(t->gate.n_admitted, 1);
        assert_int_equal(t->gate.hold.n, 1);
    }
}

static void
play_pipeline_denied(struct stage *t)
{
    parse(t, "", "UPDATE x SET b = 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "", "ALTER TABLE a ADD b int");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "", "SELECT 1");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEPBH");
    plain(t, '1');
    plain(t, '2');
    complete(t, "UPDATE 3");
    plain(t, '1');
    plain(t, '2');
    say(t, t->server);
    answer_context_inside(t);
    hear_all(t, t->client, "12C12");
    hear_notice(t);
    CHECK(t->gate.hold.in_transaction); /* the UPDATE's locks are held */
    decide_hold(t, HOLD_DENIED);
    refused_at_server(t, 'P', 'I');
    hear_error(t, "42501");
    hear(t, t->server, 'S'); /* the rest was skipped */
    ready(t, 'I');
    say(t, t->server);
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_a_denial_in_a_pipeline_fails_the_segment_at_the_server_too(void **state)
{
    struct stage *t = run(play_pipeline_denied);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.n_admitted, 1);
}

static void
play_earlier_error(struct stage *t)
{
    parse(t, "", "SELECT 1");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "x", "ALTER TABLE a ADD b int");
    bind_to(t, "", "x");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEPBH");
    plain(t, '1');
    server_error(t, "ERROR", "22P02");
    say(t, t->server);
    hear(t, t->client, '1');
    hear_error(t, "22P02");
    hear(t, t->server, 'S');
    ready(t, 'I');
    say(t, t->server);
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_what_an_earlier_error_skips_bothers_nobody(void **state)
{
    struct stage *t = run(play_earlier_error);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.hold.asked, 0);
}

static void
play_transaction(struct stage *t)
{
    query(t, "BEGIN");
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    hear(t, t->server, 'Q');
    complete(t, "BEGIN");
    ready(t, 'T');
    say(t, t->server);
    answer_context(t, 'T');
    hear_all(t, t->client, "CZ");
    hear_notice(t);
    CHECK(t->gate.hold.in_transaction);
    decide_hold(t, HOLD_DENIED);
    refused_at_server(t, 'Q', 'E');
    hear_error(t, "42501");
    hear(t, t->client, 'Z');
    CHECK(t->body.ptr[0] == 'E'); /* the server's own state */
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    refused_at_server(t, 'Q', 'E');
    hear_error(t, "25P02"); /* nobody is asked */
    hear(t, t->client, 'Z');
    leave(t);
}

static void
test_in_a_transaction_the_state_is_the_servers(void **state)
{
    struct stage *t = run(play_transaction);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.hold.asked, 1);
}

static void
play_named_portal(struct stage *t)
{
    parse(t, "", "UPDATE held SET b = 1 RETURNING b");
    bind_to(t, "p", "");
    execute(t, "p");
    execute(t, "p");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PH");
    plain(t, '1');
    say(t, t->server);
    answer_context_inside(t);
    hear(t, t->client, '1');
    hear_notice(t);
    decide_hold(t, HOLD_APPROVED);
    hear_all(t, t->server, "BEES"); /* FETCH might have run it */
    plain(t, '2');
    plain(t, 's');
    complete(t, "UPDATE 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "2sCZ");
    leave(t);
}

static void
test_what_was_approved_for_a_portal_holds_for_all_its_batches(void **state)
{
    struct stage *t = run(play_named_portal);

    (void)state;
    assert_int_equal(t->result, OK);
    assert_int_equal(t->gate.hold.n, 1);
    assert_int_equal(t->gate.n_admitted, 3);
}

static void
play_execute(struct stage *t)
{
    query(t, "PREPARE p AS UPDATE held SET b = 1");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    decide_hold(t, HOLD_APPROVED);
    hear(t, t->server, 'Q');
    complete(t, "PREPARE");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    query(t, "EXECUTE p");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    CHECK(strstr(t->gate.hold.context, "EXECUTE p is: PREPARE p AS UPDATE held SET b = 1") != NULL);
    decide_hold(t, HOLD_APPROVED);
    hear(t, t->server, 'Q');
    complete(t, "UPDATE 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_whoever_decides_sees_what_execute_stands_for(void **state)
{
    (void)state;
    assert_int_equal(run(play_execute)->result, OK);
}

static void
play_copy(struct stage *t)
{
    query(t, "COPY held FROM STDIN");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    decide_hold(t, HOLD_APPROVED);
    hear(t, t->server, 'Q');
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    pgwire_put_plain(&t->out, 'd', STR("1\n"));
    plain(t, 'c');
    say(t, t->client);
    hear_all(t, t->server, "dc");
    complete(t, "COPY 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    leave(t);
}

static void
test_copy_waits_before_it_begins(void **state)
{
    (void)state;
    assert_int_equal(run(play_copy)->result, OK);
}

static void
play_grant_over(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    t->gate.ended = true;
    fiber_condition_signal(&t->gate.end);
    hear(t, t->server, 'X');
    hear_error(t, "57P01");
    CHECK(body_has(t, "the token was revoked"));
    hear_end(t->client);
}

static void
test_the_end_of_the_grant_ends_the_wait_at_once(void **state)
{
    struct stage *t = run(play_grant_over);

    (void)state;
    assert_int_equal(t->result, ERR_DENIED);
    assert_int_equal(t->gate.n_admitted, 0);
}

static void
play_target_dies(struct stage *t)
{
    query(t, "ALTER TABLE a ADD b int");
    say(t, t->client);
    answer_context(t, 'I');
    hear_notice(t);
    stream_close(t->server);
    t->server = NULL;
    hear_error(t, "08006");
    hear_end(t->client);
}

static void
test_the_end_of_the_target_ends_the_wait_at_once(void **state)
{
    (void)state;
    assert_int_equal(run(play_target_dies)->result, ERR_UNAVAILABLE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_approved_statement_goes_on_and_later_ones_waited),
        cmocka_unit_test(test_a_refusal_has_the_humans_words_and_its_own_code),
        cmocka_unit_test(test_the_notice_comes_in_order_and_the_server_is_heard_meanwhile),
        cmocka_unit_test(test_the_notice_is_never_within_a_message),
        cmocka_unit_test(test_a_cancel_request_withdraws),
        cmocka_unit_test(test_a_client_that_goes_withdraws),
        cmocka_unit_test(test_a_client_that_said_its_last_word_reads_that_nothing_ran),
        cmocka_unit_test(test_of_the_extended_protocol_execute_waits),
        cmocka_unit_test(test_a_denial_in_a_pipeline_fails_the_segment_at_the_server_too),
        cmocka_unit_test(test_what_an_earlier_error_skips_bothers_nobody),
        cmocka_unit_test(test_in_a_transaction_the_state_is_the_servers),
        cmocka_unit_test(test_what_was_approved_for_a_portal_holds_for_all_its_batches),
        cmocka_unit_test(test_whoever_decides_sees_what_execute_stands_for),
        cmocka_unit_test(test_copy_waits_before_it_begins),
        cmocka_unit_test(test_the_end_of_the_grant_ends_the_wait_at_once),
        cmocka_unit_test(test_the_end_of_the_target_ends_the_wait_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
