/* sql/catalog_block.h - inside this room only: how a catalog snapshot lies in memory. A header, the
 * parts one after the other, each padded to eight bytes, then the texts. Host byte order: it never
 * leaves the machine. */
#ifndef SQL_CATALOG_BLOCK_H
#define SQL_CATALOG_BLOCK_H

#include "sql/catalog.h"

enum catalog_part {
    CATALOG_NAMESPACES,
    CATALOG_RELATIONS,
    CATALOG_ATTRIBUTES,
    CATALOG_INHERITANCE,
    CATALOG_TYPES,
    CATALOG_FUNCTIONS,
    CATALOG_OPERATORS,
    CATALOG_CASTS,
    CATALOG_PARTS
};

#define CATALOG_MAGIC UINT32_C(0x42484354)
enum { CATALOG_VERSION = 1 };

struct catalog_header {
    uint32_t magic, version;
    uint64_t fingerprint;
    uint32_t database;
    uint32_t n_texts;
    uint32_t counts[CATALOG_PARTS];
};

extern const size_t catalog_part_sizes[CATALOG_PARTS];

#endif
