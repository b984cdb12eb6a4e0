/* recording/types.h - names of PostgreSQL's own types, whose numbers never change. */
#ifndef RECORDING_TYPES_H
#define RECORDING_TYPES_H

#include <stdint.h>

/* As SQL writes it; NULL: not one of the usual ones. */
const char *recording_type_name(uint64_t oid);

#endif
