#include "mask/detect_find.h"

#include <stdlib.h>

#include "mask/detect_follow.h"

static void
overwrite_later(struct detect_window *w, size_t from, size_t to)
{
    struct detectors *d = w->d;

    if (d->n_ranges == d->ranges_capacity) {
        size_t capacity = d->ranges_capacity == 0 ? 64 : d->ranges_capacity * 2;
        struct detect_range *ranges = reallocarray(d->ranges, capacity, sizeof(*ranges));

        if (ranges == NULL) {
            w->overflow = true;
            return;
        }
        d->ranges = ranges;
        d->ranges_capacity = capacity;
    }
    d->ranges[d->n_ranges++] = (struct detect_range){from, to};
}

static void
found(struct detect_window *w, const struct detect_pattern *p, size_t from, size_t to)
{
    w->found++;
    if (w->hits != NULL)
        w->hits[p->rule]++;
    overwrite_later(w, from, to);
}

/* How much of the window PCRE2 may see: of a part of a value, whole characters only. */
static size_t
visible(const struct detect_window *w, const struct detect_pattern *p)
{
    return p->shape == NULL && !w->last ? w->characters : w->bytes.len;
}

static bool
is_inner(const struct detect_window *w, size_t at)
{
    return at < w->bytes.len && ((unsigned char)w->bytes.ptr[at] & 0xC0) == 0x80;
}

/* The place, or for an operator's pattern the next one where a character begins. */
static size_t
character_start(const struct detect_window *w, const struct detect_pattern *p, size_t at)
{
    while (p->shape == NULL && is_inner(w, at))
        at++;
    return at;
}

/* Sets w->piece to the valid UTF-8 that holds `at`, or else to the next behind it; false if there
 * is none. Asked for places in rising order it reads the window once. */
static bool
find_piece(struct detect_window *w, size_t at)
{
    struct str seen = {w->bytes.ptr, w->characters};
    struct detect_range *piece = &w->piece;
    size_t length;

    if (w->text) {
        *piece = (struct detect_range){0, seen.len};
        return at < seen.len;
    }
    if (at < piece->from)
        *piece = (struct detect_range){0, 0};
    while (piece->to <= at) {
        piece->from = piece->to;
        while (piece->from < seen.len && str_utf8_length(str_skip(seen, piece->from)) == 0)
            piece->from++;
        for (piece->to = piece->from; piece->to < seen.len; piece->to += length)
            if ((length = str_utf8_length(str_skip(seen, piece->to))) == 0)
                break;
        if (piece->from == seen.len)
            return false;
    }
    return true;
}

enum answer { ANSWER_NONE, ANSWER_MATCH, ANSWER_PARTIAL, ANSWER_TROUBLE };

struct match {
    size_t start; /* where it was found; a pattern with \K then reports less */
    size_t from, to;
};

/* What PCRE2 is shown: for a detector's shape the window, for an operator's pattern the piece. It
 * is known to be UTF-8: PCRE2 would check all of it again at each call. */
static struct str
shown(const struct detect_window *w, const struct detect_pattern *p, size_t *offset,
      uint32_t *options)
{
    if (!w->first)
        *options |= PCRE2_NOTBOL;
    *offset = 0;
    if (p->shape != NULL)
        return w->bytes;
    *offset = w->piece.from;
    *options |= PCRE2_NO_UTF_CHECK;
    if (w->piece.from > 0)
        *options |= PCRE2_NOTBOL;
    if (w->piece.to < w->characters) /* whatever comes, it ends here */
        *options |= PCRE2_NOTEOL;
    else if (!w->last)
        *options |= PCRE2_PARTIAL_HARD;
    return (struct str){w->bytes.ptr + w->piece.from, w->piece.to - w->piece.from};
}

/* The first match that begins in [at, before). */
static enum answer
match_first(struct detect_window *w, const struct detect_pattern *p, size_t at, size_t before,
            uint32_t options, struct match *out)
{
    struct detectors *d = w->d;
    const size_t *offsets = pcre2_get_ovector_pointer(d->match);
    size_t offset;
    struct str subject = shown(w, p, &offset, &options);
    int result;

    if (p->shape != NULL && !w->last)
        options |= PCRE2_PARTIAL_HARD;
    if ((options & PCRE2_ANCHORED) != 0) /* asked when there was no more waiting */
        options &= ~(uint32_t)PCRE2_PARTIAL_HARD;
    (void)pcre2_set_offset_limit(d->limits, before - 1 - offset);
    d->work++;
    result = pcre2_match(p->code, (PCRE2_SPTR)subject.ptr, subject.len, at - offset,
                         options | PCRE2_NOTEMPTY, d->match, d->limits);
    if (result == PCRE2_ERROR_NOMATCH)
        return ANSWER_NONE;
    if (result < 0 && result != PCRE2_ERROR_PARTIAL)
        return ANSWER_TROUBLE;
    out->start = pcre2_get_startchar(d->match) + offset;
    if (result == PCRE2_ERROR_PARTIAL)
        return ANSWER_PARTIAL;
    out->from = offsets[0] + offset;
    out->to = offsets[1] + offset;
    return out->from < out->to ? ANSWER_MATCH : ANSWER_TROUBLE;
}

/* Takes the match, and what follows it. */
static void
take(struct detect_window *w, const struct detect_pattern *p, struct detect_cursor *c,
     const struct match *m)
{
    size_t to = m->to;

    if (p->shape != NULL && p->shape->follow != DETECT_FOLLOW_NONE)
        c->following = detect_follow(p->shape->follow, w->bytes, m->to, true, &to) && !w->last;
    found(w, p, m->from, to);
    c->tried = to > m->start ? to : character_start(w, p, m->start + 1);
}

/* What might be a match but is too long already to wait for its end: it counts if it is one as
 * far as it goes. */
static bool
give_up_waiting(struct detect_window *w, const struct detect_pattern *p, struct detect_cursor *c,
                struct match *m)
{
    if (visible(w, p) - m->start <= DETECT_MATCH_MAX)
        return false;
    c->tried = character_start(w, p, m->start + 1);
    if (match_first(w, p, m->start, m->start + 1, PCRE2_ANCHORED, m) == ANSWER_MATCH)
        take(w, p, c, m);
    return true;
}

/* Where a match may begin that has its first trigger at `end`. */
static size_t
reach(const struct detect_window *w, const struct detect_pattern *p, size_t end)
{
    if (p->shape != NULL)
        return detect_shape_reach(p->shape, w->bytes, end);
    return end > p->back ? end - p->back : 0;
}

/* Tries to match at each place in [at, before) that was not tried. */
static void
search(struct detect_window *w, const struct detect_pattern *p, struct detect_cursor *c, size_t at,
       size_t before)
{
    struct match m;

    if (before > visible(w, p))
        before = visible(w, p);
    while (!c->waiting && !c->following) {
        size_t until = before;

        if (at < c->tried)
            at = c->tried;
        if (p->shape == NULL) {
            if (!find_piece(w, at))
                return;
            at = character_start(w, p, at < w->piece.from ? w->piece.from : at);
            until = w->piece.to < before ? w->piece.to : before;
        }
        if (at >= before)
            return;
        switch (match_first(w, p, at, until, 0, &m)) {
        case ANSWER_NONE:
            c->tried = until;
            break;
        case ANSWER_MATCH:
            if (p->shape == NULL || p->shape->check == NULL ||
                p->shape->check(w->bytes, m.from, &m.to))
                take(w, p, c, &m);
            else
                c->tried = character_start(w, p, m.start + 1);
            break;
        case ANSWER_PARTIAL:
            if (!give_up_waiting(w, p, c, &m)) {
                c->tried = m.start;
                c->waiting = true;
            }
            break;
        case ANSWER_TROUBLE: /* too much work, or no memory: nobody knows what is there */
            found(w, p, at, w->bytes.len);
            c->tried = w->bytes.len;
            return;
        }
    }
}

static int
on_trigger(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
    struct detect_window *w = arg;
    size_t i = w->d->of_trigger[id];
    const struct detect_pattern *p = &w->d->patterns[i];
    size_t end = (size_t)to;

    (void)from;
    (void)flags;
    if (w->text || p->shape != NULL)
        search(w, p, &w->cursors[i], reach(w, p, end), end);
    return 0;
}

/* A match that began in an earlier window. */
static void
go_on(struct detect_window *w, const struct detect_pattern *p, struct detect_cursor *c)
{
    size_t to = c->tried;

    if (!c->following)
        return;
    c->following = detect_follow(p->shape->follow, w->bytes, c->tried, false, &to) && !w->last;
    overwrite_later(w, c->tried, to);
    c->tried = to;
}

/* What could still become a match with more bytes behind it, and has no trigger yet. */
static void
look_at_end(struct detect_window *w, const struct detect_pattern *p, struct detect_cursor *c)
{
    size_t end = visible(w, p);

    if (w->last || c->following || c->waiting || c->tried >= end)
        return;
    search(w, p, c, reach(w, p, end), end);
}

static size_t
whole_characters(struct str s)
{
    size_t n = 0;

    while (n < 4 && n < s.len) {
        unsigned char c = (unsigned char)s.ptr[s.len - ++n];

        if ((c & 0xC0) != 0x80) {
            size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;

            return length > n ? s.len - n : s.len;
        }
    }
    return s.len;
}

static bool
is_ascii(struct str s)
{
    uint64_t word, all = 0;
    size_t i = 0;

    for (; i + sizeof(word) <= s.len; i += sizeof(word)) {
        memcpy(&word, s.ptr + i, sizeof(word));
        all |= word;
    }
    for (; i < s.len; i++)
        all |= (unsigned char)s.ptr[i];
    return (all & 0x8080808080808080U) == 0;
}

static void
look_at_text(struct detect_window *w)
{
    w->characters = w->bytes.len;
    w->text = true;
    if (!w->d->has_own || is_ascii(w->bytes))
        return;
    if (!w->last)
        w->characters = whole_characters(w->bytes);
    w->text = str_is_utf8((struct str){w->bytes.ptr, w->characters});
}

void
detect_find(struct detect_window *w)
{
    struct detectors *d = w->d;

    d->n_ranges = 0;
    look_at_text(w);
    for (size_t i = 0; !(w->first && w->last) && i < d->n_patterns; i++)
        go_on(w, &d->patterns[i], &w->cursors[i]);
    if (d->database != NULL && hs_scan(d->database, w->bytes.ptr, (unsigned)w->bytes.len, 0,
                                       d->scratch, on_trigger, w) != HS_SUCCESS) {
        w->overflow = true;
        return;
    }
    for (size_t i = 0; (d->has_alone || !w->text) && i < d->n_patterns; i++)
        if (d->patterns[i].alone || (!w->text && d->patterns[i].shape == NULL))
            search(w, &d->patterns[i], &w->cursors[i], 0, w->bytes.len);
    for (size_t i = 0; !w->last && i < d->n_patterns; i++)
        look_at_end(w, &d->patterns[i], &w->cursors[i]);
}

void
detect_begin(const struct detectors *d, struct detect_cursor *cursors)
{
    memset(cursors, 0, d->n_patterns * sizeof(*cursors));
}

size_t
detect_decided(const struct detect_window *w)
{
    size_t decided = w->bytes.len;

    if (w->last || w->overflow)
        return decided;
    for (size_t i = 0; i < w->d->n_patterns; i++) {
        const struct detect_cursor *c = &w->cursors[i];
        size_t visible_bytes = visible(w, &w->d->patterns[i]);
        size_t pattern_decided = c->waiting ? c->tried : visible_bytes;

        if (pattern_decided < decided)
            decided = pattern_decided;
    }
    return decided;
}

void
detect_overwrite(const struct detect_window *w, char *bytes)
{
    if (w->overflow) {
        memset(bytes, '*', w->bytes.len);
        return;
    }
    for (size_t i = 0; i < w->d->n_ranges; i++)
        memset(bytes + w->d->ranges[i].from, '*', w->d->ranges[i].to - w->d->ranges[i].from);
}
