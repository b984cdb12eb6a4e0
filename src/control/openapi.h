/* control/openapi.h - the document of the API (openapi.json), compiled into the program. */
#ifndef CONTROL_OPENAPI_H
#define CONTROL_OPENAPI_H

#include <stddef.h>

extern const char openapi_json[];
extern const size_t openapi_json_len;

#endif
