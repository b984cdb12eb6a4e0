/* net/stream.h - a byte stream (TCP or Unix socket, plain or TLS) used from fibers.
 * One fiber may read a stream while one other writes it. Reading is through a buffer that the
 * stream owns, so that a parser looks at bytes in place and passes them on without a copy. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "base/str.h"

struct stream;

enum { STREAM_BUFFER_BYTES = 32 << 10 }; /* one read at most; grows for stream_need() */

/* Adopts the connected socket `fd`, whose O_NONBLOCK does not matter and stays as it is: it is
 * shared with other processes, and a sandbox may forbid to set it. On failure `fd` is closed too.
 * `*out` is the caller's, to be ended with stream_close(). ERR_NOMEM, ERR_IO. */
enum err stream_open(int fd, struct stream **out);

/* Closes the socket, with a TLS close_notify if that does not wait. NULL is allowed. */
void stream_close(struct stream *s);

/* Ends the writing direction: later writes fail, the peer reads end of stream. */
void stream_shutdown(struct stream *s);

/* [waits] The first byte that the peer sent, left in the socket: tells a TLS handshake from clear
 * text while nothing is buffered, which the handshake would refuse. Before any read. ERR_CLOSED,
 * ERR_TIMEOUT, ERR_CANCELED, ERR_IO. */
enum err stream_sniff(struct stream *s, int64_t deadline_ms, unsigned char *first);

/* [waits] TLS handshake with `ssl`, whose ownership passes to the stream even on failure.
 * Bytes buffered before are refused with ERR_PROTOCOL, so that nothing sent in clear is taken
 * for protected (CVE-2021-23214). ERR_TLS, ERR_TIMEOUT, ERR_CANCELED, ERR_CLOSED, ERR_IO. */
enum err stream_accept_tls(struct stream *s, SSL *ssl, int64_t deadline_ms);
enum err stream_connect_tls(struct stream *s, SSL *ssl, int64_t deadline_ms);

/* The TLS connection, NULL in clear. Borrowed. */
SSL *stream_tls(const struct stream *s);

/* [waits] Bytes, without consuming them, so that at least one is buffered: a read only if the
 * buffer is empty. `*bytes` is all that is buffered, valid until the next read call. ERR_CLOSED
 * (clean end), ERR_TRUNCATED (TLS ended without close_notify is clean here: protocols frame),
 * ERR_TIMEOUT, ERR_CANCELED, ERR_IO, ERR_TLS. */
enum err stream_peek(struct stream *s, int64_t deadline_ms, struct str *bytes);

/* [waits] As stream_peek() but at least `n` bytes (grows the buffer up to n). ERR_CLOSED at the
 * end before the first byte, ERR_TRUNCATED after it, ERR_NOMEM. The caller has checked `n`
 * against its own limit. */
enum err stream_need(struct stream *s, size_t n, int64_t deadline_ms, struct str *bytes);

/* What is buffered already; never waits. */
struct str stream_buffered(const struct stream *s);

/* Removes the first `n` bytes of the buffer. */
void stream_consume(struct stream *s, size_t n);

/* Frees the read buffer when it is empty: for sessions that go idle. */
void stream_trim(struct stream *s);

/* [waits] Writes all of `bytes`, or fails. ERR_CLOSED (the peer is gone), ERR_TIMEOUT, … */
enum err stream_write(struct stream *s, struct str bytes, int64_t deadline_ms);

/* Bytes consumed, and bytes given to stream_write(), since the start; TLS's own not counted. */
uint64_t stream_received(const struct stream *s);
uint64_t stream_sent(const struct stream *s);

/* The socket; borrowed. */
int stream_fd(const struct stream *s);

#endif
