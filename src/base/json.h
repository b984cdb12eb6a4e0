/* base/json.h - writing JSON into a buffer. (Reading is jansson's work.)
 * Commas are put by the writer; strings that are not UTF-8 keep their valid part and show each
 * other byte as U+FFFD. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

struct json {
    struct buf *out;
    bool comma; /* the next value or key needs one before it */
};

static inline struct json
json_to(struct buf *out)
{
    return (struct json){.out = out};
}

void json_open(struct json *j, char bracket);  /* '{' or '[' */
void json_close(struct json *j, char bracket); /* '}' or ']' */
/* `key` is a word of ours, written as it is. */
void json_key(struct json *j, const char *key);
void json_str(struct json *j, struct str value);
void json_uint(struct json *j, uint64_t value);
void json_int(struct json *j, int64_t value);
void json_bool(struct json *j, bool value);
void json_put_null(struct json *j); /* jansson has a json_null() */
/* `text` is JSON already. */
void json_raw(struct json *j, struct str text);

/* Key and value in one. */
void json_field_str(struct json *j, const char *key, struct str value);
void json_field_text(struct json *j, const char *key, const char *value);
void json_field_uint(struct json *j, const char *key, uint64_t value);
void json_field_bool(struct json *j, const char *key, bool value);

#endif
