/* Runs the worker of notifications alone, for tests/system/test_notify_worker.py:
 *
 *     notify_worker DATABASE CHANNELS.json put N [EVENT]   N requests, told to every channel
 *     notify_worker DATABASE CHANNELS.json run SECONDS     until all is sent, or the time is over;
 *                                                          prints what is left */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/notify.h"
#include "fiber/fiber.h"
#include "store/outbox.h"
#include "store/requests.h"

enum { CHANNELS_MAX = 8 };

struct worker {
    struct db *db;
    struct config config;
    struct config_notification channels[CHANNELS_MAX];
    int64_t until_ms;
};

static void
need(enum err e, const char *what)
{
    if (e == OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, err_name(e), err_text());
    exit(1);
}

static struct str
text(const json_t *object, const char *key)
{
    return str_from(json_string_value(json_object_get(object, key)));
}

static void
read_channel(const json_t *from, struct config_notification *to)
{
    static const char *const kinds[] = {"webhook", "slack", "teams", "email"};
    size_t n = json_array_size(json_object_get(from, "to"));
    struct str *items = calloc(n + 1, sizeof(*items));

    for (int kind = 0; kind < 4; kind++)
        if (str_is(text(from, "kind"), kinds[kind]))
            to->kind = (enum config_notify_kind)kind;
    to->name = text(from, "name");
    to->url = text(from, "url");
    to->ca = text(from, "ca");
    to->user = text(from, "user");
    to->from = text(from, "from");
    if (text(from, "secret").len > 0)
        to->secret = (struct config_secret){SECRET_LITERAL, text(from, "secret")};
    for (size_t i = 0; i < n; i++)
        items[i] = str_from(json_string_value(json_array_get(json_object_get(from, "to"), i)));
    to->to = (struct str_list){items, n};
}

static void
read_channels(const char *path, struct worker *w)
{
    json_t *list = json_load_file(path, 0, NULL), *item;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > CHANNELS_MAX)
        exit(2);
    json_array_foreach(list, i, item)
    {
        read_channel(item, &w->channels[i]);
    }
    w->config.notifications = w->channels;
    w->config.n_notifications = json_array_size(list);
    w->config.console.url = STR("https://gw.example.com:9443");
}

static void
put(struct worker *w, unsigned long n, const char *event)
{
    static const struct str chain[] = {STR_INIT("alice"), STR_INIT("agent-a")};
    static const struct str groups[] = {STR_INIT("dba")};
    char zeroes[65];

    memset(zeroes, '0', 64);
    zeroes[64] = '\0';
    for (unsigned long i = 0; i < n; i++) {
        struct demand demand = {CLASSES(DDL) | CLASSES(ALTER), OBJECT_RELATION, STR("public"),
                                STR("customers")};
        struct command command = {.text = STR("ALTER TABLE customers ADD COLUMN a <int>"),
                                  .database = STR("sales"),
                                  .demands = &demand,
                                  .n_demands = 1};
        struct record_intent intent = {.command = 1,
                                       .verdict = VERDICT_STEP_UP,
                                       .rule = STR("schema changes"),
                                       .subject = &command};
        struct buf frame = buf_make(RECORD_FRAME_MAX);
        struct request r = {.kind = REQUEST_COMMAND};
        char id[STORE_ID_BYTES + 1];

        need(store_new_id(id), "id");
        record_put_intent(&frame, 1, &intent);
        r.id = str_from(id);
        r.node = STR("node");
        r.created_us = r.opened_us = clock_wall_us();
        r.expires_us = r.created_us + INT64_C(600000000);
        r.issuer = STR("corp");
        r.subject = STR("agent-a");
        r.token_id = STR("t");
        r.chain = (struct str_list){chain, 2};
        r.resource = STR("analytics");
        r.protocol = STR("postgres");
        r.database = STR("sales");
        r.rule = STR("schema changes");
        r.rule_text = STR("{}");
        r.policy_hash = r.command_hash = r.binding_hash = r.scope_key = str_from(zeroes);
        r.step_up.approver_groups = (struct str_list){groups, 1};
        r.step_up.approvals = 1;
        r.summary = command.text;
        r.frame = buf_str(&frame);
        r.risk = STR("[]");
        need(requests_insert(w->db, &r), "request");
        for (size_t c = 0; c < w->config.n_notifications; c++)
            need(outbox_put(w->db, w->channels[c].name, event, r.id, STR("{}"), clock_wall_us()),
                 "outbox");
        printf("%s\n", id);
        buf_free(&frame);
    }
}

static void
run(void *arg)
{
    struct worker *w = arg;
    struct notify *n;
    int64_t next_us = 0;

    need(notify_new(&w->config, w->db, &n), "notify_new");
    need(notify_start(n), "notify_start");
    do {
        err_ignore(fiber_sleep_until(clock_monotonic_ms() + 20));
        need(outbox_next(w->db, &next_us), "outbox_next");
    } while (next_us != 0 && clock_monotonic_ms() < w->until_ms);
    printf("{\"left\":%s,\"sent\":%llu,\"failed\":%llu}\n", next_us == 0 ? "false" : "true",
           (unsigned long long)notify_counts(n).sent,
           (unsigned long long)notify_counts(n).failed_attempts);
    notify_free(n);
}

int
main(int argc, char **argv)
{
    struct worker w = {0};

    if (argc < 5)
        return 2;
    log_setup("notify_worker", false, LOG_LEVEL_INFO);
    read_channels(argv[2], &w);
    w.config.store.path = str_from(argv[1]);
    need(store_open(&w.config, &w.db), "store");
    if (strcmp(argv[3], "put") == 0) {
        put(&w, strtoul(argv[4], NULL, 10), argc > 5 ? argv[5] : "approval");
    } else {
        w.until_ms = clock_monotonic_ms() + (int64_t)(strtod(argv[4], NULL) * 1000);
        need(fiber_main(run, &w), "fiber_main");
    }
    db_close(w.db);
    return 0;
}
