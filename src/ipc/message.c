#include "ipc/message.h"

#include "base/cursor.h"

/* What a field is: 0 for a number, else the most bytes of a text; END ends the list. The members
 * of a message struct lie one behind the other without gaps, so kinds give offsets. */
#define NUMBER UINT32_C(0)
#define END    UINT32_MAX

_Static_assert(sizeof(struct str) == 16 && _Alignof(struct str) == 8, "no gaps between members");

#define NUMBER_KIND(name)    NUMBER,
#define TEXT_KIND(name, max) (max),
#define X(symbol, suffix)                                                                          \
    static const uint32_t suffix##_kinds[] = {IPC_##symbol(NUMBER_KIND, TEXT_KIND) END};
IPC_MESSAGES(X)
#undef X

static const struct {
    const char *name;
    const uint32_t *kinds;
} layouts[IPC_TYPE_COUNT] = {[IPC_TYPE_NONE] = {"none", NULL},
#define X(symbol, suffix) [IPC_TYPE_##symbol] = {#suffix, suffix##_kinds},
                             IPC_MESSAGES(X)
#undef X
};

const char *
ipc_service_name(enum ipc_service service)
{
    static const char *const names[IPC_SERVICE_COUNT] = {
        [IPC_SERVICE_LISTENER] = "listener",
        [IPC_SERVICE_KEEPER] = "keeper",
        [IPC_SERVICE_LEDGER] = "ledger",
        [IPC_SERVICE_CONTROL] = "control",
    };

    return service < IPC_SERVICE_COUNT ? names[service] : "unknown";
}

const char *
ipc_type_name(enum ipc_type type)
{
    return type < IPC_TYPE_COUNT ? layouts[type].name : "unknown";
}

enum err
ipc_encode(enum ipc_type type, const void *message, struct buf *out)
{
    const char *member = message;
    size_t start = out->len;

    buf_put_u16(out, IPC_VERSION);
    buf_put_u16(out, (uint16_t)type);
    for (const uint32_t *kind = layouts[type].kinds; *kind != END; kind++) {
        if (*kind == NUMBER) {
            uint64_t number;

            memcpy(&number, member, sizeof(number));
            buf_put_u64(out, number);
            member += sizeof(number);
        } else {
            struct str text;

            memcpy(&text, member, sizeof(text));
            if (text.len > *kind)
                return fail(ERR_LIMIT, "a text of %s has %zu bytes, more than %u",
                            layouts[type].name, text.len, *kind);
            buf_put_u32(out, (uint32_t)text.len);
            buf_put_str(out, text);
            member += sizeof(text);
        }
    }
    if (out->len - start > IPC_BYTES_MAX)
        return fail(ERR_LIMIT, "message %s is too large", layouts[type].name);
    return buf_ok(out);
}

enum err
ipc_decode(struct str bytes, enum ipc_type *type, union ipc_message *out)
{
    struct cursor c = cursor_make(bytes);
    char *member = (char *)out;
    uint16_t version = cursor_u16(&c), number_of_type = cursor_u16(&c);

    if (version != IPC_VERSION || number_of_type == IPC_TYPE_NONE ||
        number_of_type >= IPC_TYPE_COUNT)
        return fail(ERR_PROTOCOL, "unknown message %u of version %u", number_of_type, version);
    *type = (enum ipc_type)number_of_type;
    for (const uint32_t *kind = layouts[*type].kinds; *kind != END; kind++) {
        if (*kind == NUMBER) {
            uint64_t number = cursor_u64(&c);

            memcpy(member, &number, sizeof(number));
            member += sizeof(number);
        } else {
            uint32_t len = cursor_u32(&c);
            struct str text = len <= *kind ? cursor_bytes(&c, len) : (struct str){"", 0};

            if (len > *kind)
                c.failed = true;
            memcpy(member, &text, sizeof(text));
            member += sizeof(text);
        }
    }
    if (!cursor_done(&c))
        return fail(ERR_PROTOCOL, "malformed message %s", layouts[*type].name);
    return OK;
}

bool
ipc_list_next(struct str *list, struct str *item)
{
    if (list->len == 0)
        return false;
    *list = str_cut(*list, '\0', item);
    return true;
}
