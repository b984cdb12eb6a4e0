/* sql/cache.h - facts by statement text with its literals stripped, so that a statement seen
 * before costs a lexer pass and a look-up. One per session; not shared. */
#ifndef SQL_CACHE_H
#define SQL_CACHE_H

#include "base/buf.h"
#include "sql/lineage.h"

struct sql_cache;

/* `analyze` runs sql_analyze() where recursion is safe (a session passes one that goes through
 * fiber_call_deep(); NULL: a plain call). Holds at most `max_bytes`; NULL without memory. */
typedef enum err sql_analyze_fn(struct str text, const struct sql_context *context,
                                struct arena *arena, struct sql_facts *out);
struct sql_cache *sql_cache_new(size_t max_bytes, sql_analyze_fn *analyze);
void sql_cache_free(struct sql_cache *c);

/* From now on facts are those in `context` (borrowed; NULL: none); what is cached is forgotten. */
void sql_cache_set_context(struct sql_cache *c, const struct sql_context *context);

/* Facts of `text`, from the cache or analysed now. `*out` stays valid until the next call with
 * the same cache. Statement texts in it are those of the string first analysed, and so are of
 * use only when `*exact`. Errors as sql_analyze(). */
enum err sql_cache_facts(struct sql_cache *c, struct str text, const struct sql_facts **out,
                         bool *exact);

/* Appends the key of `text`: equal keys mean equal facts but for literal values. Conservative:
 * what it cannot tokenize with certainty it copies verbatim. Pure; exposed for tests. */
void sql_cache_key(struct str text, struct buf *out);

#endif
