/* control/s3.h - objects of an S3-compatible store, by libcurl, which signs requests (AWS Signature
 * Version 4). For helper threads: everything here blocks. Certificates are verified, no redirect is
 * followed, and secrets are in none of its texts. */
#ifndef CONTROL_S3_H
#define CONTROL_S3_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

enum {
    S3_PART_BYTES = 16 << 20, /* files beyond this go in parts of this size; more if very large */
    S3_PARTS_MAX = 10000,     /* the protocol's */
    S3_KEY_BYTES_MAX = 1024,
    S3_CONNECT_TIMEOUT_MS = 10 * 1000,
    S3_STALLED_SECONDS = 60, /* no byte for that long: given up */
};

/* All NUL-terminated and borrowed for the call. */
struct s3 {
    const char *endpoint; /* "https://s3.example.com" */
    const char *bucket, *region, *prefix;
    const char *ca; /* file; empty: the system's */
    const char *access_key, *secret_key;
    const atomic_bool *stop; /* becomes true: give up soon; may be NULL */
};

/* Stores `size` bytes of the file `fd` under the prefix and `name`, and asks for it again: OK only
 * if the store says that it has an object of that size and with the entity tag that it gave for
 * these bytes. ERR_UNAVAILABLE (no connection, or the store refuses: err_text() says how); ERR_IO.
 */
enum err s3_put(const struct s3 *s, const char *name, int fd, uint64_t size);

/* Writes the object to `fd`, which is empty. ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_IO. */
enum err s3_get(const struct s3 *s, const char *name, int fd);

/* OK also if there was none. ERR_UNAVAILABLE. */
enum err s3_delete(const struct s3 *s, const char *name);

#endif
