/* config/check.h - what a single key cannot tell: names that must exist, values that must fit
 * together, rules that can never fire. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/node.h"

/* Checks the configuration that was read from `root`, and completes it: the listeners of
 * resources join the others, rules get their verdict. */
void check_config(struct problems *p, const struct node *root, struct config *c);

/* The policies' part of it; after the listeners'. */
void check_policies(struct problems *p, const struct node *root, struct config *c);

/* The part of the console, the store and notifications; after the listeners'. */
void check_people(struct problems *p, const struct node *root, struct config *c);

/* The part of a resource's protected columns and detectors: entries become rules. */
void check_protection(struct problems *p, struct config_resource *resource,
                      const struct node *node);

/* Whether the files that the configuration names are there and can be read. */
void check_files(struct problems *p, const struct node *root, const struct config *c);

/* Whether there is an issuer of this name, written at `at`; one that is disabled is a warning. */
void check_issuer_name(struct problems *p, const struct config *c, struct str name,
                       const struct node *at);

/* "did you mean 'x'?" from the names of resources, or a list of them. */
const char *check_resource_hint(struct problems *p, const struct config *c, struct str name);

#endif
