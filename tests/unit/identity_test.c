#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "fiber/fiber.h"
#include "forge.h"
#include "identity/expiry.h"
#include "identity/fetch.h"
#include "identity/identity.h"
#include "identity/refresh.h"

/* An identity provider on a thread: answers each request with what the test has set. */
static struct idp {
    int listener;
    char issuer[64], keys_url[80];
    atomic_int key_fetches;
    atomic_bool broken;
    pthread_mutex_t lock;
    char discovery[512];
    char keys[16384];
    pthread_t thread;
} idp = {.lock = PTHREAD_MUTEX_INITIALIZER};

static EVP_PKEY *rsa, *rotated, *ec;
static char folder[64];

static void
answer(int fd)
{
    static char reply[20000];
    char request[4096] = "";
    const char *body;
    size_t n = 0;
    bool keys;
    int len;

    while (n < sizeof(request) - 1 && strstr(request, "\r\n\r\n") == NULL) {
        ssize_t got = read(fd, request + n, sizeof(request) - 1 - n);

        if (got <= 0)
            return;
        n += (size_t)got;
        request[n] = '\0';
    }
    keys = strncmp(request, "GET /keys ", 10) == 0;
    if (keys)
        idp.key_fetches++;
    pthread_mutex_lock(&idp.lock);
    body = keys ? idp.keys : idp.discovery;
    len = snprintf(reply, sizeof(reply),
                   "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                   idp.broken ? "503 Broken" : "200 OK", strlen(body), body);
    pthread_mutex_unlock(&idp.lock);
    if (write(fd, reply, (size_t)len) < 0)
        return;
}

static void *
serve(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(idp.listener, NULL, NULL)) >= 0) {
        answer(fd);
        close(fd);
    }
    return NULL;
}

static void
publish(EVP_PKEY *first, const char *first_id, EVP_PKEY *second, const char *second_id)
{
    struct buf text = buf_make(sizeof(idp.keys) - 1);

    buf_put_text(&text, "{\"keys\":[");
    forge_jwk(first, first_id, "", &text);
    buf_put_text(&text, ",");
    forge_jwk(second, second_id, ",\"use\":\"sig\"", &text);
    buf_put_text(&text, "]}");
    pthread_mutex_lock(&idp.lock);
    memcpy(idp.keys, text.ptr, text.len);
    idp.keys[text.len] = '\0';
    pthread_mutex_unlock(&idp.lock);
    buf_free(&text);
}

static int
start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/identity_test.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    rsa = forge_rsa(2048);
    rotated = forge_rsa(2048);
    ec = forge_ec("P-256");
    idp.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(idp.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(idp.listener, 16) != 0 ||
        getsockname(idp.listener, (struct sockaddr *)&address, &len) != 0)
        return 1;
    snprintf(idp.issuer, sizeof(idp.issuer), "http://127.0.0.1:%d", ntohs(address.sin_port));
    snprintf(idp.keys_url, sizeof(idp.keys_url), "%s/keys", idp.issuer);
    snprintf(idp.discovery, sizeof(idp.discovery), "{\"issuer\":\"%s\",\"jwks_uri\":\"%s\"}",
             idp.issuer, idp.keys_url);
    return pthread_create(&idp.thread, NULL, serve, NULL);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static int
stop(void **state)
{
    (void)state;
    shutdown(idp.listener, SHUT_RDWR);
    pthread_join(idp.thread, NULL);
    close(idp.listener);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(rotated);
    EVP_PKEY_free(ec);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct str audiences[] = {STR_INIT("bulkhead")};
static const struct str algorithms[] = {STR_INIT("RS256"), STR_INIT("ES256")};

static struct config_issuer
corp(void)
{
    return (struct config_issuer){.name = STR("corp"),
                                  .issuer = str_from(idp.issuer),
                                  .enabled = true,
                                  .audiences = {audiences, 1},
                                  .algorithms = {algorithms, 2},
                                  .groups_claim = STR("groups"),
                                  .max_lifetime_seconds = 3600};
}

static struct config
configuration(const struct config_issuer *issuers, size_t n)
{
    return (struct config){.state_directory = str_from(folder),
                           .local_issuer = {.enabled = true, .max_ttl_seconds = 3600},
                           .issuers = issuers,
                           .n_issuers = n};
}

/* A token of the provider for "agent", in groups a and b, for ten minutes. */
static struct str
mint(EVP_PKEY *key, const char *alg, const char *kid, const char *more, struct buf *out)
{
    char header[128], payload[512];
    long long now = clock_wall_us() / 1000000;

    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", alg,
             kid);
    snprintf(payload, sizeof(payload),
             "{\"iss\":\"%s\",\"aud\":\"bulkhead\",\"sub\":\"agent\",\"groups\":[\"a\",\"b\"],"
             "\"iat\":%lld,\"exp\":%lld%s}",
             idp.issuer, now, now + 600, more);
    return forge_token(key, alg, header, payload, out);
}

static enum err
verify(struct identity *id, struct str token, struct principal *out, struct arena **keep)
{
    struct arena *arena = arena_new(1 << 20);
    struct principal unused;
    enum err e = identity_verify(id, token, arena, out == NULL ? &unused : out);

    if (keep != NULL)
        *keep = arena;
    else
        arena_free(arena);
    return e;
}

static void
test_discovery_must_be_of_this_issuer_and_its_host(void **state)
{
    static const struct {
        const char *issuer, *document;
        enum err result;
    } cases[] = {
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://a/k\"}", OK},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://A:443/k\"}", OK},
        {"https://a", "{\"issuer\":\"https://a/\",\"jwks_uri\":\"https://a/k\"}", ERR_INVALID},
        {"https://a", "{\"issuer\":[\"https://a\"],\"jwks_uri\":\"https://a/k\"}", ERR_INVALID},
        {"https://a", "{\"issuer\":\"https://a\"}", ERR_INVALID},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":7}", ERR_INVALID},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://b/k\"}", ERR_DENIED},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://a:8443/k\"}", ERR_DENIED},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://a@b/k\"}", ERR_DENIED},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"http://a/k\"}", ERR_DENIED},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"file:///etc/passwd\"}", ERR_DENIED},
        {"https://a", "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://a/k\\n\"}", ERR_DENIED},
        {"http://127.0.0.1:1",
         "{\"issuer\":\"http://127.0.0.1:1\",\"jwks_uri\":\"http://127.0.0.1:1/k\"}", OK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf address = buf_make(1024);

        assert_int_equal(
            fetch_read_discovery(str_from(cases[i].document), str_from(cases[i].issuer), &address),
            cases[i].result);
        buf_free(&address);
    }
    assert_int_equal(fetch_check_url(STR("http://127.0.0.1.evil.example/")), ERR_DENIED);
    assert_int_equal(fetch_check_url(STR("http://localhost.evil.example/")), ERR_DENIED);
    assert_int_equal(fetch_check_url(STR("http://[::1]:80/x")), OK);
    assert_int_equal(fetch_check_url(STR("ftp://127.0.0.1/x")), ERR_DENIED);
    assert_int_equal(fetch_check_url(STR("")), ERR_DENIED);
}

static void
test_a_token_causes_one_fetch_in_thirty_seconds(void **state)
{
    struct refresh r;
    int fetches = 0;

    (void)state;
    refresh_init(&r, 1000);
    assert_true(r.due_ms == 1000);
    assert_false(refresh_is_usable(&r, 1000));
    refresh_started(&r);
    assert_false(refresh_ask(&r, 1001));
    refresh_ended(&r, true, 2000, 12345);
    assert_true(r.due_ms > 2000 + REFRESH_EVERY_MS - REFRESH_JITTER_MS);
    assert_true(r.due_ms <= 2000 + REFRESH_EVERY_MS);
    for (int64_t now = 3000; now < 3000 + 60000; now += 6)
        if (refresh_ask(&r, now)) {
            fetches++;
            assert_true(r.due_ms == now);
            refresh_started(&r);
            refresh_ended(&r, false, now, 0);
        }
    assert_int_equal(fetches, 2);
}

static void
test_a_good_set_is_kept_for_a_day_and_failures_back_off(void **state)
{
    struct refresh r;
    int64_t now = 0;

    (void)state;
    refresh_init(&r, 0);
    for (int64_t wait = REFRESH_FIRST_RETRY_MS; wait < REFRESH_RETRY_MS; wait *= 2) {
        refresh_started(&r);
        refresh_ended(&r, false, now, 0);
        assert_true(r.due_ms == now + wait);
        now = r.due_ms;
    }
    refresh_ended(&r, true, now, 0);
    for (int i = 0; i < 100; i++)
        refresh_ended(&r, false, now + 1000, 0);
    assert_true(r.due_ms == now + 1000 + REFRESH_EVERY_MS);
    assert_true(refresh_is_usable(&r, now + REFRESH_KEEP_MS));
    assert_false(refresh_is_usable(&r, now + REFRESH_KEEP_MS + 1));
}

static void
test_an_expiry_set_survives_and_forgets_and_is_bounded(void **state)
{
    char path[96], text[64] = "";
    struct expiry_set *s;
    int fd;

    (void)state;
    snprintf(path, sizeof(path), "%s/set", folder);
    assert_int_equal(expiry_open(path, 3, true, 100, &s), OK);
    assert_int_equal(expiry_add(s, STR("a"), 150, 100), OK);
    assert_int_equal(expiry_add(s, STR("b c"), 300, 100), OK);
    assert_int_equal(expiry_add(s, STR("a"), 160, 100), ERR_EXISTS);
    assert_int_equal(expiry_add(s, STR("a\nb"), 160, 100), ERR_INVALID);
    assert_int_equal(expiry_add(s, STR(""), 160, 100), ERR_INVALID);
    assert_int_equal(expiry_add(s, STR("d"), 160, 100), OK);
    assert_int_equal(expiry_add(s, STR("e"), 160, 100), ERR_LIMIT);
    assert_int_equal(expiry_add(s, STR("e"), 260, 200), OK);
    assert_false(expiry_has(s, STR("a")));
    expiry_close(s);
    fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "400 torn", 8), 8);
    close(fd);
    assert_int_equal(expiry_open(path, 3, true, 200, &s), OK);
    assert_int_equal(expiry_count(s), 2);
    assert_true(expiry_has(s, STR("b c")));
    assert_true(expiry_has(s, STR("e")));
    assert_false(expiry_has(s, STR("torn")));
    expiry_close(s);
    fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 14); /* "300 b c\n" and "260 e\n" */
    close(fd);
    fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "damaged\n", 8), 8);
    close(fd);
    assert_int_equal(expiry_open(path, 3, true, 200, &s), ERR_INVALID);
    assert_int_equal(unlink(path), 0);
}

/* The rest runs on a fiber. */
static void (*body)(void);

static void
run_body(void *arg)
{
    (void)arg;
    body();
}

static void
on_fiber(void (*fn)(void))
{
    body = fn;
    assert_int_equal(fiber_main(run_body, NULL), OK);
}

static void
local_tokens(void)
{
    static const struct str groups[] = {STR_INIT("dba"), STR_INIT("ops \"x\"")};
    static const struct str resources[] = {STR_INIT("test")};
    struct config config = configuration(NULL, 0);
    struct token_request request = {.subject = STR("alice"),
                                    .groups = {groups, 2},
                                    .resources = {resources, 1},
                                    .ttl_seconds = 60};
    struct buf token = buf_make(TOKEN_BYTES_MAX), token_id = buf_make(256), keys = buf_make(4096);
    struct arena *arena;
    struct principal p;
    struct identity *id;
    struct stat st;
    char path[96];

    assert_int_equal(identity_open(&config, &id), OK);
    snprintf(path, sizeof(path), "%s/local-issuer.key", folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(identity_issue(id, &request, &token, &token_id), OK);
    assert_int_equal(verify(id, buf_str(&token), &p, &arena), OK);
    assert_true(str_is(p.subject, "alice"));
    assert_true(str_is(p.issuer, "local"));
    assert_true(str_equal(p.token_id, buf_str(&token_id)));
    assert_true(p.groups.n == 2 && str_is(p.groups.items[1], "ops \"x\""));
    assert_true(p.resources.n == 1 && str_is(p.resources.items[0], "test"));
    assert_false(identity_is_revoked(id, p.issuer, p.token_id));
    arena_free(arena);
    identity_jwks(id, &keys);
    assert_true(keys.len > 100);
    identity_close(id);

    /* The key is the same after a restart; a revocation holds over the next. */
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), OK);
    assert_int_equal(identity_revoke(id, buf_str(&token_id)), OK);
    assert_int_equal(identity_revoke(id, buf_str(&token_id)), OK);
    assert_true(identity_is_revoked(id, STR("local"), buf_str(&token_id)));
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    identity_close(id);
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    assert_non_null(strstr(err_text(), "revoked"));

    request.ttl_seconds = 3601;
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_DENIED);
    request.ttl_seconds = 0;
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_INVALID);
    request = (struct token_request){.subject = STR("a\nb"), .ttl_seconds = 5};
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_INVALID);
    request.subject = STR("bob");
    buf_reset(&token);
    assert_int_equal(identity_issue(id, &request, &token, &token_id), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), OK);
    config.local_issuer.enabled = false;
    assert_int_equal(identity_reload(id, &config), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_DENIED);
    assert_true(identity_is_revoked(id, STR("local"), STR("anything")));
    identity_close(id);

    config.local_issuer.enabled = true;
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(identity_open(&config, &id), ERR_DENIED);
    assert_int_equal(unlink(path), 0);
    buf_free(&token);
    buf_free(&token_id);
    buf_free(&keys);
}

static void
test_local_tokens_are_issued_verified_and_revoked(void **state)
{
    (void)state;
    on_fiber(local_tokens);
}

static struct identity *shared;
static int finished;

static void
verify_unknown_key(void *arg)
{
    struct buf token = buf_make(8192);

    (void)arg;
    assert_int_equal(verify(shared, mint(rotated, "RS256", "unknown", "", &token), NULL, NULL),
                     ERR_DENIED);
    buf_free(&token);
    finished++;
}

static void
discovery_and_rotation(void)
{
    struct config_issuer issuers[2] = {corp(), corp()};
    struct config config = configuration(issuers, 1);
    struct buf token = buf_make(8192);
    struct fiber *fibers[50];
    struct arena *arena;
    struct principal p;

    idp.key_fetches = 0;
    publish(rsa, "one", ec, "two");
    assert_int_equal(identity_open(&config, &shared), OK);
    assert_int_equal(verify(shared, mint(rsa, "RS256", "one", "", &token), &p, &arena), OK);
    assert_true(str_is(p.subject, "agent") && str_is(p.issuer, "corp") && p.groups.n == 2);
    assert_int_equal(p.resources.n, 0);
    arena_free(arena);
    assert_int_equal(verify(shared, mint(ec, "ES256", "two", "", &token), NULL, NULL), OK);
    assert_int_equal(verify(shared, mint(rotated, "RS256", "one", "", &token), NULL, NULL),
                     ERR_DENIED);
    assert_int_equal(verify(shared, mint(rsa, "RS256", "two", "", &token), NULL, NULL), ERR_DENIED);
    assert_int_equal(idp.key_fetches, 1);

    /* `resources` of another issuer bind nothing, and mean nothing. */
    assert_int_equal(
        verify(shared, mint(rsa, "RS256", "one", ",\"resources\":\"x\"", &token), &p, &arena), OK);
    assert_int_equal(p.resources.n, 0);
    arena_free(arena);

    /* A new key is found by one fetch; the retired one is refused from then on. */
    publish(rotated, "three", ec, "two");
    assert_int_equal(verify(shared, mint(rotated, "RS256", "three", "", &token), NULL, NULL), OK);
    assert_int_equal(idp.key_fetches, 2);
    assert_int_equal(verify(shared, mint(rsa, "RS256", "one", "", &token), NULL, NULL), ERR_DENIED);

    /* Unknown keys cause no more. */
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(fiber_start("verify", verify_unknown_key, NULL, &fibers[i]), OK);
    for (size_t i = 0; i < 50; i++)
        fiber_join(fibers[i]);
    assert_int_equal(finished, 50);
    assert_int_equal(idp.key_fetches, 2);

    /* A reload keeps the keys of an issuer that is as it was, though other things about it change;
     * a disabled one is refused at once. */
    issuers[0].groups_claim = STR("");
    assert_int_equal(identity_reload(shared, &config), OK);
    assert_int_equal(verify(shared, mint(rotated, "RS256", "three", "", &token), &p, &arena), OK);
    assert_int_equal(p.groups.n, 0);
    arena_free(arena);
    assert_int_equal(idp.key_fetches, 2);
    config.n_issuers = 2;
    assert_int_equal(identity_reload(shared, &config), ERR_INVALID);
    config.n_issuers = 1;
    assert_int_equal(verify(shared, buf_str(&token), NULL, NULL), OK);
    issuers[0].enabled = false;
    assert_int_equal(identity_reload(shared, &config), OK);
    assert_int_equal(verify(shared, buf_str(&token), NULL, NULL), ERR_DENIED);
    assert_true(identity_is_revoked(shared, STR("corp"), STR("x")));
    identity_close(shared);
    buf_free(&token);
}

static void
test_keys_are_discovered_and_rotated_with_few_fetches(void **state)
{
    (void)state;
    on_fiber(discovery_and_rotation);
}

static void
broken_provider(void)
{
    struct config_issuer issuers[1] = {corp()};
    struct config config = configuration(issuers, 1);
    struct buf token = buf_make(8192);
    struct identity *id;

    publish(rsa, "one", ec, "two");
    issuers[0].jwks_uri = str_from(idp.keys_url);
    idp.broken = true;
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, mint(rsa, "RS256", "one", "", &token), NULL, NULL),
                     ERR_UNAVAILABLE);
    idp.broken = false;
    assert_int_equal(fiber_sleep_until(clock_monotonic_ms() + REFRESH_FIRST_RETRY_MS + 500),
                     ERR_TIMEOUT);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), OK);
    identity_close(id);
    buf_free(&token);
}

static void
test_without_keys_tokens_are_refused_until_the_provider_is_back(void **state)
{
    (void)state;
    on_fiber(broken_provider);
}

static enum err slow_result;

static void
verify_slow(void *arg)
{
    struct buf token = buf_make(8192);

    slow_result = verify(shared,
                         forge_token(rsa, "RS256", "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}",
                                     "{\"iss\":\"https://slow.example\"}", &token),
                         NULL, NULL);
    (void)arg;
    buf_free(&token);
}

static void
slow_provider(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct config_issuer issuers[2] = {corp(), corp()};
    struct config config = configuration(issuers, 2);
    struct buf token = buf_make(8192);
    int64_t started = clock_monotonic_ms();
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof(address);
    struct fiber *fiber;
    char url[80];

    /* It takes connections and says nothing. */
    assert_int_equal(bind(silent, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(silent, 4), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/keys", ntohs(address.sin_port));
    publish(rsa, "one", ec, "two");
    issuers[0].name = STR("slow");
    issuers[0].issuer = STR("https://slow.example");
    issuers[0].jwks_uri = str_from(url);
    slow_result = OK;
    assert_int_equal(identity_open(&config, &shared), OK);
    assert_int_equal(fiber_start("slow", verify_slow, NULL, &fiber), OK);
    fiber_yield();
    assert_int_equal(verify(shared, mint(rsa, "RS256", "one", "", &token), NULL, NULL), OK);
    assert_int_equal(slow_result, OK); /* it still waits */
    fiber_cancel(fiber);
    fiber_join(fiber);
    assert_int_equal(slow_result, ERR_CANCELED);
    identity_close(shared);
    assert_true(clock_monotonic_ms() - started < 5000);
    close(silent);
    buf_free(&token);
}

static void
test_a_silent_provider_holds_up_no_other_and_no_end(void **state)
{
    int64_t started = clock_monotonic_ms();

    (void)state;
    on_fiber(slow_provider);
    assert_true(clock_monotonic_ms() - started < 8000);
}

static void
one_use(void)
{
    struct config_issuer issuers[1] = {corp()};
    struct config config = configuration(issuers, 1);
    struct buf token = buf_make(8192);
    struct identity *id;

    publish(rsa, "one", ec, "two");
    issuers[0].one_use = true;
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, mint(rsa, "RS256", "one", "", &token), NULL, NULL), ERR_DENIED);
    mint(rsa, "RS256", "one", ",\"jti\":\"first\"", &token);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    assert_non_null(strstr(err_text(), "used before"));
    identity_close(id);
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    mint(rsa, "RS256", "one", ",\"jti\":\"second\"", &token);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), OK);
    identity_close(id);
    buf_free(&token);
}

static void
test_a_one_use_token_is_accepted_once_even_over_a_restart(void **state)
{
    (void)state;
    on_fiber(one_use);
}

static void
local_actors(void)
{
    static const struct str actors[] = {STR_INIT("planner"), STR_INIT("executor")};
    static struct str too_many[PRINCIPAL_ACTORS_MAX + 1];
    struct config config = configuration(NULL, 0);
    struct token_request request = {.subject = STR("alice"),
                                    .actors = {actors, 2},
                                    .task = STR("T-7"),
                                    .one_use = true,
                                    .ttl_seconds = 60};
    struct buf token = buf_make(TOKEN_BYTES_MAX), token_id = buf_make(256);
    struct arena *arena;
    struct principal p;
    struct identity *id;

    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(identity_issue(id, &request, &token, &token_id), OK);
    /* Only the console's client has ID tokens; ours are none. */
    arena = arena_new(1 << 20);
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR("bulkhead"), arena, &p),
                     ERR_DENIED);
    arena_free(arena);
    assert_int_equal(verify(id, buf_str(&token), &p, &arena), OK);
    assert_true(str_is(p.subject, "alice"));
    assert_int_equal(p.chain.n, 3);
    assert_true(str_is(p.chain.items[0], "alice"));
    assert_true(str_is(p.chain.items[1], "planner"));
    assert_true(str_is(p.chain.items[2], "executor"));
    assert_true(str_is(p.task, "T-7"));
    arena_free(arena);
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    assert_non_null(strstr(err_text(), "used before"));
    for (size_t i = 0; i <= PRINCIPAL_ACTORS_MAX; i++)
        too_many[i] = STR("a");
    request.actors = (struct str_list){too_many, PRINCIPAL_ACTORS_MAX + 1};
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_INVALID);
    too_many[0] = STR("");
    request.actors.n = 1;
    assert_int_equal(identity_issue(id, &request, &token, &token_id), ERR_INVALID);
    identity_close(id);
    buf_free(&token);
    buf_free(&token_id);
}

static void
test_a_local_token_says_who_acts_for_what_and_can_be_for_one_use(void **state)
{
    (void)state;
    on_fiber(local_actors);
}

static void
logins(void)
{
    struct config_issuer issuers[1] = {corp()};
    struct config config = configuration(issuers, 1);
    struct buf token = buf_make(8192);
    struct arena *arena = arena_new(1 << 20);
    struct principal p;
    struct identity *id;
    char header[64], payload[512];
    long long now = clock_wall_us() / 1000000;

    publish(rsa, "one", ec, "two");
    issuers[0].jwks_uri = str_from(idp.keys_url);
    issuers[0].one_use = true; /* of access tokens */
    assert_int_equal(identity_open(&config, &id), OK);
    snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"kid\":\"one\"}");
    snprintf(payload, sizeof(payload),
             "{\"iss\":\"%s\",\"aud\":\"console\",\"sub\":\"olga\",\"groups\":[\"dba\"],"
             "\"name\":\"Olga\",\"email\":\"o@e\",\"nonce\":\"n1\",\"iat\":%lld,\"exp\":%lld}",
             idp.issuer, now, now + 600);
    forge_token(rsa, "RS256", header, payload, &token);
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR("console"), arena, &p), OK);
    assert_true(str_is(p.subject, "olga") && str_is(p.name, "Olga") && str_is(p.email, "o@e") &&
                str_is(p.nonce, "n1") && p.groups.n == 1);
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR("other"), arena, &p),
                     ERR_DENIED);
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR(""), arena, &p), ERR_INVALID);
    /* It opens no session, and what opens sessions logs nobody in. */
    assert_int_equal(verify(id, buf_str(&token), NULL, NULL), ERR_DENIED);
    mint(rsa, "RS256", "one", ",\"jti\":\"login-1\"", &token);
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR("console"), arena, &p),
                     ERR_DENIED);
    forge_token(rotated, "RS256", header, payload, &token); /* another's key */
    assert_int_equal(identity_verify_login(id, buf_str(&token), STR("console"), arena, &p),
                     ERR_DENIED);
    identity_close(id);
    arena_free(arena);
    buf_free(&token);
}

static void
test_an_id_token_logs_in_at_the_console_only(void **state)
{
    (void)state;
    on_fiber(logins);
}

static void
other_issuers(void)
{
    struct config_issuer issuers[1] = {corp()};
    struct config config = configuration(issuers, 1);
    struct buf token = buf_make(8192), keys = buf_make(8192);
    struct identity *id;

    issuers[0].issuer = STR("https://elsewhere.example");
    issuers[0].enabled = false;
    assert_int_equal(identity_open(&config, &id), OK);
    assert_int_equal(verify(id, mint(rsa, "RS256", "one", "", &token), NULL, NULL), ERR_DENIED);
    assert_non_null(strstr(err_text(), "not known"));
    /* A token that names the local issuer but is signed by another key. */
    assert_int_equal(
        verify(id,
               forge_token(ec, "ES256", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
                           "{\"iss\":\"urn:bulkhead:local\",\"aud\":\"bulkhead\",\"sub\":\"x\","
                           "\"exp\":99999999999}",
                           &token),
               NULL, NULL),
        ERR_DENIED);
    assert_int_equal(verify(id, STR(""), NULL, NULL), ERR_DENIED);
    issuers[0].issuer = STR("urn:bulkhead:local");
    assert_int_equal(identity_reload(id, &config), ERR_INVALID);
    identity_close(id);
    buf_free(&token);
    buf_free(&keys);
}

static void
test_an_unknown_issuer_and_a_forged_local_token_are_refused(void **state)
{
    (void)state;
    on_fiber(other_issuers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discovery_must_be_of_this_issuer_and_its_host),
        cmocka_unit_test(test_a_token_causes_one_fetch_in_thirty_seconds),
        cmocka_unit_test(test_a_good_set_is_kept_for_a_day_and_failures_back_off),
        cmocka_unit_test(test_an_expiry_set_survives_and_forgets_and_is_bounded),
        cmocka_unit_test(test_local_tokens_are_issued_verified_and_revoked),
        cmocka_unit_test(test_keys_are_discovered_and_rotated_with_few_fetches),
        cmocka_unit_test(test_without_keys_tokens_are_refused_until_the_provider_is_back),
        cmocka_unit_test(test_a_silent_provider_holds_up_no_other_and_no_end),
        cmocka_unit_test(test_a_one_use_token_is_accepted_once_even_over_a_restart),
        cmocka_unit_test(test_a_local_token_says_who_acts_for_what_and_can_be_for_one_use),
        cmocka_unit_test(test_an_id_token_logs_in_at_the_console_only),
        cmocka_unit_test(test_an_unknown_issuer_and_a_forged_local_token_are_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
