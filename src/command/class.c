#include "command/class.h"

const struct class_info class_infos[COMMAND_CLASS_COUNT] = {
#define X(symbol, class_name, class_doc) [CLASS_##symbol] = {class_name, class_doc},
    COMMAND_EFFECTS(X) COMMAND_NAMED_CLASSES(X)
#undef X
};

enum err
class_find(struct str name, enum command_class *out)
{
    for (int i = 0; i < COMMAND_CLASS_COUNT; i++)
        if (str_is(name, class_infos[i].name)) {
            *out = (enum command_class)i;
            return OK;
        }
    return fail(ERR_NOT_FOUND, "no command class is called %.*s", STR_ARG(name));
}
