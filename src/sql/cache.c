#include "sql/cache.h"

#include <stdlib.h>

#include "base/table.h"
#include "sql/lexer.h"

enum {
    KEYED_TEXT_MAX = 64 << 10, /* longer statements are analysed each time */
    ENTRY_OVERHEAD = 128,      /* of the table, a guess */
    ARENA_MAX = 16 << 20,
};

/* How a key begins: with literals stripped, or the whole text. */
#define KEY_STRIPPED 'K'
#define KEY_EXACT    'E'

/* Stand for literals; a text that holds them itself is not stripped. */
#define MARK_STRING  '\001'
#define MARK_INTEGER '\002'

/* One block of memory: the entry, statements, demands, then the bytes of all names and the key.
 * Without facts it is a tombstone: the facts hang on literals, so look for the exact text. */
struct entry {
    struct entry *newer;
    struct entry *older;
    struct str key;
    size_t size;
    bool tombstone;
    struct sql_facts facts;
    _Alignas(max_align_t) char bytes[];
};

struct sql_cache {
    struct table *table;
    struct entry *newest;
    struct entry *oldest;
    size_t used;
    size_t max;
    sql_analyze_fn *analyze;
    const struct sql_context *context;
    struct arena *arena; /* of the last analysis */
    struct sql_facts facts;
    struct buf key;
};

static bool
is_plain(struct str text)
{
    return memchr(text.ptr, MARK_STRING, text.len) == NULL &&
           memchr(text.ptr, MARK_INTEGER, text.len) == NULL;
}

static void
put_exact(struct buf *out, size_t start, struct str text)
{
    out->len = start;
    buf_put_u8(out, KEY_EXACT);
    buf_put_str(out, text);
}

void
sql_cache_key(struct str text, struct buf *out)
{
    size_t begin = out->len;
    size_t done = 0;
    size_t at = 0;
    struct sql_token t;

    if (text.len == 0 || !is_plain(text)) {
        put_exact(out, begin, text);
        return;
    }
    buf_put_u8(out, KEY_STRIPPED);
    while (sql_lex(text, &at, &t)) {
        if (t.kind == SQL_TOKEN_ODD) {
            put_exact(out, begin, text);
            return;
        }
        if (t.kind != SQL_TOKEN_STRING && t.kind != SQL_TOKEN_INTEGER)
            continue;
        buf_put(out, text.ptr + done, t.start - done);
        buf_put_u8(out, t.kind == SQL_TOKEN_STRING ? MARK_STRING : MARK_INTEGER);
        done = t.start + t.len;
    }
    buf_put(out, text.ptr + done, text.len - done);
}

static enum err
analyze_plainly(struct str text, const struct sql_context *context, struct arena *arena,
                struct sql_facts *out)
{
    return sql_analyze(text, context, arena, out);
}

struct sql_cache *
sql_cache_new(size_t max_bytes, sql_analyze_fn *analyze)
{
    struct sql_cache *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->max = max_bytes;
    c->analyze = analyze != NULL ? analyze : analyze_plainly;
    c->key = buf_make(KEYED_TEXT_MAX + 1);
    c->table = table_new(max_bytes / sizeof(struct entry) + 1);
    c->arena = arena_new(ARENA_MAX);
    if (c->table == NULL || c->arena == NULL) {
        sql_cache_free(c);
        return NULL;
    }
    return c;
}

static void
free_entry(struct entry *e)
{
    sql_lineage_release(e->facts.lineage);
    free(e);
}

void
sql_cache_free(struct sql_cache *c)
{
    if (c == NULL)
        return;
    while (c->newest != NULL) {
        struct entry *e = c->newest;

        c->newest = e->older;
        free_entry(e);
    }
    sql_lineage_release(c->facts.lineage);
    table_free(c->table);
    arena_free(c->arena);
    buf_free(&c->key);
    free(c);
}

static void
unlink_entry(struct sql_cache *c, struct entry *e)
{
    if (e->newer != NULL)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older != NULL)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
}

static void
link_newest(struct sql_cache *c, struct entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    if (c->newest != NULL)
        c->newest->newer = e;
    else
        c->oldest = e;
    c->newest = e;
}

static void
evict(struct sql_cache *c, size_t room)
{
    while (c->oldest != NULL && c->used + room > c->max) {
        struct entry *e = c->oldest;

        unlink_entry(c, e); /* so it is seen once: NOLINT(clang-analyzer-unix.Malloc) */
        (void)table_remove(c->table, e->key);
        c->used -= e->size;
        free_entry(e);
    }
}

void
sql_cache_set_context(struct sql_cache *c, const struct sql_context *context)
{
    evict(c, c->max + 1);
    sql_lineage_release(c->facts.lineage);
    c->facts.lineage = NULL;
    c->context = context;
}

static struct entry *
find(struct sql_cache *c)
{
    struct entry *e = table_get(c->table, buf_str(&c->key));

    if (e != NULL && e != c->newest) {
        unlink_entry(c, e);
        link_newest(c, e);
    }
    return e;
}

static struct str
keep(char **bytes, struct str s)
{
    struct str kept = {*bytes, s.len};

    if (s.len == 0)
        return str_from("");
    memcpy(*bytes, s.ptr, s.len);
    *bytes += s.len;
    return kept;
}

static size_t
demand_bytes(const struct demand *d, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += sizeof(*d) + d[i].name.len + d[i].schema.len;
    return bytes;
}

static size_t
facts_bytes(const struct sql_facts *f, bool exact)
{
    size_t bytes = demand_bytes(f->demands, f->n_demands) + f->purpose.value.len;

    for (size_t i = 0; i < f->n_statements; i++) {
        const struct sql_statement *s = &f->statements[i];

        bytes += sizeof(*s) + s->name.len + (exact ? s->text.len : 0);
        if (s->demands != f->demands)
            bytes += demand_bytes(s->demands, s->n_demands);
    }
    return bytes;
}

static const struct demand *
keep_demands(struct demand **next, char **bytes, const struct demand *from, size_t n)
{
    struct demand *to = *next;

    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        to[i].schema = keep(bytes, from[i].schema);
        to[i].name = keep(bytes, from[i].name);
    }
    *next += n;
    return to;
}

static void
keep_facts(struct entry *e, const struct sql_facts *f, bool exact)
{
    struct sql_statement *statements = (struct sql_statement *)(void *)e->bytes;
    struct demand *next = (struct demand *)(void *)(statements + f->n_statements);
    size_t n_demands = f->n_demands;
    char *bytes;

    for (size_t i = 0; i < f->n_statements; i++)
        if (f->statements[i].demands != f->demands)
            n_demands += f->statements[i].n_demands;
    bytes = (char *)(next + n_demands);
    e->facts = *f;
    e->facts.lineage = sql_lineage_hold(f->lineage);
    e->facts.purpose.value = keep(&bytes, f->purpose.value);
    e->facts.statements = statements;
    e->facts.demands = keep_demands(&next, &bytes, f->demands, f->n_demands);
    for (size_t i = 0; i < f->n_statements; i++) {
        statements[i] = f->statements[i];
        statements[i].name = keep(&bytes, f->statements[i].name);
        statements[i].text = exact ? keep(&bytes, f->statements[i].text) : str_from("");
        statements[i].demands =
            f->statements[i].demands == f->demands
                ? e->facts.demands
                : keep_demands(&next, &bytes, f->statements[i].demands, f->statements[i].n_demands);
    }
    e->key = (struct str){bytes, e->key.len};
}

/* Remembers facts (NULL: a tombstone) under the current key; NULL if there is no room. */
static struct entry *
remember(struct sql_cache *c, const struct sql_facts *f)
{
    struct str key = buf_str(&c->key);
    bool exact = key.ptr[0] == KEY_EXACT;
    size_t size = sizeof(struct entry) + key.len + (f == NULL ? 0 : facts_bytes(f, exact));
    size_t lineage = f == NULL || f->lineage == NULL ? 0 : f->lineage->bytes;
    struct entry *e;
    void *old = NULL;

    if (size + lineage + key.len + ENTRY_OVERHEAD > c->max / 4 || (e = malloc(size)) == NULL)
        return NULL;
    *e = (struct entry){.size = size + lineage + key.len + ENTRY_OVERHEAD, .tombstone = f == NULL};
    e->key.len = key.len;
    if (f != NULL)
        keep_facts(e, f, exact);
    else
        e->key.ptr = e->bytes;
    memcpy((char *)(uintptr_t)e->key.ptr, key.ptr, key.len);
    evict(c, e->size);
    if (table_put(c->table, e->key, e, &old) != OK) {
        free_entry(e);
        return NULL;
    }
    c->used += e->size;
    link_newest(c, e);
    return e;
}

static enum err
analyze_now(struct sql_cache *c, struct str text)
{
    sql_lineage_release(c->facts.lineage);
    c->facts.lineage = NULL;
    arena_reset(c->arena);
    return c->analyze(text, c->context, c->arena, &c->facts);
}

/* Not to be looked up: too long, or not text at all. */
static bool
is_cacheable(struct str text)
{
    return text.len > 0 && text.len <= KEYED_TEXT_MAX && memchr(text.ptr, '\0', text.len) == NULL &&
           str_is_utf8(text);
}

static enum err
give(const struct entry *e, bool is_exact, const struct sql_facts **out, bool *exact)
{
    *out = &e->facts;
    *exact = is_exact;
    return OK;
}

enum err
sql_cache_facts(struct sql_cache *c, struct str text, const struct sql_facts **out, bool *exact)
{
    const struct entry *entry;
    enum err e;

    *out = &c->facts;
    *exact = true;
    if (!is_cacheable(text))
        return analyze_now(c, text);

    buf_reset(&c->key);
    sql_cache_key(text, &c->key);
    entry = find(c);
    if (entry != NULL && !entry->tombstone)
        return give(entry, c->key.ptr[0] == KEY_EXACT, out, exact);
    if (entry != NULL) {
        buf_reset(&c->key);
        put_exact(&c->key, 0, text);
        if ((entry = find(c)) != NULL)
            return give(entry, true, out, exact);
    }
    if ((e = analyze_now(c, text)) != OK)
        return e;
    if (c->facts.depends_on_literals && c->key.ptr[0] == KEY_STRIPPED) {
        (void)remember(c, NULL);
        buf_reset(&c->key);
        put_exact(&c->key, 0, text);
    }
    (void)remember(c, &c->facts);
    return OK; /* the analysis itself: exact, and valid until the next call */
}
