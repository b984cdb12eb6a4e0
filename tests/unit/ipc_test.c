#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"

static struct ipc_authenticate
example(void)
{
    return (struct ipc_authenticate){.resource = STR("analytics"),
                                     .database = STR(""),
                                     .client = STR("psql"),
                                     .token = STR("a.b.c")};
}

static void
test_a_message_comes_back_as_it_was(void **state)
{
    struct ipc_authenticate sent = example();
    struct buf datagram = buf_make(IPC_BYTES_MAX);
    union ipc_message got;
    enum ipc_type type;

    (void)state;
    assert_int_equal(ipc_encode(IPC_TYPE_AUTHENTICATE, &sent, &datagram), OK);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), OK);
    assert_int_equal(type, IPC_TYPE_AUTHENTICATE);
    assert_true(str_equal(got.authenticate.resource, sent.resource));
    assert_true(str_equal(got.authenticate.database, sent.database));
    assert_true(str_equal(got.authenticate.client, sent.client));
    assert_true(str_equal(got.authenticate.token, sent.token));
    buf_free(&datagram);
}

static void
test_numbers_and_texts_may_be_mixed(void **state)
{
    struct ipc_session_new sent = {
        .session = UINT64_MAX, .source = STR_INIT("0123456789abcdef"), .protocol = STR_INIT("p")};
    struct buf datagram = buf_make(IPC_BYTES_MAX);
    union ipc_message got;
    enum ipc_type type;

    (void)state;
    assert_int_equal(ipc_encode(IPC_TYPE_SESSION_NEW, &sent, &datagram), OK);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), OK);
    assert_true(got.session_new.session == UINT64_MAX);
    assert_true(str_equal(got.session_new.source, sent.source));
    assert_true(str_is(got.session_new.protocol, "p"));
    assert_int_equal(got.session_new.resource.len, 0);
    buf_free(&datagram);
}

static void
test_a_cut_or_lengthened_message_is_refused(void **state)
{
    struct ipc_authenticate sent = example();
    struct buf datagram = buf_make(IPC_BYTES_MAX);
    union ipc_message got;
    enum ipc_type type;

    (void)state;
    assert_int_equal(ipc_encode(IPC_TYPE_AUTHENTICATE, &sent, &datagram), OK);
    for (size_t n = 0; n < datagram.len; n++)
        assert_int_equal(ipc_decode((struct str){datagram.ptr, n}, &type, &got), ERR_PROTOCOL);
    buf_put_u8(&datagram, 0);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), ERR_PROTOCOL);
    buf_free(&datagram);
}

static void
test_an_overlong_text_is_neither_sent_nor_taken(void **state)
{
    static char long_name[300];
    struct ipc_authenticate sent = {.resource = {long_name, sizeof(long_name)}};
    struct buf datagram = buf_make(IPC_BYTES_MAX);
    union ipc_message got;
    enum ipc_type type;

    (void)state;
    assert_int_equal(ipc_encode(IPC_TYPE_AUTHENTICATE, &sent, &datagram), ERR_LIMIT);
    buf_reset(&datagram);
    buf_put_u16(&datagram, IPC_VERSION);
    buf_put_u16(&datagram, IPC_TYPE_AUTHENTICATE);
    buf_put_u32(&datagram, sizeof(long_name));
    buf_put(&datagram, long_name, sizeof(long_name));
    for (int i = 0; i < 3; i++)
        buf_put_u32(&datagram, 0);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), ERR_PROTOCOL);
    buf_free(&datagram);
}

static void
test_another_version_or_type_is_refused(void **state)
{
    struct buf datagram = buf_make(64);
    union ipc_message got;
    enum ipc_type type;

    (void)state;
    buf_put_u16(&datagram, IPC_VERSION + 1);
    buf_put_u16(&datagram, IPC_TYPE_START);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), ERR_PROTOCOL);
    buf_reset(&datagram);
    buf_put_u16(&datagram, IPC_VERSION);
    buf_put_u16(&datagram, IPC_TYPE_COUNT);
    assert_int_equal(ipc_decode(buf_str(&datagram), &type, &got), ERR_PROTOCOL);
    buf_free(&datagram);
}

static void
test_a_list_gives_its_items_and_ends(void **state)
{
    struct str list = STR("a\0\0ccc\0"), item;

    (void)state;
    assert_true(ipc_list_next(&list, &item) && str_is(item, "a"));
    assert_true(ipc_list_next(&list, &item) && item.len == 0);
    assert_true(ipc_list_next(&list, &item) && str_is(item, "ccc"));
    assert_false(ipc_list_next(&list, &item));
}

static void
test_descriptors_arrive_and_untaken_ones_are_closed(void **state)
{
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    struct ipc_spool message = {};
    int ends[2], pipe_ends[2], fds[2], received;

    (void)state;
    assert_int_equal(ipc_pair(ends), OK);
    assert_int_equal(pipe(pipe_ends), 0);
    fds[0] = fds[1] = pipe_ends[1];
    assert_int_equal(ipc_send(ends[0], IPC_TYPE_SPOOL, &message, fds, 2), OK);
    assert_int_equal(ipc_receive(ends[1], packet), OK);
    received = ipc_take_fd(packet, 0);
    assert_true(received >= 0);
    assert_int_equal(ipc_take_fd(packet, 0), -1);
    close(pipe_ends[1]);
    ipc_packet_clear(packet);
    close(received);
    assert_int_equal(read(pipe_ends[0], &received, 1), 0); /* no writer is left */
    close(pipe_ends[0]);
    close(ends[0]);
    assert_int_equal(ipc_receive(ends[1], packet), ERR_CLOSED);
    close(ends[1]);
    free(packet);
}

static void
test_nothing_to_receive_is_a_timeout_and_garbage_a_protocol_error(void **state)
{
    struct ipc_packet *packet = calloc(1, sizeof(*packet));
    int ends[2];

    (void)state;
    assert_int_equal(ipc_pair(ends), OK);
    assert_int_equal(ipc_receive(ends[1], packet), ERR_TIMEOUT);
    assert_int_equal(send(ends[0], "rubbish", 7, 0), 7);
    assert_int_equal(ipc_receive(ends[1], packet), ERR_PROTOCOL);
    close(ends[0]);
    close(ends[1]);
    free(packet);
}

static void
test_shared_bytes_can_be_read_more_than_once_and_not_written(void **state)
{
    struct buf first = buf_make(1024), second = buf_make(1024), small = buf_make(3);
    int fd;

    (void)state;
    assert_int_equal(ipc_share_bytes("test", STR("a policy"), &fd), OK);
    assert_int_equal(ipc_read_shared(fd, &first), OK);
    assert_int_equal(ipc_read_shared(fd, &second), OK);
    assert_true(str_is(buf_str(&first), "a policy"));
    assert_true(str_equal(buf_str(&first), buf_str(&second)));
    assert_int_equal(ipc_read_shared(fd, &small), ERR_LIMIT);
    assert_true(write(fd, "x", 1) < 0);
    assert_true(ftruncate(fd, 0) < 0);
    close(fd);
    buf_free(&first);
    buf_free(&second);
    buf_free(&small);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_comes_back_as_it_was),
        cmocka_unit_test(test_numbers_and_texts_may_be_mixed),
        cmocka_unit_test(test_a_cut_or_lengthened_message_is_refused),
        cmocka_unit_test(test_an_overlong_text_is_neither_sent_nor_taken),
        cmocka_unit_test(test_another_version_or_type_is_refused),
        cmocka_unit_test(test_a_list_gives_its_items_and_ends),
        cmocka_unit_test(test_descriptors_arrive_and_untaken_ones_are_closed),
        cmocka_unit_test(test_nothing_to_receive_is_a_timeout_and_garbage_a_protocol_error),
        cmocka_unit_test(test_shared_bytes_can_be_read_more_than_once_and_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
