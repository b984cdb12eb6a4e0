/* The parts of a request of the API, and its body, each from the same bytes. */
#include <jansson.h>
#include <stdlib.h>

#include "control/http.h"
#include "identity/strictjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Borrowed from `whole`, or nothing. */
static void
check_within(struct str part, struct str whole)
{
    if (part.len > whole.len ||
        (part.len > 0 && (part.ptr < whole.ptr || part.ptr + part.len > whole.ptr + whole.len)))
        abort();
}

static void
take_target(struct str input)
{
    struct str path, query, segment, rest;

    if (http_target(input, &path, &query) != OK)
        return;
    check_within(path, input);
    check_within(query, input);
    if (path.len == 0 || path.ptr[0] != '/' || path.len > HTTP_TARGET_BYTES_MAX)
        abort();
    for (rest = str_skip(path, 1); rest.len > 0;) {
        rest = str_cut(rest, '/', &segment);
        if (segment.len == 0 || str_is(segment, ".") || str_is(segment, "..") ||
            str_index(segment, '%') < segment.len || str_index(segment, '\\') < segment.len)
            abort();
    }
}

static void
take_query(struct str input, struct arena *arena)
{
    struct http_query q;

    if (http_query_read(input, arena, &q) != OK)
        return;
    if (q.n > HTTP_QUERY_FIELDS_MAX)
        abort();
    for (size_t i = 0; i < q.n; i++) {
        if (!str_is_utf8(q.fields[i].name) || !str_is_utf8(q.fields[i].value) ||
            str_index(q.fields[i].value, '\0') < q.fields[i].value.len)
            abort();
        for (size_t k = 0; k < i; k++)
            if (str_equal(q.fields[i].name, q.fields[k].name))
                abort();
    }
}

/* What is encoded is read back. */
static void
take_encoding(struct str input, struct arena *arena)
{
    struct buf text = buf_make(1 << 20);
    struct http_query q;

    buf_put_text(&text, "v=");
    http_put_encoded(&text, input);
    if (buf_ok(&text) == OK && str_is_utf8(input) && str_index(input, '\0') == input.len &&
        (http_query_read(buf_str(&text), arena, &q) != OK ||
         !str_equal(http_query_get(&q, "v"), input)))
        abort();
    buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size}, part;
    struct arena *arena = arena_new(32 << 20);
    json_t *object;
    int64_t us;

    if (arena == NULL)
        abort();
    take_target(input);
    take_query(input, arena);
    take_encoding(input, arena);
    part = http_cookie(input, "__Host-bulkhead");
    check_within(part, input);
    part = http_bearer(input);
    check_within(part, input);
    if (str_index(part, ' ') < part.len || str_index(part, '\n') < part.len)
        abort();
    (void)http_is_type(input, "application/json");
    err_ignore(http_time(input, &us));
    if (strictjson_object(input, "the body", arena, &object) == OK && !json_is_object(object))
        abort();
    arena_free(arena);
    return 0;
}
