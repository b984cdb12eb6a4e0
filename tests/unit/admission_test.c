#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include <arpa/inet.h>
#include <string.h>

#include "listener/admission.h"

static const struct admission_limits limits = {
    .connections = 5, .unauthenticated = 3, .unauthenticated_per_source = 2};

static struct in6_addr
source(const char *text)
{
    struct in6_addr address;

    assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
    return connections_source(&address);
}

static void
add(struct connections *c, uint64_t session, const char *from)
{
    struct connection connection = {.session = session,
                                    .pid = (pid_t)session,
                                    .source = source(from),
                                    .deadline_ms = (int64_t)session * 100};

    assert_int_equal(connections_check(c, &connection.source), OK);
    connections_add(c, &connection);
}

static void
refused(const struct connections *c, const char *from)
{
    struct in6_addr address = source(from);

    assert_int_equal(connections_check(c, &address), ERR_LIMIT);
}

static void
test_one_source_gets_no_more_than_its_share(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    add(&c, 1, "::ffff:192.0.2.1");
    add(&c, 2, "::ffff:192.0.2.1");
    refused(&c, "::ffff:192.0.2.1");
    add(&c, 3, "::ffff:192.0.2.2");
    connections_close(&c);
}

static void
test_an_ipv6_network_is_one_source(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    add(&c, 1, "2001:db8::1");
    add(&c, 2, "2001:db8::ffff:2");
    refused(&c, "2001:db8::3");
    add(&c, 3, "2001:db8:0:1::3");
    connections_close(&c);
}

static void
test_authenticated_connections_count_in_the_total_alone(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    for (uint64_t i = 1; i <= 5; i++) {
        add(&c, i, "::1");
        connections_by_session(&c, i)->authenticated = true;
    }
    refused(&c, "::ffff:192.0.2.9");
    connections_remove(&c, connections_by_pid(&c, 3));
    assert_null(connections_by_session(&c, 3));
    add(&c, 6, "::ffff:192.0.2.9");
    connections_close(&c);
}

static void
test_sessions_of_an_earlier_listener_count_in_the_total(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    c.orphans = 4;
    add(&c, 1, "::1");
    refused(&c, "::ffff:192.0.2.1");
    c.orphans = 3;
    add(&c, 2, "::ffff:192.0.2.1");
    connections_close(&c);
}

static void
test_the_unauthenticated_have_a_total_of_their_own(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    add(&c, 1, "::ffff:192.0.2.1");
    add(&c, 2, "::ffff:192.0.2.2");
    add(&c, 3, "::ffff:192.0.2.3");
    refused(&c, "::ffff:192.0.2.4");
    connections_close(&c);
}

static void
test_the_next_deadline_is_of_the_unauthenticated(void **state)
{
    struct connections c;

    (void)state;
    assert_int_equal(connections_open(&c, &limits), OK);
    assert_true(connections_next_deadline(&c) == INT64_MAX);
    add(&c, 1, "::1");
    add(&c, 2, "::1");
    assert_true(connections_next_deadline(&c) == 100);
    connections_by_session(&c, 1)->authenticated = true;
    assert_true(connections_next_deadline(&c) == 200);
    connections_close(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_source_gets_no_more_than_its_share),
        cmocka_unit_test(test_an_ipv6_network_is_one_source),
        cmocka_unit_test(test_authenticated_connections_count_in_the_total_alone),
        cmocka_unit_test(test_sessions_of_an_earlier_listener_count_in_the_total),
        cmocka_unit_test(test_the_unauthenticated_have_a_total_of_their_own),
        cmocka_unit_test(test_the_next_deadline_is_of_the_unauthenticated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
