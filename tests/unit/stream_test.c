#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* ours is meant */

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "fiber/fiber.h"
#include "net/stream.h"

/* cmocka's checks leave by longjmp(), which must not cross stacks. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: failed: %s (%s)\n", __FILE__, __LINE__, #condition,      \
                          err_text());                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static int64_t
soon(void)
{
    return clock_monotonic_ms() + 20000; /* never reached unless something is broken */
}

static void
open_pair(struct stream *pair[2])
{
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(stream_open(fds[0], &pair[0]) == OK);
    CHECK(stream_open(fds[1], &pair[1]) == OK);
}

static void
close_pair(struct stream *pair[2])
{
    stream_close(pair[0]);
    stream_close(pair[1]);
}

/* Runs `fn` as a fiber with two connected streams. */
static void (*body)(struct stream *pair[2]);

static void
run_body(void *arg)
{
    struct stream *pair[2];

    (void)arg;
    open_pair(pair);
    body(pair);
    close_pair(pair);
}

static void
run(void (*fn)(struct stream *pair[2]))
{
    body = fn;
    assert_int_equal(fiber_main(run_body, NULL), OK);
}

static struct fiber *
start(fiber_fn *fn, void *arg)
{
    struct fiber *f;

    CHECK(fiber_start("test", fn, arg, &f) == OK);
    return f;
}

static const char message[] = "a message to be split at each of its bytes";

struct split {
    struct stream *stream;
    size_t at;
};

static void
write_split(void *arg)
{
    const struct split *split = arg;
    struct str all = {message, sizeof(message)};

    CHECK(stream_write(split->stream, (struct str){all.ptr, split->at}, soon()) == OK);
    CHECK(fiber_sleep_until(0) == ERR_TIMEOUT); /* the reader sees the first part alone */
    CHECK(stream_write(split->stream, str_skip(all, split->at), soon()) == OK);
}

static void
split_each_byte(struct stream *pair[2])
{
    for (size_t at = 0; at <= sizeof(message); at++) {
        struct split split = {pair[1], at};
        struct fiber *writer = start(write_split, &split);
        struct str bytes;

        CHECK(stream_need(pair[0], sizeof(message), soon(), &bytes) == OK);
        CHECK(bytes.len == sizeof(message) && memcmp(bytes.ptr, message, bytes.len) == 0);
        stream_consume(pair[0], bytes.len);
        CHECK(stream_buffered(pair[0]).len == 0);
        fiber_join(writer);
    }
}

static void
test_a_message_split_at_each_byte_arrives_whole(void **state)
{
    (void)state;
    run(split_each_byte);
}

enum { LARGE = 1 << 20 };

/* The byte at `i` of a long stream in which no short period repeats. */
static char
pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static void
write_large(void *arg)
{
    char *bytes = malloc(LARGE);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = pattern(i);
    CHECK(stream_write(arg, (struct str){bytes, LARGE}, soon()) == OK);
    free(bytes);
}

static void
check_pattern(struct str bytes, size_t from)
{
    for (size_t i = 0; i < bytes.len; i++)
        CHECK(bytes.ptr[i] == pattern(from + i));
}

static void
need_of_growing_sizes(struct stream *pair[2])
{
    struct fiber *writer = start(write_large, pair[1]);
    size_t at = 0, n = 1;
    struct str bytes;

    for (; at + n <= LARGE; n = n * 3 + 1) { /* far beyond STREAM_BUFFER_BYTES, and back */
        CHECK(stream_need(pair[0], n, soon(), &bytes) == OK);
        CHECK(bytes.len >= n);
        check_pattern(bytes, at);
        stream_consume(pair[0], n);
        at += n;
    }
    while (at < LARGE) {
        CHECK(stream_peek(pair[0], soon(), &bytes) == OK);
        check_pattern(bytes, at);
        at += bytes.len;
        stream_consume(pair[0], bytes.len);
    }
    CHECK(at == LARGE);
    stream_trim(pair[0]);
    CHECK(stream_buffered(pair[0]).len == 0);
    fiber_join(writer);
}

static void
test_need_grows_the_buffer_and_loses_nothing(void **state)
{
    (void)state;
    run(need_of_growing_sizes);
}

static void
end_between_and_within(struct stream *pair[2])
{
    struct str bytes;

    CHECK(stream_write(pair[1], STR("abc"), soon()) == OK);
    stream_shutdown(pair[1]);
    CHECK(stream_write(pair[1], STR("d"), soon()) == ERR_CLOSED);
    CHECK(stream_need(pair[0], 4, soon(), &bytes) == ERR_TRUNCATED);
    CHECK(str_is(stream_buffered(pair[0]), "abc"));
    CHECK(stream_peek(pair[0], soon(), &bytes) == OK && str_is(bytes, "abc"));
    stream_trim(pair[0]); /* not empty: keeps it */
    stream_consume(pair[0], 3);
    CHECK(stream_peek(pair[0], soon(), &bytes) == ERR_CLOSED);
    CHECK(stream_need(pair[0], 4, soon(), &bytes) == ERR_CLOSED);
    CHECK(stream_write(pair[0], STR("the other way still works"), soon()) == OK);
    CHECK(stream_peek(pair[1], soon(), &bytes) == OK);
    CHECK(str_is(bytes, "the other way still works"));
}

static void
test_the_end_is_closed_between_messages_and_truncated_within(void **state)
{
    (void)state;
    run(end_between_and_within);
}

static void
write_to_nobody(struct stream *pair[2])
{
    stream_close(pair[1]);
    pair[1] = NULL;
    for (int i = 0; i < 2; i++)
        CHECK(stream_write(pair[0], STR("x"), soon()) == ERR_CLOSED);
}

static void
test_writing_to_a_closed_peer_is_an_error_and_no_signal(void **state)
{
    (void)state;
    run(write_to_nobody);
}

static void
drain_large(void *arg)
{
    size_t at = 0;

    while (at < LARGE) {
        struct str bytes;

        CHECK(stream_peek(arg, soon(), &bytes) == OK);
        check_pattern(bytes, at);
        at += bytes.len;
        stream_consume(arg, bytes.len);
    }
}

/* Both peers write more than the sockets hold before either has finished. */
static void
write_while_reading(struct stream *pair[2])
{
    struct fiber *f[4] = {start(write_large, pair[0]), start(write_large, pair[1]),
                          start(drain_large, pair[0]), start(drain_large, pair[1])};

    for (int i = 0; i < 4; i++)
        fiber_join(f[i]);
}

static void
test_a_blocked_write_does_not_stop_reading(void **state)
{
    (void)state;
    run(write_while_reading);
}

static void
cancelled_read(void *arg)
{
    struct str bytes;

    CHECK(stream_peek(arg, FIBER_FOREVER, &bytes) == ERR_CANCELED);
}

static void
cancelled_write(void *arg)
{
    char bytes[4096] = {0};
    enum err e;

    while ((e = stream_write(arg, (struct str){bytes, sizeof(bytes)}, FIBER_FOREVER)) == OK)
        ;
    CHECK(e == ERR_CANCELED);
}

static void
cancel_both(struct stream *pair[2])
{
    struct fiber *reader = start(cancelled_read, pair[0]);
    struct fiber *writer = start(cancelled_write, pair[0]);

    fiber_yield();
    fiber_cancel(reader);
    fiber_cancel(writer);
    fiber_join(reader);
    fiber_join(writer);
}

static void
test_cancel_ends_reading_and_writing(void **state)
{
    (void)state;
    run(cancel_both);
}

static void
late(struct stream *pair[2])
{
    char bytes[4096] = {0};
    struct str got;
    enum err e;

    CHECK(stream_peek(pair[0], 0, &got) == ERR_TIMEOUT);
    CHECK(stream_write(pair[1], STR("x"), soon()) == OK);
    CHECK(stream_peek(pair[0], 0, &got) == OK && str_is(got, "x"));
    while ((e = stream_write(pair[0], (struct str){bytes, sizeof(bytes)}, 0)) == OK)
        ;
    CHECK(e == ERR_TIMEOUT);
}

static void
test_deadlines_end_reading_and_writing(void **state)
{
    (void)state;
    run(late);
}

static void
sniff(struct stream *pair[2])
{
    unsigned char first = 0;
    struct str bytes;

    CHECK(stream_sniff(pair[0], 0, &first) == ERR_TIMEOUT);
    CHECK(stream_write(pair[1], STR("\x16z"), soon()) == OK);
    CHECK(stream_sniff(pair[0], soon(), &first) == OK && first == 0x16);
    CHECK(stream_buffered(pair[0]).len == 0);
    CHECK(stream_need(pair[0], 2, soon(), &bytes) == OK && str_is(bytes, "\x16z"));
    stream_shutdown(pair[0]);
    CHECK(stream_sniff(pair[1], soon(), &first) == ERR_CLOSED);
}

static void
test_sniffing_takes_nothing(void **state)
{
    (void)state;
    run(sniff);
}

static void
test_a_descriptor_that_is_not_open_is_refused(void **state)
{
    struct stream *s;

    (void)state;
    assert_int_equal(stream_open(-1, &s), ERR_IO);
    assert_null(s);
}

/* TLS. */

static SSL_CTX *server_context, *client_context;

static int
make_contexts(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    (void)state;
    assert_non_null(key);
    assert_non_null(certificate);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    server_context = SSL_CTX_new(TLS_server_method());
    client_context = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(server_context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_context, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return 0;
}

static int
free_contexts(void **state)
{
    (void)state;
    SSL_CTX_free(server_context);
    SSL_CTX_free(client_context);
    return 0;
}

static void
accept_tls(void *arg)
{
    CHECK(stream_accept_tls(arg, SSL_new(server_context), soon()) == OK);
}

static void
start_tls(struct stream *pair[2])
{
    struct fiber *server = start(accept_tls, pair[0]);

    CHECK(stream_connect_tls(pair[1], SSL_new(client_context), soon()) == OK);
    fiber_join(server);
    CHECK(stream_tls(pair[0]) != NULL);
}

static void
tls_split(struct stream *pair[2])
{
    start_tls(pair);
    split_each_byte(pair);
}

static void
tls_large(struct stream *pair[2])
{
    start_tls(pair);
    write_while_reading(pair);
}

static void
tls_grow(struct stream *pair[2])
{
    start_tls(pair);
    need_of_growing_sizes(pair);
}

static void
test_tls_carries_the_same(void **state)
{
    (void)state;
    run(tls_split);
    run(tls_large);
    run(tls_grow);
}

/* Many small records come in one read of the socket, which then never gets readable again. */
static void
tls_records_held_back(struct stream *pair[2])
{
    struct str bytes;

    start_tls(pair);
    for (int i = 0; i < 100; i++)
        CHECK(stream_write(pair[0], STR("abc"), soon()) == OK);
    for (int i = 0; i < 100; i++) {
        CHECK(stream_need(pair[1], 3, soon(), &bytes) == OK);
        CHECK(memcmp(bytes.ptr, "abc", 3) == 0);
        stream_consume(pair[1], 3);
    }
    CHECK(stream_peek(pair[1], 0, &bytes) == ERR_TIMEOUT);
}

static void
test_records_that_tls_holds_are_read_without_waiting(void **state)
{
    (void)state;
    run(tls_records_held_back);
}

static void
tls_endings(struct stream *pair[2])
{
    struct str bytes;

    start_tls(pair);
    CHECK(stream_write(pair[0], STR("ab"), soon()) == OK);
    stream_shutdown(pair[0]);
    CHECK(stream_need(pair[1], 3, soon(), &bytes) == ERR_TRUNCATED);
    stream_consume(pair[1], 2);
    CHECK(stream_peek(pair[1], soon(), &bytes) == ERR_CLOSED);
    CHECK(stream_write(pair[1], STR("the other way"), soon()) == OK);
    CHECK(stream_peek(pair[0], soon(), &bytes) == OK && str_is(bytes, "the other way"));
    stream_consume(pair[0], bytes.len);
    (void)shutdown(stream_fd(pair[1]), SHUT_RDWR); /* no close_notify */
    CHECK(stream_peek(pair[0], soon(), &bytes) == ERR_CLOSED);
}

static void
test_tls_ends_with_and_without_close_notify(void **state)
{
    (void)state;
    run(tls_endings);
}

static void
tls_after_clear_text(struct stream *pair[2])
{
    struct str bytes;

    CHECK(stream_write(pair[1], STR("SSLRequest and more"), soon()) == OK);
    CHECK(stream_need(pair[0], 10, soon(), &bytes) == OK);
    stream_consume(pair[0], 10);
    CHECK(stream_accept_tls(pair[0], SSL_new(server_context), soon()) == ERR_PROTOCOL);
    CHECK(stream_tls(pair[0]) == NULL);
}

static void
tls_garbage(struct stream *pair[2])
{
    CHECK(stream_write(pair[1], STR("GET / HTTP/1.1\r\n\r\n"), soon()) == OK);
    CHECK(stream_accept_tls(pair[0], SSL_new(server_context), soon()) == ERR_TLS);
    CHECK(stream_accept_tls(pair[0], SSL_new(server_context), soon()) == ERR_PROTOCOL);
}

static void
tls_silence(struct stream *pair[2])
{
    CHECK(stream_accept_tls(pair[0], SSL_new(server_context), 0) == ERR_TIMEOUT);
}

static void
tls_gone(struct stream *pair[2])
{
    stream_shutdown(pair[1]);
    CHECK(stream_accept_tls(pair[0], SSL_new(server_context), soon()) == ERR_CLOSED);
}

static void
test_a_failed_handshake_says_why(void **state)
{
    (void)state;
    run(tls_after_clear_text);
    run(tls_garbage);
    run(tls_silence);
    run(tls_gone);
}

static void
tls_cancel(struct stream *pair[2])
{
    start_tls(pair);
    cancel_both(pair);
}

static void
test_cancel_ends_reading_and_writing_in_tls(void **state)
{
    (void)state;
    run(tls_cancel);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_split_at_each_byte_arrives_whole),
        cmocka_unit_test(test_need_grows_the_buffer_and_loses_nothing),
        cmocka_unit_test(test_the_end_is_closed_between_messages_and_truncated_within),
        cmocka_unit_test(test_writing_to_a_closed_peer_is_an_error_and_no_signal),
        cmocka_unit_test(test_a_blocked_write_does_not_stop_reading),
        cmocka_unit_test(test_cancel_ends_reading_and_writing),
        cmocka_unit_test(test_deadlines_end_reading_and_writing),
        cmocka_unit_test(test_sniffing_takes_nothing),
        cmocka_unit_test(test_a_descriptor_that_is_not_open_is_refused),
        cmocka_unit_test(test_tls_carries_the_same),
        cmocka_unit_test(test_records_that_tls_holds_are_read_without_waiting),
        cmocka_unit_test(test_tls_ends_with_and_without_close_notify),
        cmocka_unit_test(test_a_failed_handshake_says_why),
        cmocka_unit_test(test_cancel_ends_reading_and_writing_in_tls),
    };

    return cmocka_run_group_tests(tests, make_contexts, free_contexts);
}
