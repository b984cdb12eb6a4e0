#include "cli/approval_view.h"

#include <string.h>
#include <time.h>

#include "cli/api_client.h"
#include "cli/audit_view.h"

enum { CELL_MAX = 40, STATEMENT_CELL_MAX = 60, LABEL_WIDTH = 12 };

static void
put(FILE *out, const char *text)
{
    audit_print_safe(out, str_from(text), true);
}

/* At most `width` bytes of one line, padded. */
static void
put_cell(FILE *out, const char *text, size_t width)
{
    size_t len = strcspn(text, "\r\n"), shown = len > width ? width - 1 : len;

    while (shown > 0 && shown < len && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--; /* never half a character */
    audit_print_safe(out, (struct str){text, shown}, false);
    if (shown < strlen(text))
        fputs("…", out);
    for (size_t i = shown + (shown < strlen(text)); i < width; i++)
        fputc(' ', out);
    fputs("  ", out);
}

/* "human → planner → executor" */
static void
put_chain(FILE *out, const json_t *chain)
{
    size_t i;
    json_t *each;

    json_array_foreach(chain, i, each)
    {
        if (i > 0)
            fputs(" → ", out);
        audit_print_safe(out, str_from(json_string_value(each)), false);
    }
}

static void
put_words(FILE *out, const json_t *list)
{
    size_t i;
    json_t *each;

    json_array_foreach(list, i, each)
    {
        fputs(i > 0 ? ", " : "", out);
        audit_print_safe(out, str_from(json_string_value(each)), false);
    }
}

static void
label(FILE *out, const char *name)
{
    fprintf(out, "%-*s ", LABEL_WIDTH, name);
}

static void
field(FILE *out, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    label(out, name);
    audit_print_safe(out, str_from(text), false);
    fputc('\n', out);
}

/* The seconds from now until an RFC 3339 time; 0 if it has passed. */
static long
seconds_until(const char *text)
{
    struct tm tm = {0};
    long left;

    if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL)
        return 0;
    left = (long)(timegm(&tm) - time(NULL));
    return left > 0 ? left : 0;
}

static void
put_left(FILE *out, const json_t *request)
{
    long left = seconds_until(api_text(request, "expires"));

    if (strcmp(api_text(request, "state"), "pending") != 0)
        fputs(api_text(request, "state"), out);
    else
        fprintf(out, "%ld:%02ld left", left / 60, left % 60);
}

/* --- lists ---------------------------------------------------------------------------------- */

static const char *
what_of(const json_t *request)
{
    const json_t *command = json_object_get(request, "command");

    return json_is_object(command) ? api_text(command, "text") : api_text(request, "reason");
}

void
approval_print_list(FILE *out, const json_t *items)
{
    size_t i;
    json_t *r;

    if (json_array_size(items) == 0) {
        fputs("no request\n", out);
        return;
    }
    fprintf(out, "%-16s  %-10s  %-20s  %-16s  %-24s  %s\n", "REQUEST", "STATE", "WHO", "RESOURCE",
            "RULE", "WHAT");
    json_array_foreach(items, i, r)
    {
        put_cell(out, api_text(r, "id"), 16);
        put_cell(out, api_text(r, "state"), 10);
        put_cell(out, api_text(r, "subject"), 20);
        put_cell(out, api_text(r, "resource"), 16);
        put_cell(out, api_text(r, "rule"), 24);
        put_cell(out, what_of(r), STATEMENT_CELL_MAX);
        fputc('\n', out);
    }
}

void
access_print_list(FILE *out, const json_t *items)
{
    size_t i;
    json_t *g;

    if (json_array_size(items) == 0) {
        fputs("no grant of access\n", out);
        return;
    }
    fprintf(out, "%-16s  %-20s  %-16s  %-20s  %-20s  %s\n", "GRANT", "WHO", "RESOURCE", "UNTIL",
            "BY", "REASON");
    json_array_foreach(items, i, g)
    {
        put_cell(out, api_text(g, "id"), 16);
        put_cell(out, api_text(g, "subject"), 20);
        put_cell(out, api_text(g, "resource"), 16);
        fprintf(out, "%.19sZ  ", api_text(g, "expires"));
        put_cell(out, api_text(g, "by"), 20);
        put_cell(out, api_text(g, "reason"), CELL_MAX);
        fputc('\n', out);
    }
}

/* --- one ------------------------------------------------------------------------------------ */

static void
put_objects(FILE *out, const json_t *command)
{
    const json_t *objects = json_object_get(command, "objects");
    size_t i;
    json_t *o;

    json_array_foreach(objects, i, o)
    {
        label(out, i == 0 ? "touches" : "");
        fprintf(out, "%s ", api_text(o, "effect"));
        if (*api_text(o, "schema") != '\0') {
            audit_print_safe(out, str_from(api_text(o, "schema")), false);
            fputc('.', out);
        }
        audit_print_safe(out, str_from(api_text(o, "name")), false);
        fprintf(out, " (%s)\n", api_text(o, "kind"));
    }
}

static void
put_binds(FILE *out, const json_t *command)
{
    const json_t *binds = json_object_get(command, "binds");
    size_t i;
    json_t *b;

    json_array_foreach(binds, i, b)
    {
        label(out, i == 0 ? "values" : "");
        fprintf(out, "$%zu = ", i + 1);
        if (json_is_true(json_object_get(b, "null")))
            fputs("NULL", out);
        else
            audit_print_safe(out, str_from(api_text(b, "text")), false);
        fputc('\n', out);
    }
}

static void
put_table(FILE *out, const char *name, const json_t *sample)
{
    const json_t *rows = json_object_get(sample, "rows");
    size_t i, k;
    json_t *row, *value;

    json_array_foreach(rows, i, row)
    {
        label(out, i == 0 ? name : "");
        json_array_foreach(row, k, value)
        {
            fputs(k > 0 ? " | " : "", out);
            audit_print_safe(
                out, str_from(json_is_string(value) ? json_string_value(value) : "NULL"), false);
        }
        fputc('\n', out);
    }
}

static void
put_preview(FILE *out, const json_t *preview)
{
    const char *kind = api_text(preview, "kind");
    const json_t *rows = json_object_get(preview, "rows");

    if (strcmp(kind, "none") != 0 || *api_text(preview, "error") != '\0') {
        label(out, "effect");
        if (json_is_integer(rows))
            fprintf(out, "%s%lld rows ", strcmp(kind, "estimate") == 0 ? "about " : "",
                    (long long)json_integer_value(rows));
        fprintf(out, "(%s) ", kind);
        audit_print_safe(out, str_from(api_text(preview, "text")), false);
        audit_print_safe(out, str_from(api_text(preview, "error")), false);
        fputc('\n', out);
    }
    put_table(out, "before", json_object_get(preview, "before"));
    put_table(out, "after", json_object_get(preview, "after"));
    if (json_array_size(json_object_get(preview, "objects")) > 0) {
        label(out, "depends on it");
        put_words(out, json_object_get(preview, "objects"));
        fputc('\n', out);
    }
}

static void
put_command(FILE *out, const json_t *request)
{
    const json_t *command = json_object_get(request, "command");

    if (!json_is_object(command))
        return;
    fputc('\n', out);
    put(out, *api_text(command, "formatted") != '\0' ? api_text(command, "formatted")
                                                     : api_text(command, "text"));
    fputs("\n\n", out);
    put_binds(out, command);
    put_objects(out, command);
    put_preview(out, json_object_get(request, "preview"));
}

static void
put_decisions(FILE *out, const json_t *request)
{
    const json_t *decisions = json_object_get(request, "decisions");
    size_t i;
    json_t *d;

    json_array_foreach(decisions, i, d)
    {
        label(out, i == 0 ? "decided" : "");
        fprintf(out, "%s by ", api_text(d, "verdict"));
        audit_print_safe(out, str_from(api_text(d, "subject")), false);
        fputs(*api_text(d, "reason") != '\0' ? ": " : "", out);
        audit_print_safe(out, str_from(api_text(d, "reason")), false);
        fputc('\n', out);
    }
}

static void
put_risk(FILE *out, const json_t *request)
{
    const json_t *risk = json_object_get(request, "risk");
    size_t i;
    json_t *each;

    json_array_foreach(risk, i, each)
    {
        label(out, i == 0 ? "mind" : "");
        audit_print_safe(out, str_from(json_string_value(each)), false);
        fputc('\n', out);
    }
}

/* Whether the reader may decide, or why not. */
static void
put_you(FILE *out, const json_t *request)
{
    const json_t *you = json_object_get(request, "you");

    label(out, "you");
    if (json_is_true(json_object_get(you, "may_decide")))
        fputs("may decide", out);
    else
        audit_print_safe(out, str_from(api_text(you, "why_not")), false);
    if (json_is_true(json_object_get(you, "may_override")))
        fputs(json_is_true(json_object_get(you, "may_decide")) ? " and override" : "; may override",
              out);
    fputc('\n', out);
}

void
approval_print_whole(FILE *out, const json_t *request)
{
    const json_t *approvers = json_object_get(request, "approvers");

    label(out, "request");
    fprintf(out, "%s, ", api_text(request, "id"));
    put_left(out, request);
    fputc('\n', out);
    label(out, "who");
    put_chain(out, json_object_get(request, "chain"));
    fputc('\n', out);
    label(out, "where");
    audit_print_safe(out, str_from(api_text(request, "resource")), false);
    if (*api_text(request, "database") != '\0') {
        fputs(", database ", out);
        audit_print_safe(out, str_from(api_text(request, "database")), false);
    }
    fputs(json_is_true(json_object_get(request, "in_transaction")) ? ", in a transaction\n" : "\n",
          out);
    field(out, "purpose", api_text(request, "purpose"));
    field(out, "reason", api_text(request, "reason"));
    field(out, "rule", api_text(request, "rule"));
    label(out, "approvers");
    put_words(out, json_object_get(approvers, "groups"));
    put_words(out, json_object_get(approvers, "subjects"));
    fprintf(out, " (%lld needed)\n",
            (long long)json_integer_value(json_object_get(request, "approvals_needed")));
    put_command(out, request);
    put_risk(out, request);
    put_decisions(out, request);
    put_you(out, request);
}

void
approval_print_state(FILE *out, const json_t *request)
{
    fprintf(out, "%s is %s\n", api_text(request, "id"), api_text(request, "state"));
}
