/* config/node.h - YAML text → a tree of nodes that know their place. A strict subset: one
 * document, no anchors, aliases or tags, keys are plain words and unique, bounded depth and size.
 */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include "config/problem.h"

enum { NODE_DEPTH_MAX = 16, NODES_MAX = 1000000 };

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };

struct node {
    enum node_kind kind;
    bool quoted; /* a scalar in quotes or a block scalar: text, whatever it looks like */
    struct mark mark;
    struct str value;     /* of a scalar */
    struct str key;       /* within a mapping */
    struct mark key_mark; /* within a mapping; otherwise as `mark` */
    struct node *first;   /* child */
    struct node *last;    /* child */
    struct node *next;    /* sibling */
    size_t n;             /* children */
};

/* What a scalar is by YAML 1.2's core schema. */
enum scalar_type { SCALAR_TEXT, SCALAR_NULL, SCALAR_BOOLEAN, SCALAR_NUMBER };
enum scalar_type node_scalar_type(const struct node *n);

/* The tree of `text`, in the problems' arena. ERR_INVALID: the problems say why (duplicate keys
 * are found all; otherwise the first problem ends the reading). A duplicate key alone is no
 * failure here, but an error in the problems. ERR_LIMIT, ERR_NOMEM. */
enum err node_read(struct str text, struct problems *problems, struct node **root);

/* The value of `key`; NULL if there is none, or if `n` is NULL or no mapping. */
const struct node *node_get(const struct node *n, const char *key);

/* The elements of a list, one after the other; a scalar or mapping counts as a list of itself.
 * Starts with `previous` NULL; NULL at the end, or if `n` is NULL. */
const struct node *node_next(const struct node *n, const struct node *previous);

#endif
