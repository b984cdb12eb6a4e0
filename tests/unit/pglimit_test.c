/* Limits on what a command delivers, how long it takes and how much it changes. */
#include "pgstage.h"

static void
limit(struct stage *t, struct limits limits)
{
    t->gate.limits = limits;
    t->target.cancel_secret_len = 4;
}

static void
rows(struct stage *t, int n)
{
    for (int i = 0; i < n; i++)
        pgwire_put_plain(&t->out, 'D', STR("\0\1\0\0\0\1x"));
}

static void
describe(struct stage *t)
{
    pgwire_put_plain(&t->out, 'T',
                     STR("\0\1a\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"));
}

static void
hear_tag(struct stage *t, struct stream *from, const char *tag)
{
    hear(t, from, 'C');
    CHECK(str_equal(buf_str(&t->body), (struct str){tag, strlen(tag) + 1}));
}

static void
hear_query(struct stage *t, const char *text)
{
    hear(t, t->server, 'Q');
    CHECK(body_has(t, text));
}

static void
hear_ready(struct stage *t, char status)
{
    hear(t, t->client, 'Z');
    CHECK(t->body.ptr[0] == status);
}

static void
hear_limit(struct stage *t, const char *sqlstate, const char *words)
{
    hear_error(t, sqlstate);
    CHECK(body_has(t, words));
}

static void
both_ways(void (*play)(struct stage *t), const char *error, const char *limit)
{
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play, split == 1);

        assert_int_equal(t->result, OK);
        assert_string_equal(t->gate.outcomes[0].error, error);
        assert_string_equal(t->gate.outcomes[0].limit, limit);
    }
}

/* Rows. */

static void
play_rows(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 2});
    query(t, "SELECT a FROM b");
    say(t, t->client);
    hear(t, t->server, 'Q');
    describe(t);
    rows(t, 4);
    say(t, t->server);
    hear_all(t, t->client, "TDD");
    hear_limit(t, "54000", "more than 2 rows");
    hear_cancel();
    server_error(t, "ERROR", "57014");
    ready(t, 'I');
    say(t, t->server);
    hear_ready(t, 'I');
    CHECK(t->gate.rows == 2);
    leave(t);
}

static void
test_rows_beyond_the_limit_are_dropped_and_the_query_cancelled(void **state)
{
    (void)state;
    both_ways(play_rows, "54000", "rows_per_command");
    assert_int_equal(cancels.asked, 1);
}

static void
play_enough(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 2});
    query(t, "SELECT a FROM b");
    say(t, t->client);
    hear(t, t->server, 'Q');
    describe(t);
    rows(t, 2);
    complete(t, "SELECT 2");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "TDDCZ");
    leave(t);
}

static void
test_as_many_rows_as_allowed_pass(void **state)
{
    (void)state;
    both_ways(play_enough, "", "");
    assert_int_equal(cancels.asked, 0);
}

static void
play_bytes(struct stage *t)
{
    limit(t, (struct limits){.bytes_per_command = 25});
    query(t, "SELECT a FROM b");
    say(t, t->client);
    hear(t, t->server, 'Q');
    describe(t);
    rows(t, 3);
    complete(t, "SELECT 3");
    ready(t, 'T');
    say(t, t->server);
    hear_all(t, t->client, "TDD");
    hear_limit(t, "54000", "more than 25 bytes");
    hear_ready(t, 'T');
    hear_cancel();
    leave(t);
}

static void
test_a_server_that_completes_first_is_overruled(void **state)
{
    (void)state;
    both_ways(play_bytes, "54000", "bytes_per_command");
}

static void
play_session_rows(struct stage *t)
{
    limit(t, (struct limits){.rows_per_session = 3});
    for (int i = 0; i < 2; i++) {
        query(t, "SELECT a FROM b");
        say(t, t->client);
        hear(t, t->server, 'Q');
        describe(t);
        rows(t, 2);
        complete(t, "SELECT 2");
        ready(t, 'I');
        say(t, t->server);
        if (i == 0)
            hear_all(t, t->client, "TDDCZ");
    }
    hear_all(t, t->client, "TD");
    hear_limit(t, "54000", "rows_per_session");
    hear_ready(t, 'I');
    hear_cancel();
    leave(t);
}

static void
test_rows_of_a_session_add_up(void **state)
{
    (void)state;
    both_ways(play_session_rows, "", "");
}

static void
play_second_statement(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 1});
    query(t, "SELECT a FROM b; UPDATE b SET a = 1 WHERE c = 2");
    say(t, t->client);
    hear(t, t->server, 'Q');
    describe(t);
    rows(t, 2);
    complete(t, "SELECT 2");
    complete(t, "UPDATE 1");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "TD");
    hear_limit(t, "54000", "rows_per_command");
    hear_error(t, "54000");
    CHECK(body_has(t, "FATAL"));
    hear_end(t->client);
    if (cancels.server_end >= 0)
        close(cancels.server_end);
    cancels.server_end = -1;
}

static void
test_a_statement_that_ran_after_the_error_ends_the_session(void **state)
{
    (void)state;
    assert_int_equal(run(play_second_statement)->result, ERR_LIMIT);
}

static void
play_batches(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 3});
    parse(t, "", "SELECT a FROM b");
    bind_to(t, "", "");
    execute(t, "");
    execute(t, "");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEES");
    plain(t, '1');
    plain(t, '2');
    rows(t, 2);
    plain(t, 's');
    rows(t, 2);
    say(t, t->server);
    hear_all(t, t->client, "12DDsD");
    hear_limit(t, "54000", "more than 3 rows");
    hear_cancel();
    server_error(t, "ERROR", "57014");
    ready(t, 'I');
    say(t, t->server);
    hear_ready(t, 'I');
    leave(t);
}

static void
test_the_batches_of_a_portal_are_one_command(void **state)
{
    (void)state;
    both_ways(play_batches, "", "");
}

static void
play_late_in_segment(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 1});
    parse(t, "", "SELECT a FROM b");
    bind_to(t, "", "");
    execute(t, "");
    plain(t, 'H');
    say(t, t->client);
    hear_all(t, t->server, "PBEH");
    plain(t, '1');
    plain(t, '2');
    rows(t, 2);
    complete(t, "SELECT 2");
    say(t, t->server);
    hear_all(t, t->client, "12D");
    hear_limit(t, "54000", "rows_per_command");
    hear_cancel();
    execute(t, ""); /* dropped */
    plain(t, 'S');
    say(t, t->client);
    hear(t, t->server, 'P');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    hear(t, t->server, 'S');
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_segment_that_the_client_takes_for_failed_is_made_to_fail(void **state)
{
    (void)state;
    both_ways(play_late_in_segment, "54000", "rows_per_command");
}

static void
play_late_before_sync(struct stage *t)
{
    limit(t, (struct limits){.rows_per_command = 1});
    parse(t, "", "SELECT a FROM b");
    bind_to(t, "", "");
    execute(t, "");
    parse(t, "next", "SELECT 1");
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEPS");
    plain(t, '1');
    plain(t, '2');
    rows(t, 2);
    complete(t, "SELECT 2");
    plain(t, '1');
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12D");
    hear_limit(t, "54000", "rows_per_command");
    hear_ready(t, 'I');
    hear_cancel();
    leave(t);
}

static void
test_the_rest_of_a_stopped_segment_is_swallowed(void **state)
{
    (void)state;
    both_ways(play_late_before_sync, "54000", "rows_per_command");
}

/* Time. */

static void
play_time(struct stage *t)
{
    limit(t, (struct limits){.seconds_per_command = 1});
    query(t, "SELECT a FROM b");
    say(t, t->client);
    hear(t, t->server, 'Q');
    hear_cancel();
    server_error(t, "ERROR", "57014");
    ready(t, 'I');
    say(t, t->server);
    hear_limit(t, "57014", "more than 1 seconds");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_what_takes_too_long_is_cancelled(void **state)
{
    (void)state;
    both_ways(play_time, "57014", "seconds_per_command");
}

/* Changes. */

static void
begin_write(struct stage *t, const char *text)
{
    query(t, text);
    say(t, t->client);
    hear_query(t, "BEGIN");
    complete(t, "BEGIN");
    ready(t, 'T');
    say(t, t->server);
    hear_query(t, text);
}

static void
play_few(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    begin_write(t, "UPDATE b SET a = 1 WHERE c = 1; SELECT 1");
    complete(t, "UPDATE 2");
    describe(t);
    complete(t, "SELECT 1");
    ready(t, 'T');
    say(t, t->server);
    hear_tag(t, t->client, "UPDATE 2");
    hear(t, t->client, 'T');
    hear_query(t, "COMMIT");
    complete(t, "COMMIT");
    ready(t, 'I');
    say(t, t->server);
    hear_tag(t, t->client, "SELECT 1");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_limited_write_is_told_when_it_is_committed(void **state)
{
    (void)state;
    both_ways(play_few, "", "");
}

static void
play_many(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    begin_write(t, "UPDATE b SET a = 1 WHERE c = 1");
    complete(t, "UPDATE 3");
    ready(t, 'T');
    say(t, t->server);
    hear_query(t, "ROLLBACK");
    complete(t, "ROLLBACK");
    ready(t, 'I');
    say(t, t->server);
    hear_limit(t, "54000", "more than 2 rows changed");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_write_that_changes_too_much_is_rolled_back(void **state)
{
    (void)state;
    both_ways(play_many, "54000", "max_affected_rows");
}

static void
play_commit_fails(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    begin_write(t, "UPDATE b SET a = 1 WHERE c = 1");
    complete(t, "UPDATE 1");
    ready(t, 'T');
    say(t, t->server);
    hear_query(t, "COMMIT");
    server_error(t, "ERROR", "23503");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "23503");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_commit_that_fails_is_the_answer(void **state)
{
    (void)state;
    both_ways(play_commit_fails, "23503", "");
}

static void
play_write_fails(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    begin_write(t, "UPDATE b SET a = 1 WHERE c = 1");
    server_error(t, "ERROR", "23505");
    ready(t, 'E');
    say(t, t->server);
    hear_error(t, "23505");
    hear_query(t, "ROLLBACK");
    complete(t, "ROLLBACK");
    ready(t, 'I');
    say(t, t->server);
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_limited_write_that_fails_leaves_no_transaction(void **state)
{
    (void)state;
    both_ways(play_write_fails, "23505", "");
}

static void
play_copy(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    begin_write(t, "COPY b FROM STDIN");
    pgwire_put_plain(&t->out, 'G', STR("\0\0\0"));
    say(t, t->server);
    hear(t, t->client, 'G');
    pgwire_put_plain(&t->out, 'd', STR("1\n2\n3\n"));
    plain(t, 'c');
    say(t, t->client);
    hear_all(t, t->server, "dc");
    complete(t, "COPY 3");
    ready(t, 'T');
    say(t, t->server);
    hear_query(t, "ROLLBACK");
    complete(t, "ROLLBACK");
    ready(t, 'I');
    say(t, t->server);
    hear_limit(t, "54000", "rows changed");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_copied_rows_are_changes(void **state)
{
    (void)state;
    both_ways(play_copy, "54000", "max_affected_rows");
}

static void
play_in_transaction(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    query(t, "BEGIN");
    say(t, t->client);
    hear_query(t, "BEGIN");
    complete(t, "BEGIN");
    ready(t, 'T');
    say(t, t->server);
    hear_all(t, t->client, "CZ");
    query(t, "UPDATE b SET a = 1 WHERE c = 1");
    query(t, "COMMIT");
    say(t, t->client);
    hear_query(t, "UPDATE");
    complete(t, "UPDATE 3");
    ready(t, 'T');
    say(t, t->server);
    hear_query(t, pgrefusal_statement.ptr);
    server_error(t, "ERROR", "42601");
    ready(t, 'E');
    say(t, t->server);
    hear_limit(t, "54000", "rows changed");
    hear_ready(t, 'E');
    hear_query(t, "COMMIT");
    complete(t, "ROLLBACK");
    ready(t, 'I');
    say(t, t->server);
    hear_tag(t, t->client, "ROLLBACK");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_within_a_transaction_it_fails_as_a_whole(void **state)
{
    (void)state;
    for (int split = 0; split < 2; split++) {
        struct stage *t = run_split(play_in_transaction, split == 1);

        assert_int_equal(t->result, OK);
        assert_string_equal(t->gate.outcomes[1].limit, "max_affected_rows");
    }
}

static void
play_extended(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    parse(t, "", "UPDATE b SET a = 1 WHERE c = 1");
    bind_to(t, "", "");
    execute(t, "");
    execute(t, ""); /* dropped */
    plain(t, 'S');
    say(t, t->client);
    hear_all(t, t->server, "PBEH");
    plain(t, '1');
    plain(t, '2');
    complete(t, "UPDATE 3");
    say(t, t->server);
    hear(t, t->server, 'P');
    CHECK(body_has(t, pgrefusal_statement.ptr));
    hear(t, t->server, 'S');
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_all(t, t->client, "12");
    hear_limit(t, "54000", "rows changed");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_an_execute_that_changes_too_much_fails_its_segment(void **state)
{
    (void)state;
    both_ways(play_extended, "54000", "max_affected_rows");
}

static void
play_own_transaction(struct stage *t)
{
    limit(t, (struct limits){.max_affected_rows = 2});
    query(t, "BEGIN; UPDATE b SET a = 1 WHERE c = 1; COMMIT");
    say(t, t->client);
    hear_query(t, pgrefusal_statement.ptr);
    server_error(t, "ERROR", "42601");
    ready(t, 'I');
    say(t, t->server);
    hear_error(t, "0A000");
    hear_ready(t, 'I');
    leave(t);
}

static void
test_a_limited_write_may_not_commit_itself(void **state)
{
    (void)state;
    both_ways(play_own_transaction, "skipped", "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_beyond_the_limit_are_dropped_and_the_query_cancelled),
        cmocka_unit_test(test_as_many_rows_as_allowed_pass),
        cmocka_unit_test(test_a_server_that_completes_first_is_overruled),
        cmocka_unit_test(test_rows_of_a_session_add_up),
        cmocka_unit_test(test_a_statement_that_ran_after_the_error_ends_the_session),
        cmocka_unit_test(test_the_batches_of_a_portal_are_one_command),
        cmocka_unit_test(test_a_segment_that_the_client_takes_for_failed_is_made_to_fail),
        cmocka_unit_test(test_the_rest_of_a_stopped_segment_is_swallowed),
        cmocka_unit_test(test_what_takes_too_long_is_cancelled),
        cmocka_unit_test(test_a_limited_write_is_told_when_it_is_committed),
        cmocka_unit_test(test_a_write_that_changes_too_much_is_rolled_back),
        cmocka_unit_test(test_a_commit_that_fails_is_the_answer),
        cmocka_unit_test(test_a_limited_write_that_fails_leaves_no_transaction),
        cmocka_unit_test(test_copied_rows_are_changes),
        cmocka_unit_test(test_within_a_transaction_it_fails_as_a_whole),
        cmocka_unit_test(test_an_execute_that_changes_too_much_fails_its_segment),
        cmocka_unit_test(test_a_limited_write_may_not_commit_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
