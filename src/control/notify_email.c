/* E-mail: plain text in UTF-8 (RFC 5322, 2045, 2047). Nothing that an agent says reaches a header
 * but the subject, and that as an encoded word; the body is base64. */
#include <stdio.h>
#include <time.h>

#include "base/encode.h"
#include "control/notify_text.h"

enum {
    ADDRESS_BYTES_MAX = 254,
    WORD_BYTES_MAX = 45,  /* in one encoded word: 60 characters of base64, 75 with what is around */
    FIRST_BYTES_MAX = 36, /* behind the header's name */
    LINE_BYTES = 57,      /* 76 characters of base64 */
    TEXT_BYTES_MAX = 16 << 10,
};

bool
notify_is_address(struct str address)
{
    size_t at = str_index(address, '@');

    if (address.len > ADDRESS_BYTES_MAX || at == 0 || at + 1 >= address.len ||
        str_index(str_skip(address, at + 1), '@') < address.len - at - 1)
        return false;
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];

        if (c <= 0x20 || c >= 0x7f || strchr("<>()[],;:\\\"", c) != NULL)
            return false;
    }
    return address.ptr[0] != '-';
}

/* RFC 2047 §2: words of whole characters, on lines of their own. */
static void
put_encoded_words(struct buf *out, struct str text)
{
    for (bool first = true; text.len > 0; first = false) {
        struct str word = notify_cut(text, first ? FIRST_BYTES_MAX : WORD_BYTES_MAX);

        buf_put_text(out, first ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?");
        encode_base64(out, word);
        buf_put_text(out, "?=");
        text = str_skip(text, word.len);
    }
}

/* RFC 5322 §3.3, without the C locale. */
static void
put_date(struct buf *out, int64_t wall_us)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    buf_printf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n", days + 3 * tm.tm_wday,
               tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
               tm.tm_sec);
}

static void
put_headers(const struct notification *n, struct str from, struct str_list to, int64_t wall_us,
            struct buf *out)
{
    struct buf title = buf_make(1024);

    put_date(out, wall_us);
    buf_printf(out, "From: Bulkhead <%.*s>\r\nTo: ", STR_ARG(from));
    for (size_t i = 0; i < to.n; i++)
        buf_printf(out, "%s%.*s", i > 0 ? ",\r\n " : "", STR_ARG(to.items[i]));
    buf_put_text(&title,
                 n->event == NOTIFY_BREAK_GLASS ? "[Bulkhead] BREAK-GLASS " : "[Bulkhead] ");
    notify_title(n, &title);
    buf_put_text(out, "\r\nSubject: ");
    put_encoded_words(out, buf_str(&title));
    buf_printf(out, "\r\nMessage-ID: <%.*s@bulkhead.invalid>\r\n", STR_ARG(n->id));
    buf_printf(out, "X-Bulkhead-Event: %s\r\n", notify_event_name(n->event));
    buf_put_text(out, "Auto-Submitted: auto-generated\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: text/plain; charset=utf-8\r\n"
                      "Content-Transfer-Encoding: base64\r\n\r\n");
    buf_free(&title);
}

static void
put_fact(void *arg, const char *name, struct str value)
{
    struct buf *out = arg;

    buf_printf(out, "%-10s", name);
    buf_put_str(out, value);
    buf_put_text(out, "\r\n");
}

/* Indented, so that none of its lines looks like one of ours. */
static void
put_statement(const struct notification *n, struct buf *out)
{
    struct buf text = buf_make(2 * NOTIFY_STATEMENT_MAX);
    struct str rest;

    notify_put_plain(&text, n->statement, NOTIFY_STATEMENT_MAX, true);
    buf_put_text(out, "\r\n");
    for (rest = buf_str(&text); rest.len > 0;) {
        struct str line;

        rest = str_cut(rest, '\n', &line);
        buf_put_text(out, "    ");
        buf_put_str(out, line);
        buf_put_text(out, "\r\n");
    }
    buf_free(&text);
}

void
notify_email_message(const struct notification *n, struct str from, struct str_list to,
                     int64_t wall_us, struct buf *out)
{
    struct buf text = buf_make(TEXT_BYTES_MAX);
    struct str rest;

    put_headers(n, from, to, wall_us, out);
    notify_title(n, &text);
    buf_put_text(&text, ".\r\n\r\n");
    notify_each_fact(n, put_fact, &text);
    if (n->statement.len > 0)
        put_statement(n, &text);
    if (n->link.len > 0)
        buf_printf(&text, "\r\n%s: %.*s\r\n", n->is_pending ? "Decide" : "See", STR_ARG(n->link));
    buf_printf(&text, "\r\nRequest %.*s\r\n", STR_ARG(n->request));
    for (rest = buf_str(&text); rest.len > 0; rest = str_skip(rest, LINE_BYTES)) {
        encode_base64(out, (struct str){rest.ptr, rest.len < LINE_BYTES ? rest.len : LINE_BYTES});
        buf_put_text(out, "\r\n");
    }
    buf_free(&text);
}
