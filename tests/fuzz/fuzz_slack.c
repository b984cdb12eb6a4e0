/* What Slack sends: a form with a JSON payload, from whoever has the address. */
#include <stdlib.h>

#include "control/slack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = {(const char *)data, size};
    struct arena *arena = arena_new(32 << 20);
    struct slack_press press;

    if (arena == NULL)
        abort();
    if (slack_read(body, arena, &press) == OK) {
        if (press.verb != SLACK_LINK && press.request.len != 16)
            abort();
        if (press.user.len > 64 || press.response_url.len > 2048)
            abort();
        (void)slack_may_answer(press.response_url, STR("http://127.0.0.1:80"));
    }
    if (slack_verify(STR("secret"), body, body, body, 0) == OK)
        abort(); /* no text is its own signature */
    arena_free(arena);
    return 0;
}
