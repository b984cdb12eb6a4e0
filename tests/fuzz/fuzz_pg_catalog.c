/* What a server may answer to the queries for its catalog: a byte for the query, its answer, and
 * again; what comes of it must be a block or nothing. */
#include "protocol/postgres/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err
feed_all(struct pgcatalog_feed *f, struct str rest)
{
    while (rest.len > 0) {
        size_t used, needed;
        bool ready;
        enum err e;

        pgcatalog_feed_begin(f, (unsigned char)rest.ptr[0] % (CATALOG_QUERIES + 1) - 1);
        rest = str_skip(rest, 1);
        if ((e = pgcatalog_feed_bytes(f, rest, &used, &needed, &ready)) != OK)
            return e;
        if (used > rest.len || (!ready && needed <= rest.len - used))
            __builtin_trap();
        rest = str_skip(rest, used);
        if (!ready)
            break;
    }
    return OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf block = buf_make(CATALOG_BYTES_MAX);
    struct pgcatalog_feed f;
    struct catalog catalog;

    if (pgcatalog_feed_make(&f) == OK &&
        feed_all(&f, (struct str){(const char *)data, size}) == OK &&
        pgcatalog_feed_end(&f, &block) == OK)
        err_ignore(catalog_open(buf_str(&block), &catalog)); /* rows may be out of order */
    pgcatalog_feed_free(&f);
    buf_free(&block);
    return 0;
}
