/* net/socket_bio.h - OpenSSL's view of a socket that never blocks and raises no SIGPIPE. */
#ifndef NET_SOCKET_BIO_H
#define NET_SOCKET_BIO_H

#include <openssl/bio.h>

/* A BIO over `fd`, which it borrows; NULL without memory. */
BIO *socket_bio_new(int fd);

#endif
