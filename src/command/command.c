#include "command/command.h"

const char *
object_kind_name(enum object_kind kind)
{
    static const char *const names[OBJECT_KIND_COUNT] = {
        [OBJECT_NONE] = "none",         [OBJECT_RELATION] = "relation",
        [OBJECT_FUNCTION] = "function", [OBJECT_DATABASE] = "database",
        [OBJECT_SCHEMA] = "schema",     [OBJECT_ROLE] = "role",
        [OBJECT_SETTING] = "setting",   [OBJECT_OTHER] = "other",
    };

    return kind < OBJECT_KIND_COUNT ? names[kind] : "none";
}
