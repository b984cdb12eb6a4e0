#include "ledger/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/table.h"

/* A command by session and number. */
enum { COMMAND_KEY_BYTES = 64 };

struct verifier {
    int directory_fd;
    struct verify_result *result;
    struct line_hasher *hasher;
    struct table *open; /* intents without outcome so far; the values mean nothing */
    uint64_t next_seq;
    unsigned char last[LINE_HASH_BYTES];
};

static enum err
parse(struct str text, json_t **out)
{
    json_error_t error;

    *out = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (*out == NULL)
        return fail(ERR_INVALID, "not JSON: %s (at byte %d)", error.text, error.position);
    return OK;
}

static bool
member_is(const json_t *object, const char *key, struct str value)
{
    const json_t *member = json_object_get(object, key);

    return json_is_string(member) &&
           str_equal((struct str){json_string_value(member), json_string_length(member)}, value);
}

/* The head that line_read() took by position is what a JSON reader sees. */
static enum err
check_head(const json_t *object, const struct line *line)
{
    const json_t *seq = json_object_get(object, "seq");

    if (!json_is_integer(seq) || (uint64_t)json_integer_value(seq) != line->seq ||
        !member_is(object, "time", line->time) || !member_is(object, "type", line->type))
        return fail(ERR_INVALID, "record %llu says two things of itself",
                    (unsigned long long)line->seq);
    return OK;
}

enum err
verify_json(struct str text, const struct line *line)
{
    json_t *object;
    enum err e;

    if ((e = parse(text, &object)) != OK)
        return e;
    e = check_head(object, line);
    json_decref(object);
    return e;
}

/* The key of the command that a record speaks of; false if it speaks of none. */
static bool
command_key(const json_t *object, char out[COMMAND_KEY_BYTES])
{
    const json_t *session = json_object_get(object, "session");
    const json_t *command = json_object_get(object, "command");
    int n;

    if (!json_is_string(session) || !json_is_integer(command))
        return false;
    n = snprintf(out, COMMAND_KEY_BYTES, "%s/%lld", json_string_value(session),
                 (long long)json_integer_value(command));
    return n > 0 && n < COMMAND_KEY_BYTES;
}

/* Whether the record says that the command goes on: it was admitted, or humans agreed to it. */
static bool
goes_on(const json_t *object, const struct line *line)
{
    if (str_is(line->type, "decision"))
        return member_is(object, "decision", STR("approved"));
    return str_is(line->type, "command_intent") && (member_is(object, "verdict", STR("allow")) ||
                                                    member_is(object, "verdict", STR("modify")));
}

/* Pairs what was admitted with outcomes. Of a command that several must agree to, each approval
 * says that it goes on, and one refusal that it does not. */
static void
count_command(struct verifier *v, const json_t *object, const struct line *line)
{
    static const char mark = 0;
    char key[COMMAND_KEY_BYTES];

    if (!command_key(object, key))
        return;
    if (goes_on(object, line)) {
        if (table_get(v->open, str_from(key)) != NULL)
            return;
        v->result->intents++;
        if (table_put(v->open, str_from(key), (void *)(uintptr_t)&mark, NULL) != OK)
            v->result->outcomes_not_counted = true;
    } else if (str_is(line->type, "command_outcome")) {
        (void)table_remove(v->open, str_from(key));
    } else if (str_is(line->type, "decision") && table_remove(v->open, str_from(key)) != NULL) {
        v->result->intents--;
    }
}

static enum err
check_record(struct verifier *v, struct str text)
{
    struct verify_result *result = v->result;
    struct line line;
    json_t *object;
    enum err e;

    if ((e = line_read(text, &line)) != OK ||
        (e = line_check(v->hasher, &line, v->next_seq, v->last)) != OK ||
        (e = parse(text, &object)) != OK)
        return e;
    if ((e = check_head(object, &line)) == OK) {
        count_command(v, object, &line);
        v->next_seq++;
        memcpy(v->last, line.hash, sizeof(v->last));
        result->records++;
        if (result->first_time[0] == '\0')
            (void)snprintf(result->first_time, VERIFY_TIME_BYTES, "%.*s", STR_ARG(line.time));
        (void)snprintf(result->last_time, VERIFY_TIME_BYTES, "%.*s", STR_ARG(line.time));
    }
    json_decref(object);
    return e;
}

static enum err
check_lines(struct verifier *v, struct series_reader *reader, bool is_last)
{
    struct str text;
    enum err e;

    v->result->line = 0;
    while ((e = series_next(reader, &text)) == OK) {
        v->result->line++;
        v->result->bytes += text.len + 1;
        if ((e = check_record(v, text)) != OK)
            return e;
    }
    if (e == ERR_TRUNCATED) {
        v->result->line++;
        if (!is_last)
            return fail(ERR_INVALID, "the file ends within a record");
        v->result->torn_bytes = text.len;
        return OK;
    }
    if (e == ERR_LIMIT)
        return fail(ERR_INVALID, "a line of more than %d bytes", LINE_BYTES_MAX);
    if (e == ERR_CLOSED && v->result->line == 0 && !is_last)
        return fail(ERR_INVALID, "the file is empty, but not the last");
    return e == ERR_CLOSED ? OK : e;
}

static enum err
check_file(struct verifier *v, const struct series_file *file, bool is_last)
{
    struct series_reader reader;
    enum err e;
    int fd;

    memcpy(v->result->file, file->name, sizeof(file->name));
    v->result->line = 0;
    v->result->files++;
    if (file->first_seq != v->next_seq)
        return fail(ERR_INVALID, "record %llu must come first here: records are missing",
                    (unsigned long long)v->next_seq);
    fd = openat(v->directory_fd, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail_errno(ERR_IO, "cannot open %s", file->name);
    reader = series_read_from(fd, 0);
    e = check_lines(v, &reader, is_last);
    series_reader_free(&reader);
    close(fd);
    return e;
}

static enum err
check_files(struct verifier *v)
{
    struct series_file *files;
    size_t n;
    enum err e;

    if ((e = series_list(v->directory_fd, &files, &n)) != OK)
        return e;
    if (n == 0)
        e = fail(ERR_NOT_FOUND, "there is no ledger in this directory");
    for (size_t i = 0; i < n && e == OK; i++)
        e = check_file(v, &files[i], i + 1 == n);
    free(files);
    return e;
}

enum err
verify_ledger(const char *directory, struct verify_result *result)
{
    struct verifier v = {.result = result, .next_seq = 1};
    enum err e;

    *result = (struct verify_result){0};
    v.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (v.directory_fd < 0)
        return fail_errno(errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s", directory);
    v.hasher = line_hasher_new();
    v.open = table_new(VERIFY_OPEN_INTENTS_MAX);
    if (v.hasher == NULL || v.open == NULL)
        e = fail(ERR_NOMEM, "no memory to verify");
    else
        e = check_files(&v);
    if (v.open != NULL)
        result->without_outcome = table_count(v.open);
    memcpy(result->last_hash, v.last, sizeof(v.last));
    table_free(v.open);
    line_hasher_free(v.hasher);
    close(v.directory_fd);
    return e;
}
