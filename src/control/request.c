/* What handlers ask of a request (route.h). */
#include <stdarg.h>
#include <stdio.h>

#include "control/control.h"
#include "control/route.h"
#include "identity/strictjson.h"

enum { DETAIL_BYTES_MAX = 4000 };

enum err
request_string(const struct api_request *q, const char *key, size_t max, bool required,
               struct str *out)
{
    const json_t *value = json_object_get(q->json, key);

    *out = STR("");
    if (value == NULL || json_is_null(value))
        return required ? fail(ERR_INVALID, "\"%s\" is needed", key) : OK;
    if (!json_is_string(value))
        return fail(ERR_INVALID, "\"%s\" must be a string", key);
    *out = strictjson_str(value);
    if (out->len > max)
        return fail(ERR_INVALID, "\"%s\" is longer than %zu bytes", key, max);
    if (required && str_trim(*out).len == 0)
        return fail(ERR_INVALID, "\"%s\" is empty", key);
    return OK;
}

enum err
request_uint(const struct api_request *q, const char *key, uint64_t max, uint64_t *out)
{
    const json_t *value = json_object_get(q->json, key);

    if (value == NULL)
        return fail(ERR_INVALID, "\"%s\" is needed", key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max)
        return fail(ERR_INVALID, "\"%s\" must be a whole number from 0 to %llu", key,
                    (unsigned long long)max);
    *out = (uint64_t)json_integer_value(value);
    return OK;
}

enum err
request_strings(const struct api_request *q, const char *key, size_t max, struct str_list *out)
{
    const json_t *value = json_object_get(q->json, key);
    struct str *items;
    size_t n;

    *out = (struct str_list){NULL, 0};
    if (value == NULL || json_is_null(value))
        return OK;
    if (!json_is_array(value) || (n = json_array_size(value)) > max)
        return fail(ERR_INVALID, "\"%s\" must be a list of at most %zu strings", key, max);
    if ((items = arena_array(q->arena, n + 1, sizeof(*items))) == NULL)
        return fail(ERR_NOMEM, "no memory for \"%s\"", key);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(value, i)))
            return fail(ERR_INVALID, "\"%s\" must hold strings only", key);
        items[i] = strictjson_str(json_array_get(value, i));
    }
    *out = (struct str_list){items, n};
    return OK;
}

enum err
request_query(const struct api_request *q, const char *key, size_t max, struct str *out)
{
    struct str value = http_query_get(&q->query, key);

    if (value.ptr == NULL)
        return OK;
    if (value.len > max)
        return fail(ERR_INVALID, "%s is longer than %zu bytes", key, max);
    *out = value;
    return OK;
}

enum err
request_query_uint(const struct api_request *q, const char *key, uint64_t max, uint64_t *out)
{
    struct str value = http_query_get(&q->query, key);

    if (value.ptr == NULL)
        return OK;
    if (!str_to_uint(value, max, out))
        return fail(ERR_INVALID, "%s must be a whole number from 0 to %llu", key,
                    (unsigned long long)max);
    return OK;
}

enum err
request_query_time(const struct api_request *q, const char *key, int64_t *wall_us)
{
    struct str value = http_query_get(&q->query, key);

    return value.ptr == NULL ? OK : http_time(value, wall_us);
}

enum err
request_session(const struct api_request *q, size_t i, uint64_t *session)
{
    if (control_session_parse(q->parameters[i], session))
        return OK;
    return fail(ERR_NOT_FOUND, "\"%.*s\" is no session: 16 hexadecimal digits",
                STR_ARG(q->parameters[i]));
}

enum err
request_audit(const struct api_request *q, const char *action, const char *format, ...)
{
    char detail[DETAIL_BYTES_MAX];
    int n;
    va_list arguments;

    n = snprintf(detail, sizeof(detail), "from %.*s by %s: ", STR_ARG(q->address),
                 q->person == NULL ? "nobody" : q->person->channel);
    va_start(arguments, format);
    (void)vsnprintf(detail + n, sizeof(detail) - (size_t)n, format, arguments);
    va_end(arguments);
    return control_record_admin(q->control, q->person == NULL ? STR("") : q->person->subject,
                                str_from(action), str_from(detail));
}
