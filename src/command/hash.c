#include "command/hash.h"

#include <endian.h>
#include <openssl/evp.h>

static const char prefix[] = "bulkhead command 1"; /* its NUL included */

static bool
put(EVP_MD_CTX *c, const void *bytes, size_t n)
{
    return n == 0 || EVP_DigestUpdate(c, bytes, n) == 1;
}

static bool
put_u32(EVP_MD_CTX *c, uint32_t value)
{
    value = htobe32(value);
    return put(c, &value, sizeof(value));
}

static bool
put_str(EVP_MD_CTX *c, struct str s)
{
    return put_u32(c, (uint32_t)s.len) && put(c, s.ptr, s.len);
}

static bool
put_bind(EVP_MD_CTX *c, const struct bind_value *bind)
{
    const unsigned char flags[2] = {bind->is_null, bind->binary};

    return put(c, flags, sizeof(flags)) && put_u32(c, bind->type) &&
           put_str(c, bind->is_null ? STR("") : bind->bytes);
}

/* Whether all of it is there, and its lengths can be written. */
static bool
is_whole(const struct command *command)
{
    if (command->database.len > UINT32_MAX || command->text.len > UINT32_MAX ||
        command->context.len > UINT32_MAX || command->n_binds > UINT32_MAX)
        return false;
    for (size_t i = 0; i < command->n_binds; i++) {
        const struct bind_value *bind = &command->binds[i];

        if (!bind->is_null && (bind->bytes.len > UINT32_MAX || bind->full_length != 0))
            return false;
    }
    return true;
}

enum err
command_hash(const struct command *command, unsigned char out[static COMMAND_HASH_BYTES])
{
    EVP_MD_CTX *c;
    unsigned len = 0;
    bool ok;

    if (!is_whole(command))
        return fail(ERR_LIMIT, "the values of this command's parameters are too large to be shown "
                               "to anybody for approval");
    if ((c = EVP_MD_CTX_new()) == NULL)
        return fail(ERR_NOMEM, "no memory for a digest");
    ok = EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 && put(c, prefix, sizeof(prefix)) &&
         put_str(c, command->database) && put_str(c, command->text) &&
         put_str(c, command->context) && put_u32(c, (uint32_t)command->n_binds);
    for (size_t i = 0; ok && i < command->n_binds; i++)
        ok = put_bind(c, &command->binds[i]);
    ok = ok && EVP_DigestFinal_ex(c, out, &len) == 1 && len == COMMAND_HASH_BYTES;
    EVP_MD_CTX_free(c);
    return ok ? OK : fail(ERR_NOMEM, "cannot hash a command");
}
