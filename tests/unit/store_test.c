#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#undef fail /* ours is meant */

#include "store_stage.h"

#include "store/grants.h"
#include "store/logins.h"
#include "store/outbox.h"
#include "store/recordings.h"
#include "store/requests.h"
#include "store/session_index.h"

static struct stage stage;
static struct arena *arena;

static int
set_up(void **state)
{
    (void)state;
    (void)stage_fresh(&stage);
    arena = arena_new(64 << 20);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void
assert_str(struct str s, struct str other)
{
    assert_int_equal(s.len, other.len);
    if (s.len > 0)
        assert_memory_equal(s.ptr, other.ptr, s.len);
}

/* --- the interface -----------------------------------------------------------------------------
 */

static void
test_migrating_again_changes_nothing(void **state)
{
    struct db *other = stage_connect(&stage);

    (void)state;
    stage_must(migrations_run(stage.db));
    stage_must(migrations_run(other));
    db_close(other);
}

static void
test_a_database_of_a_newer_program_is_refused(void **state)
{
    (void)state;
    stage_must(db_exec(stage.db, "INSERT INTO schema_version (version, at_us) VALUES ($1, $2)",
                       DB_PARAMS(db_int(migrations_version() + 1), db_int(0)), NULL, NULL, NULL));
    assert_int_equal(migrations_run(stage.db), ERR_UNSUPPORTED);
    assert_non_null(strstr(err_text(), "newer"));
}

static void *
migrate_elsewhere(void *arg)
{
    struct db *db = arg;

    return migrations_run(db) == OK ? NULL : db;
}

static void
test_processes_that_migrate_at_once_do_it_once(void **state)
{
    enum { N = 4 };
    pthread_t threads[N];
    struct db *dbs[N];
    void *failed;

    (void)state;
    if (stage.kind == DB_POSTGRESQL)
        stage_sql(stage.where, "DROP TABLE decisions, requests, grants, logins, people, outbox,"
                               " sessions, recordings, one_use, schema_version");
    else
        (void)snprintf(stage.where, sizeof(stage.where), "%s/race.db", stage.folder);
    for (int i = 0; i < N; i++)
        dbs[i] = stage_connect(&stage);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_elsewhere, dbs[i]), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        db_close(dbs[i]);
    }
}

static void
test_the_file_is_its_owners_alone(void **state)
{
    struct stat st;

    (void)state;
    if (stage.kind != DB_SQLITE)
        return;
    assert_int_equal(stat(stage.where, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    db_close(stage.db);
    stage.db = NULL;
    assert_int_equal(chmod(stage.where, 0644), 0);
    stage.db = stage_connect(&stage);
    assert_int_equal(stat(stage.where, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void
test_a_file_that_is_no_database_is_refused(void **state)
{
    char path[128];
    struct db *db;
    FILE *file;

    (void)state;
    if (stage.kind != DB_SQLITE)
        return;
    (void)snprintf(path, sizeof(path), "%s/other.db", stage.folder);
    file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        (void)fputs("this is not a database\n", file);
    (void)fclose(file);
    assert_int_equal(db_open_sqlite(str_from(path), &db), ERR_INVALID);
}

static void
test_what_is_rolled_back_is_not_kept_and_what_is_committed_is(void **state)
{
    struct db *other = stage_connect(&stage);

    (void)state;
    stage_must(db_begin(stage.db));
    stage_must(one_use_take(stage.db, "probe", STR("x"), 1, 2));
    db_rollback(stage.db);
    assert_false(db_in_transaction(stage.db));
    stage_must(db_begin(stage.db));
    stage_must(one_use_take(stage.db, "probe", STR("x"), 1, 2));
    stage_must(db_commit(stage.db));
    assert_int_equal(one_use_take(other, "probe", STR("x"), 1, 2), ERR_EXISTS);
    db_close(other);
}

static void
test_bad_values_are_refused_alike(void **state)
{
    struct person p = {
        .issuer = STR("corp"), .subject = STR("a\0b"), .name = STR(""), .email = STR("")};
    char *big = calloc(1, DB_VALUE_MAX + 1);

    (void)state;
    assert_int_equal(people_put(stage.db, &p), ERR_INVALID);
    p.subject = STR("\xff");
    assert_int_equal(people_put(stage.db, &p), ERR_INVALID);
    memset(big, 'x', DB_VALUE_MAX + 1);
    p.subject = (struct str){big, DB_VALUE_MAX + 1};
    assert_int_equal(people_put(stage.db, &p), ERR_LIMIT);
    free(big);
    p.subject = STR("'; DROP TABLE people; --");
    stage_must(people_put(stage.db, &p));
    stage_must(people_get(stage.db, STR("corp"), p.subject, arena, &p));
    assert_str(p.subject, STR("'; DROP TABLE people; --"));
}

/* --- requests ----------------------------------------------------------------------------------
 */

static const struct str chain_items[] = {STR_INIT("alice"), STR_INIT("plan\"ner"), STR_INIT("é")};
static const struct str group_items[] = {STR_INIT("dba*"), STR_INIT("sre")};

static struct request
a_request(const char *id)
{
    return (struct request){
        .id = str_from(id),
        .kind = REQUEST_COMMAND,
        .version = 1,
        .node = STR("n1"),
        .waiting = true,
        .created_us = 1000,
        .opened_us = 1000,
        .expires_us = INT64_C(4102444800000000),
        .wait_ms = 600000,
        .session = UINT64_C(0xfedcba9876543210),
        .command = 7,
        .issuer = STR("corp"),
        .subject = STR("alice"),
        .token_id = STR("jti"),
        .task = STR("t"),
        .email = STR("alice@example.com"),
        .chain = {chain_items, 3},
        .resource = STR("analytics"),
        .protocol = STR("postgres"),
        .database = STR("sales"),
        .client = STR("psql"),
        .source = STR("::1"),
        .purpose = STR("ticket 7"),
        .reason = STR(""),
        .rule = STR("ddl"),
        .rule_text = STR("text"),
        .policy_hash = STR("ab"),
        .step_up = {.approver_groups = {group_items, 2},
                    .approvals = 2,
                    .wait_seconds = 600,
                    .wait_in_transaction_seconds = 60,
                    .valid_seconds = 900,
                    .reason_required = true,
                    .scope = STEP_UP_FOR_TASK,
                    .preview = PREVIEW_DRY_RUN},
        .command_hash = STR("c0"),
        .binding_hash = STR("b0"),
        .scope_key = STR("s0"),
        .in_transaction = true,
        .summary = STR("ALTER TABLE t"),
        .frame = STR("\0\1\2\xff frame"),
        .preview = STR("{}"),
        .risk = STR("[]"),
        .decided_by = STR(""),
        .decided_text = STR(""),
    };
}

static void
test_a_request_is_read_back_as_it_was_put(void **state)
{
    struct request r = a_request("abcdefghijklmnop"), out;

    (void)state;
    stage_must(requests_insert(stage.db, &r));
    assert_int_equal(requests_insert(stage.db, &r), ERR_EXISTS);
    stage_must(requests_get(stage.db, r.id, arena, &out));
    assert_int_equal(out.session, r.session);
    assert_int_equal(out.expires_us, r.expires_us);
    assert_int_equal(out.wait_ms, 600000);
    assert_int_equal(out.chain.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_str(out.chain.items[i], chain_items[i]);
    assert_int_equal(out.step_up.approver_groups.n, 2);
    assert_int_equal(out.step_up.approver_subjects.n, 0);
    assert_int_equal(out.step_up.approvals, 2);
    assert_int_equal(out.step_up.scope, STEP_UP_FOR_TASK);
    assert_true(out.step_up.reason_required && out.in_transaction && out.waiting);
    assert_str(out.frame, r.frame);
    assert_str(out.preview, r.preview);
    assert_str(out.purpose, r.purpose);
    assert_str(out.rule_text, r.rule_text);
    assert_str(out.scope_key, r.scope_key);
    assert_int_equal(requests_get(stage.db, STR("aaaaaaaaaaaaaaaa"), arena, &out), ERR_NOT_FOUND);
    assert_int_equal(requests_get(stage.db, STR("' OR 1=1"), arena, &out), ERR_NOT_FOUND);
}

static void
put_requests(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char id[STORE_ID_BYTES + 1] = "aaaaaaaaaaaaaaaa";
        struct request r;

        id[14] = (char)('a' + i / 26);
        id[15] = (char)('a' + i % 26);
        r = a_request(id);
        r.created_us = 1000 + i / 3; /* several at the same time */
        stage_must(requests_insert(stage.db, &r));
    }
}

static void
test_pages_of_a_list_have_every_request_once(void **state)
{
    struct request_filter filter = {.state = REQUESTS_ALL, .limit = 7};
    struct request_list list;
    size_t n = 0;

    (void)state;
    put_requests(40);
    do {
        stage_must(requests_list(stage.db, &filter, arena, &list));
        assert_true(list.n <= 7);
        for (size_t i = 0; i < list.n; i++) {
            if (filter.before_us != 0)
                assert_true(list.items[i].created_us < filter.before_us ||
                            str_compare(list.items[i].id, filter.before_id) < 0);
            filter.before_us = list.items[i].created_us;
            filter.before_id = list.items[i].id;
            assert_int_equal(list.items[i].frame.len, 0);
            n++;
        }
    } while (list.n > 0);
    assert_int_equal(n, 40);
}

static void
test_states_filter_lists(void **state)
{
    struct request_filter filter = {.state = REQUESTS_PENDING, .limit = 100};
    struct request_list list;

    (void)state;
    put_requests(3);
    stage_must(
        requests_end(stage.db, STR("aaaaaaaaaaaaaaab"), REQUEST_DENIED, 5, STR("bob"), STR("no")));
    stage_must(requests_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 2);
    filter.state = REQUESTS_DECIDED;
    stage_must(requests_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 1);
    assert_str(list.items[0].decided_by, STR("bob"));
    filter.subject = STR("nobody");
    stage_must(requests_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 0);
}

static void
test_a_request_ends_once(void **state)
{
    struct request out;

    (void)state;
    put_requests(1);
    stage_must(
        requests_end(stage.db, STR("aaaaaaaaaaaaaaaa"), REQUEST_EXPIRED, 5, STR(""), STR("")));
    assert_int_equal(
        requests_end(stage.db, STR("aaaaaaaaaaaaaaaa"), REQUEST_APPROVED, 6, STR("eve"), STR("")),
        ERR_NOT_FOUND);
    stage_must(requests_get(stage.db, STR("aaaaaaaaaaaaaaaa"), arena, &out));
    assert_int_equal(out.state, REQUEST_EXPIRED);
}

struct racer {
    struct db *db;
    enum request_state state;
    unsigned won;
    bool failed;
};

static void *
race(void *arg)
{
    struct racer *racer = arg;

    for (unsigned i = 0; i < 60; i++) {
        char id[STORE_ID_BYTES + 1] = "aaaaaaaaaaaaaaaa";
        enum err e;

        id[14] = (char)('a' + i / 26);
        id[15] = (char)('a' + i % 26);
        e = requests_end(racer->db, str_from(id), racer->state, 9, STR("r"), STR(""));
        racer->won += e == OK;
        racer->failed |= e != OK && e != ERR_NOT_FOUND;
    }
    return NULL;
}

static void
test_of_many_who_end_a_request_one_succeeds(void **state)
{
    enum { N = 4 };
    struct racer racers[N];
    pthread_t threads[N];
    unsigned won = 0;

    (void)state;
    put_requests(60);
    for (unsigned i = 0; i < N; i++)
        racers[i] = (struct racer){.db = stage_connect(&stage), .state = REQUEST_APPROVED + i};
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(racers[i].failed);
        won += racers[i].won;
        db_close(racers[i].db);
    }
    assert_int_equal(won, 60);
}

static void
test_ended_ones_are_found_and_reopened_for_a_while(void **state)
{
    struct request r = a_request("abcdefghijklmnop"), out;

    (void)state;
    stage_must(requests_insert(stage.db, &r));
    stage_must(requests_find_same(stage.db, STR("s0"), 0, arena, &out));
    assert_int_equal(requests_find_same(stage.db, STR("s1"), 0, arena, &out), ERR_NOT_FOUND);
    stage_must(requests_end(stage.db, r.id, REQUEST_WITHDRAWN, 5000, STR("alice"), STR("")));
    assert_int_equal(requests_find_same(stage.db, STR("s0"), 5001, arena, &out), ERR_NOT_FOUND);
    stage_must(requests_find_same(stage.db, STR("s0"), 5000, arena, &out));
    r.binding_hash = STR("b1");
    r.opened_us = 6000;
    stage_must(requests_reopen(stage.db, &r));
    stage_must(requests_get(stage.db, r.id, arena, &out));
    assert_int_equal(out.state, REQUEST_PENDING);
    assert_str(out.binding_hash, STR("b1"));
    assert_str(out.decided_by, STR(""));
    stage_must(requests_end(stage.db, r.id, REQUEST_DENIED, 7000, STR("bob"), STR("")));
    assert_int_equal(requests_reopen(stage.db, &r), ERR_NOT_FOUND);
    assert_int_equal(requests_find_same(stage.db, STR("s0"), 0, arena, &out), ERR_NOT_FOUND);
}

static void
test_one_person_decides_once_for_each_binding(void **state)
{
    struct request r = a_request("abcdefghijklmnop");
    struct decision d = {.request = r.id,
                         .issuer = STR("corp"),
                         .subject = STR("bob"),
                         .name = STR("Bob"),
                         .email = STR("bob@example.com"),
                         .verdict = DECISION_APPROVE,
                         .reason = STR("fine"),
                         .channel = STR("cli"),
                         .binding_hash = STR("b0"),
                         .at_us = 3};
    struct decision_list list;

    (void)state;
    stage_must(requests_insert(stage.db, &r));
    stage_must(decisions_put(stage.db, &d));
    assert_int_equal(decisions_put(stage.db, &d), ERR_EXISTS);
    d.binding_hash = STR("b1");
    stage_must(decisions_put(stage.db, &d));
    d.subject = STR("carol");
    stage_must(decisions_put(stage.db, &d));
    stage_must(decisions_of(stage.db, r.id, arena, &list));
    assert_int_equal(list.n, 2);
    assert_str(list.items[0].binding_hash, STR("b1"));
    d.request = STR("zzzzzzzzzzzzzzzz"); /* no such request */
    assert_int_equal(decisions_put(stage.db, &d), ERR_INVALID);
}

static void
test_old_requests_go_with_their_decisions(void **state)
{
    struct decision d = {.request = STR("aaaaaaaaaaaaaaaa"),
                         .issuer = STR("corp"),
                         .subject = STR("bob"),
                         .name = STR(""),
                         .email = STR(""),
                         .reason = STR(""),
                         .channel = STR(""),
                         .binding_hash = STR("b")};
    struct decision_list list;
    uint64_t removed = 0;

    (void)state;
    put_requests(3);
    stage_must(decisions_put(stage.db, &d));
    stage_must(
        requests_end(stage.db, STR("aaaaaaaaaaaaaaaa"), REQUEST_DENIED, 50, STR(""), STR("")));
    stage_must(requests_prune(stage.db, 50, 10, &removed));
    assert_int_equal(removed, 0);
    stage_must(requests_prune(stage.db, 51, 10, &removed));
    assert_int_equal(removed, 1);
    stage_must(decisions_of(stage.db, d.request, arena, &list));
    assert_int_equal(list.n, 0);
}

/* --- the others --------------------------------------------------------------------------------
 */

static void
test_grants_serve_until_they_expire_or_are_revoked(void **state)
{
    struct grant g = {.id = STR("abcdefghijklmnop"),
                      .kind = GRANT_ACCESS,
                      .request = STR("r"),
                      .scope_key = STR("k"),
                      .issuer = STR("corp"),
                      .subject = STR("alice"),
                      .chain = {chain_items, 3},
                      .resource = STR("db"),
                      .rule = STR("jit"),
                      .policy_hash = STR("p"),
                      .by = STR("bob"),
                      .reason = STR("why"),
                      .created_us = 100,
                      .expires_us = 200};
    struct grant_filter filter = {.live = true, .now_us = 150, .limit = 10};
    struct grant_list list;
    struct grant out;

    (void)state;
    stage_must(grants_insert(stage.db, &g));
    stage_must(grants_find(stage.db, STR("k"), 199, arena, &out));
    assert_int_equal(out.chain.n, 3);
    assert_int_equal(grants_find(stage.db, STR("k"), 200, arena, &out), ERR_NOT_FOUND);
    assert_int_equal(grants_find(stage.db, STR("k"), 99, arena, &out), ERR_NOT_FOUND);
    stage_must(grants_of_access(stage.db, STR("corp"), STR("alice"), STR("db"), STR("jit"), 150,
                                arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(grants_of_access(stage.db, STR("other"), STR("alice"), STR("db"), STR("jit"), 150,
                                arena, &list));
    assert_int_equal(list.n, 0);
    stage_must(grants_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(grants_revoke(stage.db, g.id, 160, STR("bob"), STR("done")));
    assert_int_equal(grants_revoke(stage.db, g.id, 161, STR("bob"), STR("done")), ERR_NOT_FOUND);
    assert_int_equal(grants_find(stage.db, STR("k"), 170, arena, &out), ERR_NOT_FOUND);
    stage_must(grants_revoked(stage.db, 170, arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(grants_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 0);
    filter.live = false;
    stage_must(grants_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 1);
}

static void
test_logins_end_and_the_oldest_gives_way(void **state)
{
    struct login l = {.csrf = STR("c"),
                      .person = {.issuer = STR("corp"),
                                 .subject = STR("bob"),
                                 .name = STR("Bob"),
                                 .email = STR("Bob@Example.com"),
                                 .groups = {group_items, 2}},
                      .chain = {chain_items, 1},
                      .token_id = STR("j"),
                      .expires_us = 1000};
    struct login out;
    char hash[8];
    bool has;

    (void)state;
    for (int i = 0; i <= LOGINS_OF_ONE_MAX; i++) {
        (void)snprintf(hash, sizeof(hash), "h%d", i);
        l.cookie_hash = str_from(hash);
        l.created_us = i;
        stage_must(logins_insert(stage.db, &l));
    }
    assert_int_equal(logins_get(stage.db, STR("h0"), 5, arena, &out), ERR_NOT_FOUND);
    stage_must(logins_get(stage.db, STR("h1"), 5, arena, &out));
    assert_int_equal(out.person.groups.n, 2);
    assert_str(out.person.email, STR("Bob@Example.com"));
    assert_int_equal(logins_get(stage.db, STR("h1"), 1000, arena, &out), ERR_NOT_FOUND);
    stage_must(logins_delete(stage.db, STR("h1")));
    assert_int_equal(logins_get(stage.db, STR("h1"), 5, arena, &out), ERR_NOT_FOUND);
    stage_must(people_subject_has_email(stage.db, STR("bob"), STR("bob@example.COM"), &has));
    assert_true(has);
    stage_must(people_subject_has_email(stage.db, STR("eve"), STR("bob@example.com"), &has));
    assert_false(has);
    stage_must(logins_delete_person(stage.db, STR("corp"), STR("bob")));
    assert_int_equal(logins_get(stage.db, STR("h2"), 5, arena, &out), ERR_NOT_FOUND);
}

static void
test_a_notification_is_sent_by_one_and_never_lost(void **state)
{
    struct db *other = stage_connect(&stage);
    struct outbox_list mine, theirs;
    int64_t next;

    (void)state;
    stage_must(outbox_put(stage.db, STR("ops"), "approval", STR("r"), STR("{}"), 100));
    stage_must(outbox_put(stage.db, STR("ops"), "approval", STR("r"), STR("{}"), 101));
    stage_must(outbox_next(stage.db, &next));
    assert_int_equal(next, 100);
    stage_must(outbox_claim(stage.db, 100, 50, 10, arena, &mine));
    assert_int_equal(mine.n, 1);
    assert_int_equal(mine.items[0].attempts, 1);
    stage_must(outbox_claim(other, 149, 50, 10, arena, &theirs));
    assert_int_equal(theirs.n, 0);
    stage_must(outbox_claim(other, 150, 50, 10, arena, &theirs)); /* the first has died */
    assert_int_equal(theirs.n, 1);
    assert_int_equal(outbox_done(stage.db, mine.items[0].id, mine.items[0].attempts, 151),
                     ERR_NOT_FOUND);
    stage_must(outbox_retry(other, theirs.items[0].id, 2, 300, STR("503")));
    stage_must(outbox_claim(other, 299, 50, 10, arena, &theirs));
    assert_int_equal(theirs.n, 0);
    stage_must(outbox_claim(other, 300, 50, 10, arena, &theirs));
    assert_str(theirs.items[0].error, STR("503"));
    stage_must(outbox_done(other, theirs.items[0].id, 3, 301));
    stage_must(outbox_next(stage.db, &next));
    assert_int_equal(next, 0);
    stage_must(outbox_put(stage.db, STR("ops"), "approval", STR("r"), STR("{}"), 400));
    stage_must(outbox_next(stage.db, &next)); /* not again */
    assert_int_equal(next, 0);
    db_close(other);
}

static void
test_sessions_are_listed_and_searched(void **state)
{
    struct session_entry s = {.node = STR("n1"),
                              .issuer = STR("corp"),
                              .subject = STR("Alice"),
                              .token_id = STR("j"),
                              .task = STR(""),
                              .chain = {chain_items, 3},
                              .groups = {group_items, 2},
                              .resource = STR("analytics"),
                              .protocol = STR("postgres"),
                              .database = STR("sa_les"),
                              .client = STR("psql"),
                              .source = STR("::1"),
                              .access = STR(""),
                              .end = STR("")};
    struct session_filter filter = {.state = SESSIONS_LIVE, .limit = 10};
    struct session_list list;
    struct session_entry out;

    (void)state;
    for (uint64_t i = 1; i <= 5; i++) {
        s.session = UINT64_MAX - i;
        s.opened_us = (int64_t)i;
        s.access = i == 3 ? STR("grant") : STR("");
        stage_must(session_index_put(stage.db, &s));
    }
    stage_must(session_index_close(stage.db, UINT64_MAX - 2, 50, STR("killed")));
    stage_must(session_index_count(stage.db, UINT64_MAX - 2, 3, 1, UINT64_MAX));
    stage_must(session_index_get(stage.db, UINT64_MAX - 2, arena, &out));
    assert_str(out.end, STR("killed"));
    assert_int_equal(out.commands, 3);
    stage_must(session_index_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 4);
    assert_int_equal(list.items[0].session, UINT64_MAX - 5);
    filter.text = STR("ALICE");
    stage_must(session_index_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 4);
    filter.text = STR("sa_l");
    stage_must(session_index_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 4);
    filter.text = STR("s__l"); /* no wildcard */
    stage_must(session_index_list(stage.db, &filter, arena, &list));
    assert_int_equal(list.n, 0);
    stage_must(session_index_of_access(stage.db, STR("grant"), arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(session_index_close_node(stage.db, STR("n1"), 60, STR("restart")));
    stage_must(session_index_of_access(stage.db, STR("grant"), arena, &list));
    assert_int_equal(list.n, 0);
}

static void
test_a_legal_hold_keeps_a_recording_and_its_later_files(void **state)
{
    struct recording r = {.session = 5,
                          .path = STR("5.rec"),
                          .bytes = 10,
                          .chunks = 1,
                          .started_us = 1,
                          .ended_us = 2,
                          .retain_until_us = 10,
                          .local = true};
    struct recording_list list;

    (void)state;
    stage_must(recordings_put(stage.db, &r));
    stage_must(recordings_due(stage.db, 10, 5, arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(recordings_set_legal_hold(stage.db, 5, true));
    assert_int_equal(recordings_set_legal_hold(stage.db, 6, true), ERR_NOT_FOUND);
    r.path = STR("5-2.rec");
    stage_must(recordings_put(stage.db, &r));
    r.bytes = 20;
    stage_must(recordings_put(stage.db, &r)); /* again: the hold stays */
    stage_must(recordings_due(stage.db, 10, 5, arena, &list));
    assert_int_equal(list.n, 0);
    assert_int_equal(recordings_delete(stage.db, 5, STR("5.rec")), ERR_DENIED);
    stage_must(recordings_of(stage.db, 5, arena, &list));
    assert_int_equal(list.n, 2);
    assert_true(list.items[0].legal_hold && list.items[1].legal_hold);
    stage_must(recordings_to_upload(stage.db, 5, arena, &list));
    assert_int_equal(list.n, 2);
    stage_must(recordings_set_uploaded(stage.db, 5, STR("5.rec"), 99, false));
    stage_must(recordings_to_upload(stage.db, 5, arena, &list));
    assert_int_equal(list.n, 1);
    stage_must(recordings_set_legal_hold(stage.db, 5, false));
    stage_must(recordings_delete(stage.db, 5, STR("5.rec")));
}

static void
test_what_may_be_used_once_is_used_once(void **state)
{
    (void)state;
    stage_must(one_use_take(stage.db, "login", STR("ticket"), 10, 20));
    assert_int_equal(one_use_take(stage.db, "login", STR("ticket"), 11, 20), ERR_EXISTS);
    stage_must(one_use_take(stage.db, "slack", STR("ticket"), 10, 20));
    assert_int_equal(one_use_take(stage.db, "login", STR("late"), 20, 20), ERR_EXISTS);
    stage_must(one_use_prune(stage.db, 21));
    stage_must(one_use_take(stage.db, "login", STR("ticket"), 30, 40));
}

static void
test_ids_and_lists_have_one_form(void **state)
{
    char a[STORE_ID_BYTES + 1], b[STORE_ID_BYTES + 1];
    uint64_t number;
    struct str_list list;

    (void)state;
    stage_must(store_new_id(a));
    stage_must(store_new_id(b));
    assert_true(store_is_id(str_from(a)) && strcmp(a, b) != 0);
    assert_false(store_is_id(STR("ABCDEFGHIJKLMNOP")));
    assert_false(store_is_id(STR("abcdefghijklmno1")));
    assert_int_equal(store_session_number(STR("00000000000000ff"), &number), OK);
    assert_int_equal(number, 255);
    assert_int_equal(store_session_number(STR("00000000000000FF"), &number), ERR_INVALID);
    assert_int_equal(store_session_number(STR("ff"), &number), ERR_INVALID);
    assert_int_equal(store_read_list(STR("[\"a\",1]"), 9, arena, &list), ERR_INVALID);
    assert_int_equal(store_read_list(STR("[\"a\",\"b\"]"), 1, arena, &list), ERR_LIMIT);
    assert_int_equal(store_read_list(STR("{"), 1, arena, &list), ERR_INVALID);
    assert_str(store_clean(arena, STR("a\0b\xff\xc3\xa9z"), 6), STR("a?b?\xc3\xa9"));
    assert_str(store_clean(arena, STR("a\xc3\xa9"), 2), STR("a")); /* not half a character */
}

/* --- PostgreSQL that goes away ------------------------------------------------------------------
 */

static void
break_connections(void)
{
    char where[256];

    (void)snprintf(where, sizeof(where), "host=%s user=postgres dbname=postgres", stage.folder);
    stage_sql(where, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                     " WHERE application_name = 'bulkhead'");
}

static void
test_a_broken_connection_is_made_again(void **state)
{
    struct person p = {
        .issuer = STR("corp"), .subject = STR("bob"), .name = STR(""), .email = STR("")};

    (void)state;
    if (stage.kind != DB_POSTGRESQL)
        return;
    stage_must(people_put(stage.db, &p));
    break_connections();
    stage_must(people_get(stage.db, STR("corp"), STR("bob"), arena, &p)); /* a read: repeated */
    break_connections();
    stage_must(db_begin(stage.db)); /* so is a beginning */
    stage_must(people_put(stage.db, &p));
    break_connections();
    p.subject = STR("carol");
    assert_int_equal(people_put(stage.db, &p), ERR_UNAVAILABLE);
    db_rollback(stage.db);
    stage_must(db_begin(stage.db));
    stage_must(people_put(stage.db, &p));
    break_connections();
    assert_int_equal(db_commit(stage.db), ERR_UNAVAILABLE);
    assert_int_equal(people_get(stage.db, STR("corp"), STR("carol"), arena, &p), ERR_NOT_FOUND);
}

static void
test_a_server_that_stands_still_does_not_stop_us(void **state)
{
    struct person p = {
        .issuer = STR("corp"), .subject = STR("bob"), .name = STR(""), .email = STR("")};
    struct db *locker = NULL;
    int64_t began_ms;

    (void)state;
    if (stage.kind != DB_POSTGRESQL)
        return;
    locker = stage_connect(&stage);
    stage_must(people_put(stage.db, &p));
    stage_must(db_begin(locker));
    stage_must(people_put(locker, &p)); /* holds the row */
    began_ms = clock_monotonic_ms();
    assert_int_equal(people_put(stage.db, &p), ERR_TIMEOUT);
    assert_true(clock_monotonic_ms() - began_ms < 5000);
    db_rollback(locker);
    db_close(locker);
    stage_must(people_put(stage.db, &p));
}

/* Between us and the server: cuts the line when a commit passes by. */
struct proxy {
    int listener;
    char folder[96], server[108];
    bool after; /* the server gets the commit, and only its answer is lost */
    bool armed;
    pthread_t thread;
};

static int
connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void
relay(struct proxy *proxy, int client, int server)
{
    static char bytes[65536];
    struct pollfd fds[] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};

    while (poll(fds, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents == 0 ? 0 : read(fds[i].fd, bytes, sizeof(bytes));
            bool commit = i == 0 && n > 0 && proxy->armed &&
                          memmem(bytes, (size_t)n, "COMMIT", 6) != NULL;

            if (fds[i].revents == 0)
                continue;
            if (n <= 0)
                return;
            if (commit) {
                proxy->armed = false;
                if (proxy->after && write(server, bytes, (size_t)n) == n)
                    (void)!read(server, bytes, sizeof(bytes));
                return;
            }
            if (write(fds[1 - i].fd, bytes, (size_t)n) != n)
                return;
        }
    }
}

static void *
run_proxy(void *arg)
{
    struct proxy *proxy = arg;
    int client;

    while ((client = accept(proxy->listener, NULL, NULL)) >= 0) {
        int server = connect_unix(proxy->server);

        if (server >= 0) {
            relay(proxy, client, server);
            (void)close(server);
        }
        (void)close(client);
    }
    return NULL;
}

static struct db *
start_proxy(struct proxy *proxy)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char where[256];

    (void)snprintf(proxy->folder, sizeof(proxy->folder), "%s/p%u", stage.folder, stage.n);
    (void)snprintf(proxy->server, sizeof(proxy->server), "%s/.s.PGSQL.5432", stage.folder);
    assert_int_equal(mkdir(proxy->folder, 0700), 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.80s/.s.PGSQL.5432",
                   proxy->folder);
    proxy->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(proxy->listener, 5), 0);
    assert_int_equal(pthread_create(&proxy->thread, NULL, run_proxy, proxy), 0);
    (void)snprintf(where, sizeof(where),
                   "host=%s user=postgres dbname=postgres options=-csearch_path=t%u", proxy->folder,
                   stage.n);
    return stage_connect_to(&stage, where);
}

static void
stop_proxy(struct proxy *proxy, struct db *db)
{
    db_close(db);
    (void)shutdown(proxy->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(proxy->thread, NULL), 0);
    (void)close(proxy->listener);
}

static void
cut_a_commit(bool after, enum err expected, enum err there)
{
    struct proxy proxy = {.after = after};
    struct person p = {
        .issuer = STR("corp"), .subject = STR("bob"), .name = STR(""), .email = STR("")};
    struct db *db = start_proxy(&proxy);

    stage_must(db_begin(db));
    stage_must(people_put(db, &p));
    proxy.armed = true;
    assert_int_equal(db_commit(db), expected);
    assert_false(proxy.armed);
    assert_int_equal(people_get(stage.db, STR("corp"), STR("bob"), arena, &p), there);
    stop_proxy(&proxy, db);
}

static void
test_a_commit_whose_answer_is_lost_was_done(void **state)
{
    (void)state;
    if (stage.kind == DB_POSTGRESQL)
        cut_a_commit(true, OK, OK);
}

static void
test_a_commit_that_never_arrived_was_not_done(void **state)
{
    (void)state;
    if (stage.kind == DB_POSTGRESQL)
        cut_a_commit(false, ERR_UNAVAILABLE, ERR_NOT_FOUND);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    T(test_migrating_again_changes_nothing),
    T(test_a_database_of_a_newer_program_is_refused),
    T(test_processes_that_migrate_at_once_do_it_once),
    T(test_the_file_is_its_owners_alone),
    T(test_a_file_that_is_no_database_is_refused),
    T(test_what_is_rolled_back_is_not_kept_and_what_is_committed_is),
    T(test_bad_values_are_refused_alike),
    T(test_a_request_is_read_back_as_it_was_put),
    T(test_pages_of_a_list_have_every_request_once),
    T(test_states_filter_lists),
    T(test_a_request_ends_once),
    T(test_of_many_who_end_a_request_one_succeeds),
    T(test_ended_ones_are_found_and_reopened_for_a_while),
    T(test_one_person_decides_once_for_each_binding),
    T(test_old_requests_go_with_their_decisions),
    T(test_grants_serve_until_they_expire_or_are_revoked),
    T(test_logins_end_and_the_oldest_gives_way),
    T(test_a_notification_is_sent_by_one_and_never_lost),
    T(test_sessions_are_listed_and_searched),
    T(test_a_legal_hold_keeps_a_recording_and_its_later_files),
    T(test_what_may_be_used_once_is_used_once),
    T(test_ids_and_lists_have_one_form),
    T(test_a_broken_connection_is_made_again),
    T(test_a_server_that_stands_still_does_not_stop_us),
    T(test_a_commit_whose_answer_is_lost_was_done),
    T(test_a_commit_that_never_arrived_was_not_done),
};

int
main(void)
{
    int failed;

    stage_begin(&stage, DB_SQLITE);
    failed = cmocka_run_group_tests_name("store on SQLite", tests, NULL, NULL);
    stage_end(&stage);
    stage_begin(&stage, DB_POSTGRESQL);
    failed += cmocka_run_group_tests_name("store on PostgreSQL", tests, NULL, NULL);
    stage_end(&stage);
    return failed;
}
