/* Lines of a ledger, as verify reads them: hostile if somebody changed the files. */
#include <stdlib.h>

#include "ledger/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char prev[LINE_HASH_BYTES];
    static struct line_hasher *hasher;
    struct str text = {(const char *)data, size};
    struct line line;

    if (hasher == NULL && (hasher = line_hasher_new()) == NULL)
        abort();
    if (line_read(text, &line) != OK)
        return 0;
    if (line.hashed.ptr != text.ptr || line.hashed.len >= text.len)
        abort();
    err_ignore(line_check(hasher, &line, line.seq, prev));
    err_ignore(verify_json(text, &line));
    return 0;
}
