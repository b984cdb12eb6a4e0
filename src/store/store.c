#include "store/store.h"

#include <jansson.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/encode.h"
#include "base/json.h"
#include "store/migrations.h"

static enum err
open_sqlite(const struct config *config, struct db **out)
{
    struct buf path = buf_make(4096);
    enum err e;

    if (config->store.path.len > 0) {
        buf_put_str(&path, config->store.path);
    } else {
        buf_put_str(&path, config->state_directory);
        buf_put_text(&path, "/control.db");
    }
    if ((e = buf_ok(&path)) == OK)
        e = db_open_sqlite(buf_str(&path), out);
    buf_free(&path);
    return e;
}

static enum err
open_postgresql(const struct config *config, struct db **out)
{
    struct buf password = buf_make(4096);
    enum err e = OK;

    if (config->store.password.source != SECRET_NONE)
        e = config_read_secret(&config->store.password, &password);
    if (e == OK)
        e = db_open_postgresql(config->store.connection, buf_str(&password), out);
    buf_free_secret(&password);
    return e;
}

enum err
store_open(const struct config *config, struct db **out)
{
    struct db *db = NULL;
    enum err e = config->store.kind == CONFIG_STORE_POSTGRESQL ? open_postgresql(config, &db)
                                                               : open_sqlite(config, &db);

    if (e == OK && (e = migrations_run(db)) != OK) {
        db_close(db);
        return e;
    }
    if (e == OK)
        *out = db;
    return e;
}

enum err
store_new_id(char out[STORE_ID_BYTES + 1])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char random[10];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return fail_errno(ERR_IO, "getrandom");
    for (size_t i = 0; i < 2; i++) { /* five bytes make eight digits */
        uint64_t bits = 0;

        for (size_t k = 0; k < 5; k++)
            bits = bits << 8 | random[i * 5 + k];
        for (size_t k = 0; k < 8; k++)
            out[i * 8 + k] = digits[bits >> (35 - 5 * k) & 31];
    }
    out[STORE_ID_BYTES] = '\0';
    return OK;
}

bool
store_is_id(struct str id)
{
    if (id.len != STORE_ID_BYTES)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (!(id.ptr[i] >= 'a' && id.ptr[i] <= 'z') && !(id.ptr[i] >= '2' && id.ptr[i] <= '7'))
            return false;
    return true;
}

void
store_session_text(uint64_t session, char out[17])
{
    (void)snprintf(out, 17, "%016llx", (unsigned long long)session);
}

enum err
store_session_number(struct str text, uint64_t *out)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.len && text.len == 16; i++) {
        int digit = hex_digit(text.ptr[i]);

        if (digit < 0 || (text.ptr[i] >= 'A' && text.ptr[i] <= 'F'))
            return fail(ERR_INVALID, "a session is 16 hexadecimal digits");
        number = number << 4 | (unsigned)digit;
    }
    if (text.len != 16)
        return fail(ERR_INVALID, "a session is 16 hexadecimal digits");
    *out = number;
    return OK;
}

void
store_put_list(struct buf *out, struct str_list list)
{
    struct json j = json_to(out);

    json_open(&j, '[');
    for (size_t i = 0; i < list.n; i++)
        json_str(&j, list.items[i]);
    json_close(&j, ']');
}

static enum err
read_items(const json_t *array, struct arena *arena, struct str_list *out)
{
    size_t n = json_array_size(array);
    struct str *items = arena_array(arena, n == 0 ? 1 : n, sizeof(*items));

    if (items == NULL)
        return fail(ERR_NOMEM, "no memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);

        if (!json_is_string(item))
            return fail(ERR_INVALID, "the store holds a list that is not one");
        items[i] =
            arena_str(arena, (struct str){json_string_value(item), json_string_length(item)});
        if (items[i].ptr == NULL)
            return fail(ERR_NOMEM, "no memory");
    }
    *out = (struct str_list){items, n};
    return OK;
}

enum err
store_read_list(struct str text, size_t max, struct arena *arena, struct str_list *out)
{
    json_t *array = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    enum err e;

    if (!json_is_array(array))
        e = fail(ERR_INVALID, "the store holds a list that is not one");
    else if (json_array_size(array) > max)
        e = fail(ERR_LIMIT, "the store holds a list of more than %zu entries", max);
    else
        e = read_items(array, arena, out);
    json_decref(array);
    return e;
}

struct str
store_clean(struct arena *arena, struct str s, size_t max)
{
    char *copy = arena_alloc(arena, (s.len < max ? s.len : max) + 1);
    size_t at = 0;

    if (copy == NULL)
        return (struct str){NULL, 0};
    while (at < s.len) {
        size_t n = str_utf8_length(str_skip(s, at));
        bool plain = n > 0 && s.ptr[at] != '\0';

        if (at + (n == 0 ? 1 : n) > max)
            break;
        if (plain)
            memcpy(copy + at, s.ptr + at, n);
        else
            copy[at] = '?';
        at += plain ? n : 1;
    }
    return (struct str){copy, at};
}

/* --- things that may be used once ------------------------------------------------------------ */

static enum err
took(void *arg, const struct db_row *row)
{
    bool *taken = arg;

    (void)row;
    *taken = true;
    return OK;
}

enum err
one_use_take(struct db *db, const char *kind, struct str id, int64_t now_us, int64_t expires_us)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct buf hex = buf_make(2 * sizeof(digest));
    bool taken = false;
    enum err e;

    if (expires_us <= now_us)
        return fail(ERR_EXISTS, "it has expired");
    (void)SHA256((const unsigned char *)id.ptr, id.len, digest);
    encode_hex(&hex, (struct str){(const char *)digest, sizeof(digest)});
    if ((e = buf_ok(&hex)) == OK)
        e = db_exec(db,
                    "INSERT INTO one_use (kind, id, expires_us) VALUES ($1, $2, $3)"
                    " ON CONFLICT (kind, id) DO NOTHING RETURNING expires_us",
                    DB_PARAMS(db_text(str_from(kind)), db_text(buf_str(&hex)), db_int(expires_us)),
                    took, &taken, NULL);
    buf_free(&hex);
    if (e == OK && !taken)
        return fail(ERR_EXISTS, "it was used already");
    return e;
}

enum err
one_use_prune(struct db *db, int64_t now_us)
{
    return db_exec(db, "DELETE FROM one_use WHERE expires_us < $1", DB_PARAMS(db_int(now_us)), NULL,
                   NULL, NULL);
}
