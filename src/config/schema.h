/* config/schema.h - the one definition of the configuration file. Every key is a row of a table
 * (config/schema.c) that says its type, whether it is required, its default, what it means and
 * where it goes in struct config. From the rows the file is validated and read
 * (config/schema_read.c), and the JSON Schema and the reference are written
 * (config/schema_write.c). */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/node.h"

/* What a key's value is made of. Scalars differ by their row in the table of types. */
enum schema_shape {
    SHAPE_SCALAR,
    SHAPE_SECRET,  /* {file: …}, {env: …} or a scalar */
    SHAPE_VARIANT, /* one of `words`, or a mapping as `object` says */
    SHAPE_OBJECT,  /* known keys, `object` */
    SHAPE_LIST,    /* of `item`; one scalar counts as a list of itself */
    SHAPE_SET,     /* a list of scalars read into one integer, bit by bit */
    SHAPE_MAPPING, /* of free keys, `key`, to `item` */
    SHAPE_EITHER,  /* a mapping as `mapping` says, or a list as `list` says */
};

struct schema_field;
struct schema_reader;

struct schema_type {
    const char *name;    /* for the reference: "duration" */
    const char *expects; /* after "must be": "a duration such as 30s" */
    enum schema_shape shape;
    const char *json_type; /* of a scalar; NULL: any scalar */
    const char *pattern;   /* for the JSON Schema: a regular expression, NULL if none */
    /* Scalars only. Reads `n` into `to`, or reports what is wrong. */
    void (*read)(struct schema_reader *r, const struct schema_field *f, const struct node *n,
                 void *to);
};

/* A key makes sense beside one of others only. */
enum { SCHEMA_NEEDS_MAX = 4 };
struct schema_need {
    const char *key;
    const char *needs[SCHEMA_NEEDS_MAX]; /* ended by NULL */
};

struct schema_object {
    const char *title;
    const char *doc;
    const struct schema_field *fields; /* ended by one without a name */
    const char *not_empty;             /* if at least one key is needed: what a key is */
    const char *const *exactly_one;    /* of these keys, ended by NULL; or NULL */
    const struct schema_need *needs;   /* ended by one without a key */
};

struct schema_field {
    const char *name;
    const struct schema_type *type;
    const char *doc;
    const char *example;  /* YAML */
    const char *fallback; /* the default as YAML text, a list's items apart by ", "; may be NULL */
    bool required;
    size_t offset; /* in the struct that the enclosing object or element fills */
    size_t size;   /* of an integer or an enum there */
    uint64_t min;  /* of numbers, durations and sizes; of a list or mapping: fewest elements */
    uint64_t max;
    const char *const *words; /* the allowed values, ended by NULL */
    const char *noun;         /* what a word is: "protocol" */
    const struct schema_object *object;
    /* Lists and mappings. */
    const struct schema_field *item;
    const struct schema_field *key;
    size_t count_offset;
    size_t element_bytes;
    /* Either. */
    const struct schema_field *mapping;
    const struct schema_field *list;
};

struct schema_reader {
    struct problems *problems;
    struct str folder; /* relative paths start there; with a '/' at its end, or empty */
    const char *label; /* the key being read, in quotes */
};

extern const struct schema_object schema_config;

/* Types: config/schema_types.c. */
extern const struct schema_type type_text, type_message, type_value, type_name, type_path,
    type_relay, type_email, type_word, type_enum, type_integer, type_boolean, type_duration,
    type_size, type_address, type_listen, type_secret, type_key, type_url, type_glob,
    type_claim_path, type_network, type_time, type_class, type_day, type_one_value, type_regex,
    type_column, type_key_path, type_mask, type_detector, type_object, type_list, type_set,
    type_mapping, type_either;

/* Validates the tree and fills `*config`, all of whose memory is in the problems' arena. What is
 * wrong is in the problems; its place in `*config` then holds zeroes. */
void schema_read(struct schema_reader *r, const struct node *root, struct config *config);

/* Reads `n`, or the default if `n` is NULL, as `f` says into the struct at `base`. */
void schema_read_field(struct schema_reader *r, const struct schema_field *f, const struct node *n,
                       void *base);

/* "'key' must be a duration such as 30s, not a list" */
void schema_refuse(struct schema_reader *r, const struct schema_field *f, const struct node *n,
                   const char *hint);

/* What is between the smallest and the largest value of a number, for people: "1s to 60s"; NULL
 * if it is not limited. In the given buffer. */
enum { SCHEMA_RANGE_BYTES = 64 };
const char *schema_range(const struct schema_field *f, char out[SCHEMA_RANGE_BYTES]);

#endif
