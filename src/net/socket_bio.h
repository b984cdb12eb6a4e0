/* net/socket_bio.h - OpenSSL's view of a non-blocking socket that raises no SIGPIPE. */
#ifndef NET_SOCKET_BIO_H
#define NET_SOCKET_BIO_H

#include <openssl/bio.h>

/* A BIO over `fd`, which it borrows; NULL without memory. */
BIO *socket_bio_new(int fd);

#endif
