#include "control/recordings.h"

#include <stdlib.h>

struct recordings {
    struct recordings_options options;
};

enum err
recordings_open(const struct recordings_options *options, struct recordings **out)
{
    struct recordings *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return fail(ERR_NOMEM, "no memory for recordings");
    r->options = *options;
    *out = r;
    return OK;
}

void
recordings_close(struct recordings *r)
{
    free(r);
}

enum err
recordings_sweep(struct recordings *r, int64_t now_us)
{
    (void)r, (void)now_us;
    return OK;
}

enum err
recordings_find(struct recordings *r, uint64_t session, struct recordings_entry *out)
{
    (void)r, (void)session, (void)out;
    return fail(ERR_NOT_FOUND, "this session has no recording here");
}

bool
recordings_can_read(const struct recordings *r)
{
    (void)r;
    return false;
}

enum err
recordings_read(struct recordings *r, uint64_t session, struct recordings_page *page,
                struct buf *out)
{
    (void)r, (void)session, (void)page, (void)out;
    return fail(ERR_NOT_FOUND, "this session has no recording here");
}

enum err
recordings_export(struct recordings *r, uint64_t session, enum recording_format format,
                  struct buf *out)
{
    (void)r, (void)session, (void)format, (void)out;
    return fail(ERR_NOT_FOUND, "this session has no recording here");
}

enum err
recordings_hold(struct recordings *r, uint64_t session, bool on)
{
    (void)r, (void)session, (void)on;
    return fail(ERR_NOT_FOUND, "this session has no recording here");
}
