/* keeper/proof.h - answers to targets' password challenges. Pure but for the random source. */
#ifndef KEEPER_PROOF_H
#define KEEPER_PROOF_H

#include "base/err.h"
#include "base/str.h"

enum { PROOF_ITERATIONS_MIN = 4096, PROOF_ITERATIONS_MAX = 1 << 17, PROOF_BYTES = 32 };

/* SCRAM-SHA-256 (RFC 5802 §3, RFC 7677): ClientProof and ServerSignature. The server-first message
 * must extend the client's nonce. Fewer iterations than RFC 7677 §4 asks for are refused: a false
 * server could try passwords too fast. Passwords that are valid UTF-8 are used as they are:
 * SASLprep maps only what no server of ours stores differently. ERR_PROTOCOL, ERR_LIMIT
 * (iterations). */
enum err proof_scram_sha_256(struct str password, struct str client_first_bare,
                             struct str server_first, struct str client_final_bare,
                             unsigned char proof[static PROOF_BYTES],
                             unsigned char server_signature[static PROOF_BYTES]);

/* PostgreSQL's: "md5" and the hexadecimal MD5 of (MD5 of password and user) and salt. */
enum err proof_postgres_md5(struct str password, struct str user, struct str salt,
                            char answer[static 36]);

#endif
