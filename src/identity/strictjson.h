/* identity/strictjson.h - JSON of other people, read strictly: one value of well-formed UTF-8
 * without a byte order mark, no member twice, no NUL in a string, little nesting. */
#ifndef IDENTITY_STRICTJSON_H
#define IDENTITY_STRICTJSON_H

#include <jansson.h>

#include "base/arena.h"

enum { STRICTJSON_DEPTH_MAX = 9 }; /* a payload with eight actors */

/* Parses an object; anything else at the top is ERR_INVALID, as is whatever breaks the rules
 * above. `what` names the thing in error texts. The value lives as long as `arena`. */
enum err strictjson_object(struct str text, const char *what, struct arena *arena, json_t **out);

/* The string member `key` of `object`; `.ptr` NULL if it is absent or no string. */
struct str strictjson_string(const json_t *object, const char *key);

/* The string in `value`, which is one. */
struct str strictjson_str(const json_t *value);

#endif
