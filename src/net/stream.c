#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fiber/fiber.h"
#include "net/socket_bio.h"
#include "net/tls.h"

/* Reads that found data without a wait before the next one waits all the same, so that a fast
 * peer on one fiber cannot keep the others from running. */
enum { UNWAITED_READS_MAX = 16 };

enum { TLS_BUFFER_BYTES = 2 * (SSL3_RT_MAX_PLAIN_LENGTH + 256 + SSL3_RT_HEADER_LENGTH) };

struct stream {
    int fd;
    SSL *ssl;          /* NULL in clear */
    bool secure;       /* the handshake is done and nothing fatal happened since */
    bool write_closed; /* stream_shutdown() was called */
    bool at_end;       /* the peer will send no more */

    bool drained; /* the last read took all there was: wait before the next */
    int unwaited; /* reads since the last wait */

    char *buffer; /* holds [start, end) of capacity */
    size_t start, end, capacity;

    uint64_t received, sent; /* bytes consumed and written, without TLS's own */
};

/* Opening and ending. */

enum err
stream_open(int fd, struct stream **out)
{
    struct stream *s = calloc(1, sizeof(*s));
    int on = 1;
    enum err e;

    *out = NULL;
    if (s == NULL)
        e = fail(ERR_NOMEM, "no memory for a stream");
    else if (fcntl(fd, F_GETFD) < 0)
        e = fail_errno(ERR_IO, "descriptor %d", fd);
    else
        e = OK;
    if (e != OK) {
        free(s);
        if (fd >= 0)
            close(fd);
        return e;
    }
    /* Only TCP knows it; others say so, which is no failure. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    s->fd = fd;
    s->drained = true;
    *out = s;
    return OK;
}

static void
send_close_notify(struct stream *s)
{
    if (s->ssl == NULL || !s->secure || s->write_closed)
        return;
    ERR_clear_error();
    (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}

void
stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    send_close_notify(s);
    SSL_free(s->ssl);
    close(s->fd);
    free(s->buffer);
    free(s);
}

void
stream_shutdown(struct stream *s)
{
    send_close_notify(s);
    s->write_closed = true;
    (void)shutdown(s->fd, SHUT_WR);
}

SSL *
stream_tls(const struct stream *s)
{
    return s->ssl;
}

int
stream_fd(const struct stream *s)
{
    return s->fd;
}

/* TLS. Each SSL_… call below completes or asks for a wait; the fiber waits outside of OpenSSL, so
 * that the other direction's fiber may use the same SSL meanwhile. */

static enum err
tls_failure(struct stream *s, const char *what)
{
    s->secure = false;
    return tls_explain_failure(s->ssl, what);
}

/* [waits] After an SSL_… call returned `result`, no success: waits for what it needs, or says why
 * it never will succeed. OK: call again. */
static enum err
tls_wait(struct stream *s, int result, const char *what, int64_t deadline_ms)
{
    int error = errno;

    switch (SSL_get_error(s->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return fiber_wait_readable(s->fd, deadline_ms);
    case SSL_ERROR_WANT_WRITE:
        return fiber_wait_writable(s->fd, deadline_ms);
    case SSL_ERROR_ZERO_RETURN:
        return fail(ERR_CLOSED, "the peer ended the TLS connection");
    case SSL_ERROR_SYSCALL:
        s->secure = false;
        errno = error;
        if (error == 0 || error == EPIPE || error == ECONNRESET)
            return fail(ERR_CLOSED, "the peer closed the connection during TLS %s", what);
        return fail_errno(ERR_IO, "TLS %s", what);
    default:
        return tls_failure(s, what);
    }
}

static enum err
handshake(struct stream *s, SSL *ssl, int (*step)(SSL *ssl), int64_t deadline_ms)
{
    BIO *bio = NULL;
    int result;

    if (s->ssl != NULL || s->start < s->end || (bio = socket_bio_new(s->fd)) == NULL) {
        SSL_free(ssl);
        if (s->ssl != NULL)
            return fail(ERR_PROTOCOL, "TLS inside of TLS");
        if (s->start < s->end)
            return fail(ERR_PROTOCOL, "the peer sent clear text ahead of the TLS handshake");
        return fail(ERR_NOMEM, "no memory for TLS");
    }
    s->ssl = ssl;
    SSL_set_bio(ssl, bio, bio);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
    /* Protocols frame their messages: a missing close_notify cuts none unnoticed. */
    SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_set_read_ahead(ssl, 1); /* header and body of a record in one system call */
    SSL_set_default_read_buffer_len(ssl, TLS_BUFFER_BYTES);
    for (;;) {
        enum err e;

        ERR_clear_error();
        errno = 0;
        if ((result = step(ssl)) == 1)
            break;
        if ((e = tls_wait(s, result, "handshake", deadline_ms)) != OK)
            return e;
    }
    s->secure = true;
    return OK;
}

enum err
stream_accept_tls(struct stream *s, SSL *ssl, int64_t deadline_ms)
{
    return handshake(s, ssl, SSL_accept, deadline_ms);
}

enum err
stream_connect_tls(struct stream *s, SSL *ssl, int64_t deadline_ms)
{
    return handshake(s, ssl, SSL_connect, deadline_ms);
}

/* Reading. */

static enum err
ended(const struct stream *s)
{
    if (s->start < s->end)
        return fail(ERR_TRUNCATED, "the peer closed the connection in the middle of a message");
    return fail(ERR_CLOSED, "the peer closed the connection");
}

/* The whole buffer with at least `n` bytes of it and its content at the start. */
static enum err
make_room(struct stream *s, size_t n)
{
    size_t held = s->end - s->start;
    size_t capacity = n > STREAM_BUFFER_BYTES ? n : STREAM_BUFFER_BYTES;
    char *buffer;

    if (s->start > 0 && held > 0)
        memmove(s->buffer, s->buffer + s->start, held);
    s->start = 0;
    s->end = held;
    /* A buffer that one large message needed shrinks again as soon as it is empty. */
    if (capacity <= s->capacity && (held > 0 || s->capacity <= capacity))
        return OK;
    if ((buffer = realloc(s->buffer, capacity)) == NULL)
        return fail(ERR_NOMEM, "no memory to read %zu bytes", n);
    s->buffer = buffer;
    s->capacity = capacity;
    return OK;
}

/* [waits] One read from the socket to the end of the buffer, which is to hold `want` bytes; may
 * also find the end of stream. Whoever waits may find the buffer trimmed by another fiber. */
static enum err
read_clear(struct stream *s, size_t want, int64_t deadline_ms)
{
    for (;;) {
        size_t room;
        ssize_t n;
        enum err e;

        if (s->drained || s->unwaited >= UNWAITED_READS_MAX) {
            s->unwaited = 0;
            if ((e = fiber_wait_readable(s->fd, deadline_ms)) != OK)
                return e;
            if ((e = make_room(s, want)) != OK)
                return e;
        }
        room = s->capacity - s->end;
        n = recv(s->fd, s->buffer + s->end, room, MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail_errno(ERR_IO, "reading from the peer");
        s->drained = n < (ssize_t)room;
        if (n < 0)
            continue;
        s->unwaited++;
        s->end += (size_t)n;
        s->at_end = n == 0;
        return OK;
    }
}

/* [waits] The same through TLS. What OpenSSL holds already comes before any wait: the socket may
 * never become readable for it. */
static enum err
read_tls(struct stream *s, size_t want, int64_t deadline_ms)
{
    if (!SSL_has_pending(s->ssl) || s->unwaited >= UNWAITED_READS_MAX) {
        enum err e = OK;

        s->unwaited = 0;
        if (!SSL_has_pending(s->ssl))
            e = fiber_wait_readable(s->fd, deadline_ms);
        else
            fiber_yield();
        if (e != OK)
            return e;
    }
    for (;;) {
        size_t n;
        int result;
        enum err e;

        if ((e = make_room(s, want)) != OK)
            return e;
        ERR_clear_error();
        errno = 0;
        result = SSL_read_ex(s->ssl, s->buffer + s->end, s->capacity - s->end, &n);
        if (result == 1) {
            s->unwaited++;
            s->end += n;
            return OK;
        }
        e = tls_wait(s, result, "read", deadline_ms);
        if (e == ERR_CLOSED && s->secure) {
            s->at_end = true;
            return OK;
        }
        if (e != OK)
            return e == ERR_CLOSED ? fail(ERR_IO, "the peer reset the TLS connection") : e;
    }
}

/* [waits] Until the buffer holds at least `n` bytes. */
static enum err
fill(struct stream *s, size_t n, int64_t deadline_ms)
{
    enum err e;

    if (s->end - s->start >= n)
        return OK;
    if ((e = make_room(s, n)) != OK)
        return e;
    while (s->end < n) {
        if (s->at_end)
            return ended(s);
        e = s->ssl != NULL ? read_tls(s, n, deadline_ms) : read_clear(s, n, deadline_ms);
        if (e != OK)
            return e;
    }
    return OK;
}

struct str
stream_buffered(const struct stream *s)
{
    if (s->start == s->end)
        return STR("");
    return (struct str){s->buffer + s->start, s->end - s->start};
}

enum err
stream_need(struct stream *s, size_t n, int64_t deadline_ms, struct str *bytes)
{
    enum err e = fill(s, n, deadline_ms);

    *bytes = e == OK ? stream_buffered(s) : STR("");
    return e;
}

enum err
stream_peek(struct stream *s, int64_t deadline_ms, struct str *bytes)
{
    return stream_need(s, 1, deadline_ms, bytes);
}

enum err
stream_sniff(struct stream *s, int64_t deadline_ms, unsigned char *first)
{
    for (;;) {
        ssize_t n;
        enum err e;

        if ((e = fiber_wait_readable(s->fd, deadline_ms)) != OK)
            return e;
        n = recv(s->fd, first, 1, MSG_PEEK | MSG_DONTWAIT);
        if (n == 1)
            return OK;
        if (n == 0)
            return fail(ERR_CLOSED, "the peer closed the connection");
        if (errno != EAGAIN && errno != EINTR)
            return fail_errno(ERR_IO, "reading from the peer");
    }
}

void
stream_consume(struct stream *s, size_t n)
{
    size_t held = s->end - s->start;

    if (n > held)
        n = held;
    s->start += n;
    s->received += n;
}

void
stream_trim(struct stream *s)
{
    if (s->start < s->end)
        return;
    free(s->buffer);
    s->buffer = NULL;
    s->start = s->end = s->capacity = 0;
}

/* Writing. */

static enum err
write_clear(struct stream *s, struct str bytes, int64_t deadline_ms)
{
    while (bytes.len > 0) {
        ssize_t n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        enum err e;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return fail(ERR_CLOSED, "the peer closed the connection");
        if (n < 0 && errno != EAGAIN)
            return fail_errno(ERR_IO, "writing to the peer");
        if (n > 0)
            bytes = str_skip(bytes, (size_t)n);
        if (bytes.len == 0)
            break;
        /* A part was taken or nothing: the socket is full. */
        if ((e = fiber_wait_writable(s->fd, deadline_ms)) != OK)
            return e;
    }
    return OK;
}

static enum err
write_tls(struct stream *s, struct str bytes, int64_t deadline_ms)
{
    while (bytes.len > 0) {
        size_t n;
        int result;
        enum err e;

        ERR_clear_error();
        errno = 0;
        result = SSL_write_ex(s->ssl, bytes.ptr, bytes.len, &n);
        if (result == 1)
            bytes = str_skip(bytes, n);
        else if ((e = tls_wait(s, result, "write", deadline_ms)) != OK)
            return e;
    }
    return OK;
}

enum err
stream_write(struct stream *s, struct str bytes, int64_t deadline_ms)
{
    if (s->write_closed)
        return fail(ERR_CLOSED, "writing after the end of the stream");
    s->sent += bytes.len;
    if (s->ssl != NULL)
        return write_tls(s, bytes, deadline_ms);
    return write_clear(s, bytes, deadline_ms);
}

uint64_t
stream_received(const struct stream *s)
{
    return s->received;
}

uint64_t
stream_sent(const struct stream *s)
{
    return s->sent;
}
