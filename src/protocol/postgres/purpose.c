#include "protocol/postgres/purpose.h"

#include "protocol/postgres/session.h"
#include "protocol/postgres/wait.h"

static struct str
text_of(const struct pgpurpose_text *t)
{
    return (struct str){t->bytes, t->len};
}

static void
copy(struct pgpurpose_text *to, struct str text)
{
    if (text.len > 0)
        memmove(to->bytes, text.ptr, text.len);
    to->len = text.len;
}

/* All texts were looked at before: the gate takes them. */
static void
tell_gate(struct pgsession *s, struct str purpose)
{
    err_ignore(gate_set_purpose(s->gate, purpose));
}

void
pgpurpose_begin(struct pgsession *s)
{
    copy(&s->purpose.start, gate_purpose(s->gate, NULL));
    s->purpose.session = s->purpose.start;
    s->purpose.local = false;
}

/* [waits] A transaction that set one for itself takes it along when it ends. */
static enum err
follow_transaction(struct pgsession *s)
{
    enum err e = OK;

    if (!s->purpose.local)
        return OK;
    if (s->answers.count > 0 && (e = pgwait_flush(s)) == OK)
        e = pgwait_idle(s);
    if (e == OK && s->status == PGWIRE_IDLE && s->answers.count == 0) {
        s->purpose.local = false;
        tell_gate(s, text_of(&s->purpose.session));
    }
    return e;
}

enum err
pgpurpose_complete(struct pgsession *s, struct command *command)
{
    enum err e;

    if (command->purpose.len > 0)
        return OK;
    if ((e = follow_transaction(s)) == OK)
        command->purpose = gate_purpose(s->gate, NULL);
    return e;
}

void
pgpurpose_change(struct pgsession *s, const struct sql_purpose *change)
{
    struct pgpurpose *p = &s->purpose;

    if (change->change == SQL_PURPOSE_KEPT)
        return;
    if (change->change != SQL_PURPOSE_SET_LOCAL)
        copy(&p->session, change->change == SQL_PURPOSE_RESET ? text_of(&p->start) : change->value);
    p->local = change->change == SQL_PURPOSE_SET_LOCAL;
    tell_gate(s, p->local ? change->value : text_of(&p->session));
}
