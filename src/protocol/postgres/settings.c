#include "protocol/postgres/settings.h"

#include "command/purpose.h"

/* What drivers send, and what bounds or formats but never changes what a statement does. */
static const char *const harmless[] = {
    "application_name",
    PURPOSE_SETTING,
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "plan_cache_mode",
    "search_path",
    "statement_timeout",
    "timezone",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
};

bool
pgsettings_harmless(struct str name)
{
    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (str_equal_nocase(name, str_from(harmless[i])))
            return true;
    return false;
}

bool
pgsettings_is_utf8(struct str value)
{
    char clean[8];
    size_t n = 0;

    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
            continue;
        if (n == sizeof(clean))
            return false;
        clean[n++] = c;
    }
    return str_is((struct str){clean, n}, "utf8") || str_is((struct str){clean, n}, "unicode");
}

/* A later setting of the same name replaces an earlier one. */
static enum err
add(struct pgsettings *out, struct str name, struct str value)
{
    size_t i = 0;

    if (str_equal_nocase(name, STR("client_encoding"))) {
        if (pgsettings_is_utf8(value))
            return OK; /* we ask the target for UTF8 in any case */
        return fail(ERR_INVALID, "client_encoding must be UTF8");
    }
    if (str_equal_nocase(name, STR("standard_conforming_strings")) && str_is(value, "on"))
        return OK; /* likewise */
    if (str_equal_nocase(name, STR(PURPOSE_SETTING)) && !purpose_is_fit(value))
        return fail(ERR_INVALID, "%s", purpose_unfit);
    if (!pgsettings_harmless(name))
        return fail(ERR_DENIED, "the setting \"%.*s\" is not accepted at start-up",
                    name.len > 64 ? 64 : (int)name.len, name.ptr);
    if (value.len > PGSETTING_VALUE_MAX)
        return fail(ERR_LIMIT, "the value of \"%.*s\" is longer than %d bytes", STR_ARG(name),
                    PGSETTING_VALUE_MAX);
    while (i < out->n && !str_equal_nocase(out->items[i].name, name))
        i++;
    if (i == PGSETTINGS_MAX)
        return fail(ERR_LIMIT, "more than %d settings", PGSETTINGS_MAX);
    out->items[i] = (struct pgwire_parameter){name, value};
    if (i == out->n)
        out->n++;
    return OK;
}

static bool
is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of `options`: a backslash quotes the byte after it (as in PostgreSQL's
 * pg_split_opts). Empty at the end; .ptr NULL without memory. */
static struct str
next_word(struct str *rest, struct arena *arena)
{
    char *word;
    size_t n = 0, i = 0;

    while (i < rest->len && is_space(rest->ptr[i]))
        i++;
    if ((word = arena_alloc(arena, rest->len - i + 1)) == NULL)
        return (struct str){NULL, 0};
    for (; i < rest->len && !is_space(rest->ptr[i]); i++) {
        if (rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
        word[n++] = rest->ptr[i];
    }
    *rest = str_skip(*rest, i);
    return (struct str){word, n};
}

/* "-c name=value" and "--name=value"; '-' in a name stands for '_'. */
static enum err
add_option(struct pgsettings *out, struct str assignment, struct arena *arena)
{
    struct str given, value = str_cut(assignment, '=', &given), name = arena_str(arena, given);
    char *letters = (char *)name.ptr;

    if (letters == NULL)
        return fail(ERR_NOMEM, "no memory for settings");
    if (given.len == 0 || given.len == assignment.len)
        return fail(ERR_PROTOCOL, "options: expected -c name=value");
    for (size_t i = 0; i < name.len; i++)
        if (letters[i] == '-')
            letters[i] = '_';
    return add(out, name, value);
}

static enum err
read_options(struct pgsettings *out, struct str options, struct arena *arena)
{
    enum err e = OK;

    while (e == OK) {
        struct str word = next_word(&options, arena);

        if (word.ptr == NULL)
            return fail(ERR_NOMEM, "no memory for settings");
        if (word.len == 0)
            break;
        if (str_starts(word, STR("--")))
            e = add_option(out, str_skip(word, 2), arena);
        else if (str_is(word, "-c"))
            e = add_option(out, next_word(&options, arena), arena);
        else if (str_starts(word, STR("-c")))
            e = add_option(out, str_skip(word, 2), arena);
        else
            e = fail(ERR_DENIED, "options: only -c name=value and --name=value are accepted");
    }
    return e;
}

static bool
is_setting(struct str name)
{
    return !str_is(name, "user") && !str_is(name, "database") && !str_is(name, "replication") &&
           !str_is(name, "options") && !str_starts(name, STR("_pq_."));
}

enum err
pgsettings_read(const struct pgwire_start *start, struct arena *arena, struct pgsettings *out)
{
    struct str options;
    enum err e;

    out->n = 0;
    if (pgwire_parameter(start, "options", &options) &&
        (e = read_options(out, options, arena)) != OK)
        return e;
    for (size_t i = 0; i < start->n_parameters; i++)
        if (is_setting(start->parameters[i].name) &&
            (e = add(out, start->parameters[i].name, start->parameters[i].value)) != OK)
            return e;
    return OK;
}

struct str
pgsettings_purpose(const struct pgsettings *settings)
{
    for (size_t i = 0; i < settings->n; i++)
        if (str_equal_nocase(settings->items[i].name, STR(PURPOSE_SETTING)))
            return settings->items[i].value;
    return STR("");
}
