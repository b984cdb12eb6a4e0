/* command/hash.h - what an approval is bound to of a command: exactly what would run. The session
 * that holds a command and the control process that has it approved compute it each for itself,
 * with this code. */
#ifndef COMMAND_HASH_H
#define COMMAND_HASH_H

#include "command/command.h"

enum { COMMAND_HASH_BYTES = 32 };

/* SHA-256 over: "bulkhead command 1" and a NUL; the database, the text, then the context, each
 * after its length (u32); the number of binds (u32), and for each a byte for "is NULL", one for "is
 * binary", its type (u32) and its bytes after their length (u32). Numbers in network byte order.
 * Every field has its length before it, so that no two commands have the same form. Demands are
 * left out: they are what we found out about the text.
 *
 * ERR_LIMIT: a bind is known only in part (a record cuts long ones), or something is longer than
 * 4 GiB: such a command cannot be bound, and so not be approved. */
enum err command_hash(const struct command *command, unsigned char out[static COMMAND_HASH_BYTES]);

#endif
