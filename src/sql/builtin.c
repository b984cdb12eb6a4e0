#include "sql/tree.h"

static const char *const catalogs[] = {
#include "sql/catalogs.inc"
};

static const char *const safe_functions[] = {
#include "sql/safe_functions.inc"
};

static const char *const fields[] = {
#include "sql/fields.inc"
};

static const char *const operators[] = {
#include "sql/operators.inc"
};

static const char *const settings[] = {
#include "sql/settings.inc"
};

/* Catalogs and views that hold secrets, samples of data, or what other sessions are doing. */
static const char *const secrets[] = {
    "pg_authid",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_prepared_xacts",
    "pg_shadow",
    "pg_stat_activity",
    "pg_stat_replication",
    "pg_stat_statements",
    "pg_stat_subscription",
    "pg_stat_wal_receiver",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_user_mapping",
    "pg_user_mappings",
};

/* Built-in functions that are more than a computation, by name or by prefix. The first entry
 * that fits decides. */
static const struct function_class {
    const char *name;
    bool prefix;
    class_set classes;
} function_classes[] = {
    {"nextval", false, CLASSES(WRITE)},
    {"setval", false, CLASSES(WRITE)},
    {"lo_import", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES) | CLASSES(LARGE_OBJECT)},
    {"lo_export", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES) | CLASSES(LARGE_OBJECT)},
    {"lo_get", false, CLASSES(READ) | CLASSES(LARGE_OBJECT)},
    {"loread", false, CLASSES(READ) | CLASSES(LARGE_OBJECT)},
    {"lo_", true, CLASSES(WRITE) | CLASSES(LARGE_OBJECT)},
    {"lowrite", false, CLASSES(WRITE) | CLASSES(LARGE_OBJECT)},
    {"pg_notify", false, CLASSES(SESSION) | CLASSES(LISTEN_NOTIFY)},
    {"pg_advisory_", true, CLASSES(SESSION) | CLASSES(ADVISORY_LOCK)},
    {"pg_try_advisory_", true, CLASSES(SESSION) | CLASSES(ADVISORY_LOCK)},
    {"pg_export_snapshot", false, CLASSES(SESSION)},
    {"pg_terminate_backend", false, CLASSES(ADMIN) | CLASSES(BACKEND_CONTROL)},
    {"pg_cancel_backend", false, CLASSES(ADMIN) | CLASSES(BACKEND_CONTROL)},
    {"pg_log_backend_memory_contexts", false, CLASSES(ADMIN) | CLASSES(BACKEND_CONTROL)},
    {"pg_reload_conf", false, CLASSES(ADMIN) | CLASSES(SERVER_SETTINGS)},
    {"pg_rotate_logfile", true, CLASSES(ADMIN) | CLASSES(SERVER_SETTINGS)},
    {"pg_read_", true, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_ls_", true, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_stat_file", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_current_logfile", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_relation_filepath", false, CLASSES(READ) | CLASSES(SERVER_FILES)},
    {"pg_tablespace_location", false, CLASSES(READ) | CLASSES(SERVER_FILES)},
    {"pg_config", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_show_all_file_settings", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_hba_file_rules", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_ident_file_mappings", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_get_activity", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_get_backend_activity", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_get_wal_receiver", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_get_wal_senders", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_get_subscription", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_prepared_xact", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_mcv_list_items", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_create_logical_replication_slot", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_create_physical_replication_slot", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_copy_", true, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_drop_replication_slot", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_get_replication_slots", false, CLASSES(READ) | CLASSES(REPLICATION)},
    {"pg_replication_", true, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_logical_", true, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_sync_replication_slots", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_promote", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_wal_replay_", true, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_backup_", true, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_start_backup", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_stop_backup", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_switch_wal", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_create_restore_point", false, CLASSES(ADMIN) | CLASSES(REPLICATION)},
    {"pg_stat_reset", true, CLASSES(ADMIN) | CLASSES(MAINTENANCE)},
    {"pg_get_backend_memory_contexts", false, CLASSES(ADMIN)},
    {"pg_get_shmem_allocations", false, CLASSES(ADMIN)},
    {"pg_import_system_collations", false, CLASSES(ADMIN) | CLASSES(CATALOG_WRITE)},
    {"pg_nextoid", false, CLASSES(ADMIN) | CLASSES(CATALOG_WRITE)},
    {"pg_stop_making_pinned_objects", false, CLASSES(ADMIN) | CLASSES(CATALOG_WRITE)},
    {"pg_extension_config_dump", false, CLASSES(ADMIN) | CLASSES(CATALOG_WRITE)},
    {"binary_upgrade_", true, CLASSES(ADMIN) | CLASSES(CATALOG_WRITE)},
    {"brin_summarize_", true, CLASSES(DDL) | CLASSES(MAINTENANCE)},
    {"brin_desummarize_range", false, CLASSES(DDL) | CLASSES(MAINTENANCE)},
    {"gin_clean_pending_list", false, CLASSES(DDL) | CLASSES(MAINTENANCE)},
    {"query_to_xml", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"cursor_to_xml", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"table_to_xml", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"schema_to_xml", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"database_to_xml", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"ts_stat", false, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"ts_rewrite", false, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
};

/* Functions of well-known extensions, whatever schema they were put into. */
static const struct function_class extension_classes[] = {
    {"dblink", true, CLASSES(CODE) | CLASSES(FOREIGN) | CLASSES(DYNAMIC_SQL)},
    {"crosstab", true, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"connectby", false, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"xpath_table", false, CLASSES(CODE) | CLASSES(DYNAMIC_SQL)},
    {"postgres_fdw_", true, CLASSES(CODE) | CLASSES(FOREIGN)},
    {"pg_file_", true, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"pg_logdir_ls", false, CLASSES(ADMIN) | CLASSES(SERVER_FILES)},
    {"get_raw_page", false, CLASSES(ADMIN) | CLASSES(SECRETS)},
    {"pg_stat_statements", true, CLASSES(ADMIN) | CLASSES(SECRETS)},
};

static bool
listed(const char *const *list, size_t n, struct str name)
{
    size_t low = 0;
    size_t high = n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = str_compare(name, sql_str(list[mid]));

        if (order == 0)
            return true;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

#define LISTED(list, name) listed((list), sizeof(list) / sizeof((list)[0]), (name))

bool
sql_is_catalog(struct str relation)
{
    return LISTED(catalogs, relation);
}

bool
sql_is_system_schema(struct str schema)
{
    return str_is(schema, "pg_catalog") || str_is(schema, "information_schema") ||
           str_is(schema, "pg_toast");
}

bool
sql_is_secret(struct str schema, struct str relation)
{
    if (str_is(schema, "pg_toast"))
        return true;
    if (str_is(schema, "information_schema"))
        return str_is(relation, "user_mapping_options") || str_is(relation, "_pg_user_mappings");
    /* pg_stat_statements stands in any schema; the others too, lest a search path hide them */
    return LISTED(secrets, relation);
}

bool
sql_is_safe_function(struct str name)
{
    return LISTED(safe_functions, name);
}

bool
sql_is_builtin_field(struct str name)
{
    return LISTED(fields, name);
}

bool
sql_is_builtin_operator(struct str name)
{
    return LISTED(operators, name);
}

bool
sql_is_harmless_setting(struct str name)
{
    return LISTED(settings, name);
}

static class_set
find_class(const struct function_class *table, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++) {
        struct str entry = sql_str(table[i].name);

        if (table[i].prefix ? str_starts(name, entry) : str_equal(name, entry))
            return table[i].classes;
    }
    return 0;
}

class_set
sql_function_classes(struct str name, bool builtin)
{
    class_set classes = 0;

    if (builtin)
        classes = find_class(function_classes,
                             sizeof(function_classes) / sizeof(function_classes[0]), name);
    if (classes == 0)
        classes = find_class(extension_classes,
                             sizeof(extension_classes) / sizeof(extension_classes[0]), name);
    return classes;
}
