#include "recording/types.h"

#include <stddef.h>

static const struct {
    uint64_t oid;
    const char *name;
} types[] = {
    {16, "boolean"},
    {17, "bytea"},
    {18, "\"char\""},
    {19, "name"},
    {20, "bigint"},
    {21, "smallint"},
    {23, "integer"},
    {25, "text"},
    {26, "oid"},
    {114, "json"},
    {142, "xml"},
    {700, "real"},
    {701, "double precision"},
    {869, "inet"},
    {1007, "integer[]"},
    {1009, "text[]"},
    {1015, "varchar[]"},
    {1016, "bigint[]"},
    {1042, "bpchar"},
    {1043, "varchar"},
    {1082, "date"},
    {1083, "time"},
    {1114, "timestamp"},
    {1184, "timestamptz"},
    {1186, "interval"},
    {1700, "numeric"},
    {2950, "uuid"},
    {3802, "jsonb"},
};

const char *
recording_type_name(uint64_t oid)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].oid == oid)
            return types[i].name;
    return NULL;
}
