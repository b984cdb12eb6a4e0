/* sql/object.h - inside this room only: the kinds of database objects that DDL can name. */
#ifndef SQL_OBJECT_H
#define SQL_OBJECT_H

#include "sql/tree.h"

/* Demands `verb` (CREATE, ALTER, DROP, …: named classes) on the object of `type` that `node` names,
 * with the effect that belongs to the type; for functions and the like also effect `code`.
 * `effect`, unless 0, replaces the effect and says that no code is planted. */
enum err sql_demand_object(struct sql_walk *w, class_set verb, class_set effect,
                           PgQuery__ObjectType type, const PgQuery__Node *node);

/* The same for an object named by a RangeVar. */
enum err sql_demand_object_relation(struct sql_walk *w, class_set verb, class_set effect,
                                    PgQuery__ObjectType type, const PgQuery__RangeVar *rv);

/* Schema and name of an object of `type`; empty if it has none. */
void sql_object_name(PgQuery__ObjectType type, const PgQuery__Node *node, struct str *schema,
                     struct str *name);

/* The kind of object that rules know a type as. */
enum object_kind sql_object_kind(PgQuery__ObjectType type);

/* The effect that changing an object of `type` has; 0 if the type is not known. */
class_set sql_object_effect(PgQuery__ObjectType type);

#endif
