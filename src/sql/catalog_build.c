/* Making a catalog snapshot from the rows of the server. */
#include <stdlib.h>

#include "sql/catalog.h"
#include "sql/catalog_block.h"

enum { META, NAMESPACES, RELATIONS, ATTRIBUTES, INHERITANCE, TYPES, FUNCTIONS, OPERATORS, CASTS };

/* Statistics, vacuum and temporary tables do not change what these select. */
#define RELATION_KINDS "('r','p','v','m','f','S','c')"
#define RELATION_VERSION                                                                           \
    "hashtext(c.relnamespace || ':' || c.relname || ':' || c.reltype || ':' ||"                    \
    " coalesce((SELECT string_agg(r.xmin::text, ',' ORDER BY r.oid) FROM pg_catalog.pg_rewrite r"  \
    " WHERE r.ev_class = c.oid), '') || ':' ||"                                                    \
    " coalesce((SELECT string_agg(a.attnum || ' ' || a.attname || ' ' || a.atttypid, ','"          \
    " ORDER BY a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0" \
    " AND NOT a.attisdropped), ''))"
#define FUNCTION_VERSION "hashtext(p.pronamespace || ':' || p.proname || ':' || p.xmin::text)"

#define FINGERPRINT                                                                                \
    "SELECT coalesce(bit_xor(hashtextextended(h, 0)), 0) FROM ("                                   \
    "SELECT 'd' || oid AS h FROM pg_catalog.pg_database WHERE datname = current_database()"        \
    " UNION ALL SELECT 'n' || oid || ' ' || nspname FROM pg_catalog.pg_namespace"                  \
    " WHERE nspname !~ '^pg_(toast_)?temp_'"                                                       \
    " UNION ALL SELECT 'c' || oid || ' ' || xmin FROM pg_catalog.pg_class"                         \
    " WHERE oid >= 16384 AND relpersistence <> 't' AND relkind IN " RELATION_KINDS                 \
    " UNION ALL SELECT 'a' || a.attrelid || ' ' || a.attnum || ' ' || a.xmin"                      \
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid"             \
    " WHERE a.attrelid >= 16384 AND a.attnum > 0 AND c.relpersistence <> 't'"                      \
    " AND c.relkind IN " RELATION_KINDS " UNION ALL SELECT 'e' || oid || ' ' || xmin"              \
    " FROM pg_catalog.pg_attrdef WHERE oid >= 16384"                                               \
    " UNION ALL SELECT 'r' || oid || ' ' || xmin FROM pg_catalog.pg_rewrite WHERE oid >= 16384"    \
    " UNION ALL SELECT 'i' || inhrelid || ' ' || inhparent || ' ' || xmin"                         \
    " FROM pg_catalog.pg_inherits"                                                                 \
    " UNION ALL SELECT 't' || t.oid || ' ' || t.xmin FROM pg_catalog.pg_type t"                    \
    " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"                                    \
    " WHERE t.oid >= 16384 AND n.nspname !~ '^pg_(toast_)?temp_'"                                  \
    " UNION ALL SELECT 'f' || oid || ' ' || xmin FROM pg_catalog.pg_proc WHERE oid >= 16384"       \
    " UNION ALL SELECT 'o' || oid || ' ' || xmin FROM pg_catalog.pg_operator WHERE oid >= 16384"   \
    " UNION ALL SELECT 'k' || oid || ' ' || xmin FROM pg_catalog.pg_cast WHERE oid >= 16384) x"

const char catalog_fingerprint_query[] = FINGERPRINT;

static const struct {
    const char *text;
    size_t n_fields;
} queries[CATALOG_QUERIES] = {
    [META] = {"SELECT d.oid, (" FINGERPRINT ") FROM pg_catalog.pg_database d"
              " WHERE d.datname = current_database()",
              2},
    [NAMESPACES] = {"SELECT oid, nspname FROM pg_catalog.pg_namespace ORDER BY oid", 2},
    [RELATIONS] = {"SELECT c.oid, c.relnamespace, c.relname, c.reltype,"
                   " CASE WHEN c.oid < 16384 THEN 0 ELSE " RELATION_VERSION " END, c.relkind,"
                   " CASE WHEN c.relkind IN ('v','m') AND c.oid >= 16384"
                   " THEN pg_catalog.pg_get_viewdef(c.oid) END,"
                   " EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid"
                   " AND r.rulename <> '_RETURN'),"
                   " EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid"
                   " AND NOT t.tgisinternal)"
                   " FROM pg_catalog.pg_class c WHERE c.relkind IN " RELATION_KINDS
                   " ORDER BY c.relname COLLATE \"C\", c.oid",
                   9},
    [ATTRIBUTES] = {"SELECT a.attrelid, a.attnum, a.attname, a.atttypid,"
                    " CASE WHEN a.attgenerated <> ''"
                    " THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END"
                    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c"
                    " ON c.oid = a.attrelid LEFT JOIN pg_catalog.pg_attrdef d"
                    " ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
                    " WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN " RELATION_KINDS
                    " ORDER BY c.relname COLLATE \"C\", c.oid, a.attnum",
                    5},
    [INHERITANCE] = {"SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits i"
                     " JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
                     " WHERE c.relkind IN " RELATION_KINDS,
                     2},
    [TYPES] = {"SELECT oid, typnamespace, typname, typrelid, CASE WHEN typlen = -1"
               " AND typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc"
               " THEN typelem ELSE 0 END, typbasetype, typtype, typdelim"
               " FROM pg_catalog.pg_type ORDER BY oid",
               8},
    [FUNCTIONS] = {"SELECT p.oid, p.pronamespace, p.proname,"
                   " CASE WHEN p.oid >= 16384"
                   " THEN coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)"
                   " || coalesce(' ' || pg_catalog.pg_get_expr(p.proargdefaults, 0), '') END,"
                   " (SELECT string_agg(coalesce(p.proargnames[i], ''), chr(1) ORDER BY i)"
                   " FROM generate_subscripts(p.proargmodes, 1) i"
                   " WHERE p.proargmodes[i] IN ('o', 'b', 't')),"
                   " (SELECT string_agg(p.proargnames[i], chr(1) ORDER BY i)"
                   " FROM generate_subscripts(p.proargnames, 1) i WHERE p.oid >= 16384"
                   " AND (p.proargmodes IS NULL OR p.proargmodes[i] IN ('i', 'b', 'v'))),"
                   " p.prorettype, CASE WHEN p.oid >= 16384 THEN " FUNCTION_VERSION " ELSE 0 END,"
                   " p.pronargs, l.lanname, e.extname, p.prokind, p.proretset"
                   " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
                   " LEFT JOIN pg_catalog.pg_depend d"
                   " ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
                   " AND d.objid = p.oid AND d.deptype = 'e'"
                   " LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid"
                   " WHERE p.oid >= 16384 OR p.proargmodes IS NOT NULL"
                   " ORDER BY p.proname COLLATE \"C\", p.oid",
                   13},
    [OPERATORS] = {"SELECT o.oprname, o.oprnamespace, o.oprcode::pg_catalog.oid"
                   " FROM pg_catalog.pg_operator o WHERE o.oid >= 16384"
                   " ORDER BY o.oprname COLLATE \"C\", o.oid",
                   3},
    [CASTS] = {"SELECT castsource, casttarget, castfunc FROM pg_catalog.pg_cast"
               " WHERE castfunc >= 16384 ORDER BY oid",
               3},
};

const char *
catalog_query(int i, size_t *n_fields)
{
    *n_fields = queries[i].n_fields;
    return queries[i].text;
}

static void
put_oids(struct buf *out, const uint32_t *oids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%u", i == 0 ? "" : ",", oids[i]);
}

void
catalog_put_version_query(const uint32_t *relations, size_t n_relations, const uint32_t *functions,
                          size_t n_functions, struct buf *out)
{
    if (n_relations > 0) {
        buf_put_text(out, "SELECT 'r', c.oid, " RELATION_VERSION
                          " FROM pg_catalog.pg_class c WHERE c.oid IN (");
        put_oids(out, relations, n_relations);
        buf_put_text(out, ")");
    }
    if (n_functions > 0) {
        buf_put_text(out, n_relations > 0 ? " UNION ALL " : "");
        buf_put_text(out, "SELECT 'f', p.oid, " FUNCTION_VERSION
                          " FROM pg_catalog.pg_proc p WHERE p.oid IN (");
        put_oids(out, functions, n_functions);
        buf_put_text(out, ")");
    }
}

/* Extensions whose functions only compute; what of them runs SQL text or reaches files is known by
 * name as dangerous all the same (builtin.c). */
static const char *const harmless_extensions[] = {
    "btree_gin", "btree_gist",      "citext",          "cube",     "dict_int",
    "dict_xsyn", "earthdistance",   "fuzzystrmatch",   "hstore",   "intarray",
    "isn",       "ltree",           "pg_trgm",         "pgcrypto", "seg",
    "tablefunc", "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp",
};

struct catalog_builder {
    struct buf parts[CATALOG_PARTS];
    struct buf texts;
    uint64_t fingerprint;
    uint32_t database;
    bool has_meta;
    /* where the attributes' relations are, as they come in the relations' order */
    uint32_t relation_at;
};

struct catalog_builder *
catalog_builder_new(void)
{
    struct catalog_builder *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return NULL;
    for (int i = 0; i < CATALOG_PARTS; i++)
        b->parts[i] = buf_make(CATALOG_BYTES_MAX / 4);
    b->texts = buf_make(CATALOG_BYTES_MAX / 2);
    return b;
}

void
catalog_builder_free(struct catalog_builder *b)
{
    if (b == NULL)
        return;
    for (int i = 0; i < CATALOG_PARTS; i++)
        buf_free(&b->parts[i]);
    buf_free(&b->texts);
    free(b);
}

/* Reading fields. A row that is not what the query answers sets `bad`. */
struct row {
    struct catalog_builder *b;
    const struct str *fields;
    bool bad;
};

static int64_t
number(struct row *r, size_t i)
{
    struct str s = r->fields[i];
    char text[24], *end;
    long long value;

    if (s.ptr == NULL || s.len == 0 || s.len >= sizeof(text)) {
        r->bad = true;
        return 0;
    }
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    value = strtoll(text, &end, 10);
    if (*end != '\0')
        r->bad = true;
    return value;
}

static uint32_t
oid(struct row *r, size_t i)
{
    int64_t value = number(r, i);

    if (value < 0 || value > UINT32_MAX)
        r->bad = true;
    return (uint32_t)value;
}

static struct catalog_str
text(struct row *r, size_t i)
{
    struct catalog_str kept = {(uint32_t)r->b->texts.len, (uint32_t)r->fields[i].len};

    if (r->fields[i].ptr == NULL || r->fields[i].len == 0)
        return (struct catalog_str){0, 0};
    buf_put_str(&r->b->texts, r->fields[i]);
    return kept;
}

/* A list whose items the query joined with \1: each ended by a NUL. */
static struct catalog_str
list(struct row *r, size_t i)
{
    struct catalog_str kept = {(uint32_t)r->b->texts.len, 0};
    struct str s = r->fields[i];

    if (s.ptr == NULL)
        return (struct catalog_str){0, 0};
    for (size_t k = 0; k < s.len; k++)
        buf_put_u8(&r->b->texts, s.ptr[k] == '\1' ? '\0' : (uint8_t)s.ptr[k]);
    buf_put_u8(&r->b->texts, '\0');
    kept.len = (uint32_t)s.len + 1;
    return kept;
}

static uint8_t
letter(struct row *r, size_t i)
{
    if (r->fields[i].ptr == NULL || r->fields[i].len != 1) {
        r->bad = true;
        return 0;
    }
    return (uint8_t)r->fields[i].ptr[0];
}

static uint32_t
namespace_index(struct row *r, size_t i)
{
    const struct buf *part = &r->b->parts[CATALOG_NAMESPACES];
    const struct catalog_namespace *all = (const struct catalog_namespace *)(const void *)part->ptr;
    size_t n = part->len / sizeof(*all);
    uint32_t wanted = oid(r, i);

    for (size_t k = 0; k < n; k++)
        if (all[k].oid == wanted)
            return (uint32_t)k;
    r->bad = true;
    return 0;
}

/* The index of a relation by its oid; UINT32_MAX if it is not there. */
static uint32_t
relation_index(const struct catalog_builder *b, uint32_t wanted)
{
    const struct buf *part = &b->parts[CATALOG_RELATIONS];
    const struct catalog_relation *all = (const struct catalog_relation *)(const void *)part->ptr;
    size_t n = part->len / sizeof(*all);

    for (size_t k = 0; k < n; k++)
        if (all[k].oid == wanted)
            return (uint32_t)k;
    return UINT32_MAX;
}

static void
add_relation(struct row *r)
{
    struct catalog_relation relation = {
        .oid = oid(r, 0),
        .namespace = namespace_index(r, 1),
        .name = text(r, 2),
        .type = oid(r, 3),
        .version = (uint32_t)number(r, 4),
        .kind = letter(r, 5),
        .definition = text(r, 6),
        .has_rules = letter(r, 7) == 't',
        .has_triggers = letter(r, 8) == 't',
    };

    buf_put(&r->b->parts[CATALOG_RELATIONS], &relation, sizeof(relation));
}

/* They come in the order of the relations. One of a relation made meanwhile is passed over. */
static void
add_attribute(struct row *r)
{
    struct buf *part = &r->b->parts[CATALOG_RELATIONS];
    struct catalog_relation *all = (struct catalog_relation *)(void *)part->ptr;
    size_t n = part->len / sizeof(*all);
    uint32_t of = oid(r, 0), at = r->b->relation_at;
    struct catalog_attribute attribute = {
        .number = (int16_t)number(r, 1),
        .name = text(r, 2),
        .type = oid(r, 3),
        .generated = text(r, 4),
    };

    while (at < n && all[at].oid != of)
        at++;
    if (at == n)
        return;
    r->b->relation_at = at;
    if (all[at].n_attributes++ == 0)
        all[at].first_attribute =
            (uint32_t)(r->b->parts[CATALOG_ATTRIBUTES].len / sizeof(attribute));
    buf_put(&r->b->parts[CATALOG_ATTRIBUTES], &attribute, sizeof(attribute));
}

static void
add_inheritance(struct row *r)
{
    struct catalog_inheritance i = {relation_index(r->b, oid(r, 0)),
                                    relation_index(r->b, oid(r, 1))};

    if (i.child != UINT32_MAX && i.parent != UINT32_MAX)
        buf_put(&r->b->parts[CATALOG_INHERITANCE], &i, sizeof(i));
}

static void
add_type(struct row *r)
{
    struct catalog_type type = {
        .oid = oid(r, 0),
        .namespace = namespace_index(r, 1),
        .name = text(r, 2),
        .relation = oid(r, 3),
        .element = oid(r, 4),
        .base = oid(r, 5),
        .kind = letter(r, 6),
        .delimiter = letter(r, 7),
    };

    buf_put(&r->b->parts[CATALOG_TYPES], &type, sizeof(type));
}

static bool
is_harmless_extension(struct str name)
{
    for (size_t i = 0; i < sizeof(harmless_extensions) / sizeof(harmless_extensions[0]); i++)
        if (str_is(name, harmless_extensions[i]))
            return true;
    return false;
}

static uint8_t
body_of(const struct row *r, uint32_t function)
{
    struct str language = r->fields[9], extension = r->fields[10];

    if (function < CATALOG_FIRST_USER_OID ||
        (extension.ptr != NULL && is_harmless_extension(extension)))
        return CATALOG_BODY_INTERNAL;
    if (language.ptr == NULL || str_is(language, "c") || str_is(language, "internal"))
        return CATALOG_BODY_OPAQUE;
    if (str_is(language, "sql"))
        return CATALOG_BODY_SQL;
    return str_is(language, "plpgsql") ? CATALOG_BODY_TEXT : CATALOG_BODY_OPAQUE;
}

static void
add_function(struct row *r)
{
    struct catalog_function f = {
        .oid = oid(r, 0),
        .namespace = namespace_index(r, 1),
        .name = text(r, 2),
        .source = text(r, 3),
        .outputs = list(r, 4),
        .arguments = list(r, 5),
        .result = oid(r, 6),
        .version = (uint32_t)number(r, 7),
        .n_arguments = (uint16_t)number(r, 8),
        .kind = letter(r, 11),
        .returns_set = letter(r, 12) == 't',
    };

    f.body = body_of(r, f.oid);
    buf_put(&r->b->parts[CATALOG_FUNCTIONS], &f, sizeof(f));
}

static void
add_operator(struct row *r)
{
    struct catalog_operator o = {
        .name = text(r, 0), .namespace = namespace_index(r, 1), .function = oid(r, 2)};

    buf_put(&r->b->parts[CATALOG_OPERATORS], &o, sizeof(o));
}

static void
add_other(struct row *r, int query)
{
    struct catalog_namespace n;
    struct catalog_cast c;

    switch (query) {
    case META:
        r->b->database = oid(r, 0);
        r->b->fingerprint = (uint64_t)number(r, 1);
        r->b->has_meta = true;
        break;
    case NAMESPACES:
        n = (struct catalog_namespace){oid(r, 0), text(r, 1)};
        buf_put(&r->b->parts[CATALOG_NAMESPACES], &n, sizeof(n));
        break;
    case CASTS:
        c = (struct catalog_cast){oid(r, 0), oid(r, 1), oid(r, 2)};
        buf_put(&r->b->parts[CATALOG_CASTS], &c, sizeof(c));
        break;
    default:
        r->bad = true;
    }
}

enum err
catalog_build_row(struct catalog_builder *b, int query, const struct str *fields, size_t n)
{
    struct row r = {b, fields, false};
    enum err e;

    if (query < 0 || query >= CATALOG_QUERIES || n != queries[query].n_fields)
        return fail(ERR_PROTOCOL, "the catalog's rows have another form than was asked for");
    switch (query) {
    case RELATIONS:
        add_relation(&r);
        break;
    case ATTRIBUTES:
        add_attribute(&r);
        break;
    case INHERITANCE:
        add_inheritance(&r);
        break;
    case TYPES:
        add_type(&r);
        break;
    case FUNCTIONS:
        add_function(&r);
        break;
    case OPERATORS:
        add_operator(&r);
        break;
    default:
        add_other(&r, query);
    }
    if (r.bad)
        return fail(ERR_PROTOCOL, "the catalog's rows hold something unexpected (query %d)", query);
    for (int i = 0; i < CATALOG_PARTS; i++)
        if ((e = buf_ok(&b->parts[i])) != OK)
            return e;
    return buf_ok(&b->texts);
}

enum err
catalog_build_end(struct catalog_builder *b, struct buf *out)
{
    static const char padding[8];
    struct catalog_header header = {.magic = CATALOG_MAGIC,
                                    .version = CATALOG_VERSION,
                                    .fingerprint = b->fingerprint,
                                    .database = b->database,
                                    .n_texts = (uint32_t)b->texts.len};

    if (!b->has_meta)
        return fail(ERR_PROTOCOL, "the catalog is not complete");
    for (int i = 0; i < CATALOG_PARTS; i++)
        header.counts[i] = (uint32_t)(b->parts[i].len / catalog_part_sizes[i]);
    buf_put(out, &header, sizeof(header));
    for (int i = 0; i < CATALOG_PARTS; i++) {
        buf_put(out, b->parts[i].ptr, b->parts[i].len);
        buf_put(out, padding, -b->parts[i].len % 8);
    }
    buf_put_str(out, buf_str(&b->texts));
    return buf_ok(out);
}
