/* The types of scalars: one reading function and one row each. */
#include "config/schema.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { HOST_MAX = 253, SOCKET_PATH_MAX = 107, NAME_MAX_BYTES = 63, DAY_MINUTES = 1440 };

#define READER(name)                                                                               \
    static void name(struct schema_reader *r, const struct schema_field *f, const struct node *n,  \
                     void *to)

static bool
has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Whether `n` is a text by YAML's rules: 123 and true are not, unless in quotes. */
static bool
is_text(struct schema_reader *r, const struct schema_field *f, const struct node *n)
{
    enum scalar_type type = node_scalar_type(n);

    if (type == SCALAR_TEXT && n->value.len > 0)
        return true;
    schema_refuse(
        r, f, n,
        type == SCALAR_BOOLEAN || type == SCALAR_NUMBER
            ? problem_format(r->problems, "write it in quotes: \"%.*s\"", STR_ARG(n->value))
            : NULL);
    return false;
}

READER(read_text)
{
    if (!is_text(r, f, n))
        return;
    if (has_control(n->value)) {
        problem_error(r->problems, n->mark, NULL, "%s holds a control character or line break",
                      r->label);
        return;
    }
    *(struct str *)to = n->value;
}

READER(read_message)
{
    if (is_text(r, f, n))
        *(struct str *)to = str_trim(n->value);
}

READER(read_value)
{
    enum scalar_type type = node_scalar_type(n);

    if (type == SCALAR_NULL || n->value.len == 0 || has_control(n->value)) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    *(struct str *)to = n->value;
}

READER(read_one_value)
{
    struct str_list *list = to;
    struct str *value = arena_array(r->problems->arena, 1, sizeof(*value));

    if (value == NULL) {
        r->problems->out_of_memory = true;
        return;
    }
    *value = STR("");
    read_value(r, f, n, value);
    *list = (struct str_list){value, 1};
}

static bool
is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!word && (i == 0 || memchr("._-", c, 3) == NULL))
            return false;
    }
    return s.len > 0 && s.len <= NAME_MAX_BYTES;
}

READER(read_name)
{
    if (!is_text(r, f, n))
        return;
    if (!is_name(n->value)) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    *(struct str *)to = n->value;
}

static struct str
join_path(struct schema_reader *r, struct str path)
{
    struct str joined;
    char *text;

    if (path.len > 0 && path.ptr[0] == '/')
        return path;
    if ((text = arena_alloc(r->problems->arena, r->folder.len + path.len + 1)) == NULL) {
        r->problems->out_of_memory = true;
        return STR("");
    }
    joined = (struct str){text, r->folder.len + path.len};
    if (r->folder.len > 0)
        memcpy(text, r->folder.ptr, r->folder.len);
    memcpy(text + r->folder.len, path.ptr, path.len);
    return joined;
}

READER(read_path)
{
    struct str path = STR("");

    read_text(r, f, n, &path);
    if (path.len > 0)
        *(struct str *)to = join_path(r, path);
}

static const char *
list_words(struct problems *p, const char *const *words)
{
    struct buf text = buf_make(PROBLEM_TEXT_MAX);
    const char *list;

    for (const char *const *word = words; *word != NULL; word++)
        buf_printf(&text, "%s%s", word == words ? "" : ", ", *word);
    list = problem_format(p, "allowed: %.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return list;
}

/* The index of the word; false and a problem if it is none of the allowed. */
static bool
find_word(struct schema_reader *r, const struct schema_field *f, const struct node *n,
          uint64_t *index)
{
    const char *hint;

    for (*index = 0; f->words[*index] != NULL; ++*index)
        if (str_is(n->value, f->words[*index]))
            return true;
    if ((hint = problem_did_you_mean(r->problems, n->value, f->words)) == NULL)
        hint = list_words(r->problems, f->words);
    if (f->noun != NULL)
        problem_error(r->problems, n->mark, hint, "unknown %s %s", f->noun,
                      problem_quote(r->problems, n->value));
    else
        problem_error(r->problems, n->mark, hint, "%s cannot be %s", r->label,
                      problem_quote(r->problems, n->value));
    return false;
}

static void
store(const struct schema_field *f, void *to, uint64_t value)
{
    if (f->size == sizeof(bool))
        *(bool *)to = value != 0;
    else if (f->size == sizeof(unsigned))
        *(unsigned *)to = (unsigned)value;
    else
        *(uint64_t *)to = value;
}

READER(read_word)
{
    uint64_t index;

    if (find_word(r, f, n, &index))
        *(struct str *)to = n->value;
}

READER(read_enum)
{
    uint64_t index;

    if (find_word(r, f, n, &index))
        store(f, to, index);
}

/* `null` is a word here, in quotes or not. */
READER(read_mask)
{
    static const enum mask_kind kinds[] = {MASK_REDACT, MASK_NULL, MASK_HASH, MASK_EMAIL};
    uint64_t index;

    if (n->value.len == 0)
        schema_refuse(r, f, n, NULL);
    else if (find_word(r, f, n, &index))
        ((struct mask_rule *)to)->kind = kinds[index]; /* as schema.c lists the words */
}

READER(read_detector)
{
    uint64_t index;

    if (find_word(r, f, n, &index))
        ((struct detect_rule *)to)->name = n->value;
}

READER(read_class)
{
    uint64_t index;

    (void)to;
    if (find_word(r, f, n, &index))
        *(uint64_t *)to |= (uint64_t)1 << index;
}

READER(read_boolean)
{
    static const char *const others[] = {"yes", "Yes", "YES", "no",  "No",  "NO", "on",
                                         "On",  "ON",  "off", "Off", "OFF", NULL};
    bool other = false;

    if (node_scalar_type(n) == SCALAR_BOOLEAN) {
        *(bool *)to = n->value.ptr[0] == 't' || n->value.ptr[0] == 'T';
        return;
    }
    for (const char *const *word = others; *word != NULL; word++)
        other |= str_is(n->value, *word);
    schema_refuse(r, f, n, other || n->quoted ? "write true or false, without quotes" : NULL);
}

static bool
in_range(struct schema_reader *r, const struct schema_field *f, const struct node *n,
         uint64_t value)
{
    char range[SCHEMA_RANGE_BYTES];

    if (value >= f->min && (f->max == 0 || value <= f->max))
        return true;
    problem_error(r->problems, n->mark, NULL, "%s must be %s", r->label, schema_range(f, range));
    return false;
}

READER(read_integer)
{
    uint64_t value;

    if (n->quoted || !str_to_uint(n->value, UINT64_MAX, &value))
        schema_refuse(r, f, n, NULL);
    else if (in_range(r, f, n, value))
        store(f, to, value);
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {0}};
static const struct unit size_units[] = {{"B", 1},         {"KiB", 1 << 10},    {"MiB", 1 << 20},
                                         {"GiB", 1 << 30}, {"TiB", 1ULL << 40}, {0}};

static void
read_with_unit(struct schema_reader *r, const struct schema_field *f, const struct node *n,
               void *to, const struct unit *units, const char *hint)
{
    size_t digits = 0;
    uint64_t value;

    while (digits < n->value.len && n->value.ptr[digits] >= '0' && n->value.ptr[digits] <= '9')
        digits++;
    for (; units->name != NULL; units++) {
        if (!str_is(str_skip(n->value, digits), units->name))
            continue;
        if (!str_to_uint((struct str){n->value.ptr, digits}, UINT64_MAX / units->factor, &value))
            break;
        if (in_range(r, f, n, value * units->factor))
            store(f, to, value * units->factor);
        return;
    }
    schema_refuse(r, f, n, digits == n->value.len && digits > 0 ? hint : NULL);
}

READER(read_duration)
{
    read_with_unit(r, f, n, to, time_units,
                   problem_format(r->problems, "add a unit: %.*ss", STR_ARG(n->value)));
}

READER(read_size)
{
    read_with_unit(r, f, n, to, size_units,
                   problem_format(r->problems, "add a unit: %.*sMiB", STR_ARG(n->value)));
}

static bool
is_ipv6(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool
is_ipv4(struct str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;

    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1;
}

static bool
is_host(struct str host)
{
    bool letters = false;

    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
            letters = true;
        else if (!(c >= '0' && c <= '9') && (i == 0 || (c != '.' && c != '-')))
            return false;
    }
    return host.len > 0 && host.len <= HOST_MAX && (letters || is_ipv4(host));
}

/* host:port, 192.0.2.1:port or [2001:db8::1]:port. */
static bool
split_address(struct schema_reader *r, const struct node *n, struct config_address *out,
              const char **hint)
{
    struct str rest, host;
    uint64_t port;

    if (n->value.len > 0 && n->value.ptr[0] == '[') {
        rest = str_cut(str_skip(n->value, 1), ']', &host);
        if (!is_ipv6(host))
            return false;
        rest = rest.len > 0 && rest.ptr[0] == ':' ? str_skip(rest, 1) : STR("");
    } else if (is_ipv6(n->value)) {
        *hint = problem_format(r->problems, "write \"[%.*s]:5432\"", STR_ARG(n->value));
        return false;
    } else {
        rest = str_cut(n->value, ':', &host);
        if (!is_host(host))
            return false;
    }
    if (rest.len == 0)
        *hint = problem_format(r->problems, "add the port: %.*s:5432", STR_ARG(n->value));
    if (!str_to_uint(rest, UINT16_MAX, &port) || port == 0)
        return false;
    *out = (struct config_address){host, (uint16_t)port};
    return true;
}

READER(read_address)
{
    struct config_address *address = to;
    const char *hint = NULL;

    if (n->value.len > 0 && n->value.ptr[0] == '/' && !has_control(n->value)) {
        if (n->value.len > SOCKET_PATH_MAX)
            problem_error(r->problems, n->mark, NULL, "the path of a socket has at most %d bytes",
                          SOCKET_PATH_MAX);
        else
            *address = (struct config_address){n->value, 0};
    } else if (!split_address(r, n, address, &hint)) {
        schema_refuse(r, f, n, hint);
    }
}

READER(read_listen)
{
    struct config_address address;
    const char *hint = "0.0.0.0 listens on all IPv4 addresses, \"[::]\" on all IPv6 ones";

    if (!split_address(r, n, &address, &hint)) {
        schema_refuse(r, f, n, hint);
        return;
    }
    if (str_is(address.host, "localhost"))
        address.host = STR("127.0.0.1");
    if (!is_ipv4(address.host) && !is_ipv6(address.host))
        schema_refuse(r, f, n, hint);
    else
        *(struct config_address *)to = address;
}

static void
read_secret_reference(struct schema_reader *r, const struct schema_field *f, const struct node *n,
                      struct config_secret *secret)
{
    const struct node *only = n->first;
    bool file = n->n == 1 && str_is(only->key, "file");

    if (n->n != 1 || (!file && !str_is(only->key, "env"))) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    if (only->kind != NODE_SCALAR || node_scalar_type(only) != SCALAR_TEXT ||
        only->value.len == 0 || has_control(only->value)) {
        problem_error(r->problems, only->mark, NULL, "'%s' must be %s", file ? "file" : "env",
                      file ? "the path of a file" : "the name of an environment variable");
        return;
    }
    secret->source = file ? SECRET_FILE : SECRET_ENV;
    secret->value = file ? join_path(r, only->value) : only->value;
}

READER(read_secret)
{
    struct config_secret *secret = to;

    if (n->kind == NODE_MAPPING) {
        read_secret_reference(r, f, n, secret);
        return;
    }
    if (!is_text(r, f, n))
        return;
    problem_warning(r->problems, n->mark, "keep it in a file: {file: /path/of/it}",
                    "%s is written out in the configuration", r->label);
    *secret = (struct config_secret){SECRET_LITERAL, n->value};
}

READER(read_key)
{
    struct config_secret *secret = to;
    struct str path = STR("");

    if (n->kind == NODE_MAPPING) {
        read_secret_reference(r, f, n, secret);
        return;
    }
    read_path(r, f, n, &path);
    if (path.len > 0)
        *secret = (struct config_secret){SECRET_FILE, path};
}

static bool
is_loopback_url(struct str rest)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]", NULL};

    for (const char *const *host = hosts; *host != NULL; host++) {
        size_t len = strlen(*host);

        if (str_starts(rest, str_from(*host)) &&
            (rest.len == len || rest.ptr[len] == ':' || rest.ptr[len] == '/'))
            return true;
    }
    return false;
}

READER(read_url)
{
    struct str url = n->value, authority;
    bool https = str_starts(url, STR("https://"));
    bool loopback = str_starts(url, STR("http://")) && is_loopback_url(str_skip(url, 7));
    const char *hint = NULL;

    str_cut(str_skip(url, https ? 8 : 7), '/', &authority);
    if (str_starts(url, STR("http://")) && !loopback)
        hint = "http:// is allowed only to this machine itself; keys must not come in clear";
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= 0x20 || url.ptr[i] == 0x7f || url.ptr[i] == '#')
            https = loopback = false;
    if (authority.len == 0 || str_index(authority, '@') < authority.len)
        https = loopback = false;
    if (!https && !loopback) {
        schema_refuse(r, f, n, hint);
        return;
    }
    if (loopback)
        problem_warning(r->problems, n->mark, "use https:// outside of tests",
                        "%s is fetched without encryption", r->label);
    *(struct str *)to = url;
}

/* smtp://host:port or smtps://host:port */
READER(read_relay)
{
    struct str rest = n->value, host, port;
    const char *hint = NULL;
    uint64_t number;

    if (str_starts(rest, STR("smtps://")))
        rest = str_skip(rest, 8);
    else if (str_starts(rest, STR("smtp://")))
        rest = str_skip(rest, 7);
    else
        rest = STR("");
    port = str_cut(rest, ':', &host);
    if (rest.len > 0 && port.len == 0)
        hint = problem_format(r->problems, "add the port: %.*s:587", STR_ARG(n->value));
    if (!is_host(host) || !str_to_uint(port, UINT16_MAX, &number) || number == 0)
        schema_refuse(r, f, n, hint);
    else
        *(struct str *)to = n->value;
}

/* What may stand in a header and a mailbox command: nothing that ends either. */
READER(read_email)
{
    struct str local, host = str_cut(n->value, '@', &local);
    bool bad = local.len == 0 || local.len > 64 || !is_host(host);

    for (size_t i = 0; i < local.len; i++)
        if ((unsigned char)local.ptr[i] <= 0x20 || (unsigned char)local.ptr[i] >= 0x7f ||
            memchr("<>()[]\\,;:\"", local.ptr[i], 11) != NULL)
            bad = true;
    if (bad)
        schema_refuse(r, f, n, NULL);
    else
        *(struct str *)to = n->value;
}

READER(read_claim_path)
{
    struct str member, rest = n->value;
    bool bad = false;

    if (!is_text(r, f, n))
        return;
    do {
        bool more = str_index(rest, '.') < rest.len;

        rest = str_cut(rest, '.', &member);
        bad |= member.len == 0 || (more && rest.len == 0);
    } while (rest.len > 0);
    if (bad || has_control(n->value))
        schema_refuse(r, f, n, NULL);
    else
        *(struct str *)to = n->value;
}

static bool
parse_ip(struct str text, struct in6_addr *out, unsigned *bits)
{
    char copy[INET6_ADDRSTRLEN];

    *out = (struct in6_addr){0};
    if (text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *bits = 128;
    if (inet_pton(AF_INET6, copy, out) == 1)
        return true;
    out->s6_addr[10] = out->s6_addr[11] = 0xff;
    *bits = 32;
    return inet_pton(AF_INET, copy, out->s6_addr + 12) == 1;
}

/* Whether no bit is set after the prefix; clears those that are. */
static bool
clear_host_bits(struct rule_network *network)
{
    bool clear = true;

    for (unsigned bit = network->prefix_bits; bit < 128; bit++) {
        uint8_t *byte = &network->address.s6_addr[bit / 8];
        uint8_t mask = (uint8_t)(0x80 >> (bit % 8));

        clear &= (*byte & mask) == 0;
        *byte &= (uint8_t)~mask;
    }
    return clear;
}

static const char *
network_text(struct problems *p, const struct rule_network *network, bool ipv4)
{
    char text[INET6_ADDRSTRLEN] = "";

    inet_ntop(ipv4 ? AF_INET : AF_INET6, network->address.s6_addr + (ipv4 ? 12 : 0), text,
              sizeof(text));
    return problem_format(p, "did you mean '%s/%u'?", text, network->prefix_bits - (ipv4 ? 96 : 0));
}

READER(read_network)
{
    struct rule_network network;
    struct str address, prefix = str_cut(n->value, '/', &address);
    bool has_prefix = address.len < n->value.len;
    unsigned width;
    uint64_t bits;

    if (!parse_ip(address, &network.address, &width)) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    bits = width;
    if (has_prefix && !str_to_uint(prefix, width, &bits)) {
        problem_error(r->problems, n->mark, NULL, "the prefix length of %s must be from 0 to %u",
                      problem_quote(r->problems, n->value), width);
        return;
    }
    network.prefix_bits = (unsigned)bits + (width == 32 ? 96 : 0);
    if (!clear_host_bits(&network)) {
        problem_error(r->problems, n->mark, network_text(r->problems, &network, width == 32),
                      "%s has bits set after its prefix", problem_quote(r->problems, n->value));
        return;
    }
    *(struct rule_network *)to = network;
}

READER(read_time)
{
    struct str hour_text, minute_text = str_cut(n->value, ':', &hour_text);
    uint64_t hour, minute;

    if (hour_text.len != 2 || minute_text.len != 2 || !str_to_uint(hour_text, 24, &hour) ||
        !str_to_uint(minute_text, 59, &minute) || hour * 60 + minute > DAY_MINUTES)
        schema_refuse(r, f, n, NULL);
    else
        store(f, to, hour * 60 + minute);
}

static bool
find_day(struct str text, unsigned *day)
{
    static const char names[] = "montuewedthufrisatsun";

    for (*day = 0; *day < 7; ++*day)
        if (str_equal(text, (struct str){names + *day * 3, 3}))
            return true;
    return false;
}

READER(read_day)
{
    struct str first_text, last_text = str_cut(n->value, '-', &first_text);
    bool is_range = first_text.len < n->value.len;
    unsigned first, last;

    if (!find_day(first_text, &first) || (is_range && !find_day(last_text, &last))) {
        schema_refuse(r, f, n, NULL);
        return;
    }
    last = is_range ? last : first;
    for (unsigned day = first;; day = (day + 1) % 7) {
        *(uint64_t *)to |= (uint64_t)1 << day;
        if (day == last)
            return;
    }
}

/* clang-format off */
#define TEXT(name, expects, pattern, read) {name, expects, SHAPE_SCALAR, "string", pattern, read}
#define STRUCTURE(name, expects, shape)    {name, expects, shape, NULL, NULL, NULL}

const struct schema_type
    type_text = TEXT("text", "text", NULL, read_text),
    type_message = TEXT("text", "text", NULL, read_message),
    type_name = TEXT("name", "a name of letters, digits, '.', '_' and '-', at most 63",
                     "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", read_name),
    type_path = TEXT("path", "the path of a file or folder", NULL, read_path),
    type_glob = TEXT("pattern", "a name or a pattern with * and ?", NULL, read_text),
    type_word = TEXT("word", "one word", NULL, read_word),
    type_enum = TEXT("word", "one word", NULL, read_enum),
    type_class = TEXT("command class", "a command class", NULL, read_class),
    type_duration = TEXT("duration", "a duration such as 30s, 15m, 12h or 7d",
                         "^[0-9]+(s|m|h|d)$", read_duration),
    type_size = TEXT("size", "a size such as 64KiB, 256MiB or 2GiB",
                     "^[0-9]+(B|KiB|MiB|GiB|TiB)$", read_size),
    type_address = TEXT("address", "host:port, \"[IPv6]:port\" or the absolute path of a socket",
                        "^(/.{1,106}|(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):[0-9]{1,5})$",
                        read_address),
    type_listen = TEXT("listening address", "an IP address (or localhost) and a port, such as 127.0.0.1:5432",
                       "^(\\[[0-9a-fA-F:.]+\\]|[0-9.]+|localhost):[0-9]{1,5}$", read_listen),
    type_url = TEXT("URL", "an https:// URL",
                    "^(https://[^/@#\\s]+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])(:[0-9]+)?)(/[^#\\s]*)?$",
                    read_url),
    type_claim_path = TEXT("claim", "the path of a claim, with dots between its members",
                           "^[^.]+(\\.[^.]+)*$", read_claim_path),
    type_network = TEXT("network", "an IP address or network such as 10.0.0.0/8",
                        "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$", read_network),
    type_time = TEXT("time of day", "a time of day in quotes, such as \"08:00\"",
                     "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", read_time),
    type_day = TEXT("days", "a day or days: mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri",
                    "^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?$", read_day),
    type_integer = {"number", "a whole number", SHAPE_SCALAR, "integer", NULL, read_integer},
    type_boolean = {"true or false", "true or false", SHAPE_SCALAR, "boolean", NULL, read_boolean},
    type_value = {"value", "a word, number or pattern", SHAPE_SCALAR, NULL, NULL, read_value},
    type_one_value = {"value", "a word or number", SHAPE_SCALAR, NULL, NULL, read_one_value},
    type_secret = {"secret", "a secret: {file: PATH}, {env: NAME} or text", SHAPE_SECRET, "string", NULL, read_secret},
    type_key = {"key file", "the path of a key, {file: PATH} or {env: NAME}", SHAPE_SECRET, "string", NULL, read_key},
    type_relay = TEXT("mail relay", "the address of a mail relay: smtp://HOST:PORT or smtps://HOST:PORT",
                      "^smtps?://[A-Za-z0-9_][A-Za-z0-9_.-]*:[0-9]{1,5}$", read_relay),
    type_email = TEXT("e-mail address", "an e-mail address",
                      "^[!#-'*+./0-9=?A-Z^_`a-z{|}~-]{1,64}@[A-Za-z0-9_][A-Za-z0-9_.-]*$", read_email),
    type_regex = TEXT("regular expression", "a regular expression (PCRE2)", NULL, read_text),
    type_column = TEXT("column pattern", "a pattern of columns: column, table.column or schema.table.column; "
                       "what holds a dot or a space in double quotes", NULL, read_text),
    type_key_path = TEXT("key path", "keys with dots between, such as card.number", NULL, read_text),
    type_mask = {"mask", "redact, null, hash, email, {partial: N} or {fixed: TEXT}", SHAPE_VARIANT, NULL, NULL, read_mask},
    type_detector = {"detector", "the name of a built-in detector, or {name: NAME, pattern: REGULAR EXPRESSION}",
                     SHAPE_VARIANT, NULL, NULL, read_detector},
    type_object = STRUCTURE("mapping", "a mapping", SHAPE_OBJECT),
    type_list = STRUCTURE("list", "a list", SHAPE_LIST),
    type_set = STRUCTURE("list", "a list", SHAPE_SET),
    type_mapping = STRUCTURE("mapping", "a mapping", SHAPE_MAPPING),
    type_either = STRUCTURE("mapping or list", "a mapping or a list", SHAPE_EITHER);
/* clang-format on */
