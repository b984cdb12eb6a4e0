#!/usr/bin/env python3
"""Random queries over the corpus's database, and what must hold for each of them.

A Generator makes a Statement: a tree of Nodes that can be written as SQL, the columns that it
answers, and its level, which says what protected data does in it:

    CLEAN   no protected column is named or comes along
    FLOWS   protected columns are plain output only: it runs, and they are masked
    USES    a protected column is used otherwise: it may be refused

A Checker runs it directly, through the gateway, and through the gateway on a twin: a database that
differs in its protected values only. What the gateway lets through must not tell the two apart.

    generate.py --seed 7 --count 20      shows queries without running them
"""
import argparse
import collections
import os
import random
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import pgwire  # noqa: E402
from detect import _tokens_decode, transforms  # noqa: E402
from pgwire import Closed, Conn, PgError  # noqa: E402

CLEAN, FLOWS, USES = range(3)
LEVELS = ["clean", "flows", "uses"]

# --------------------------------------------------------------------------------- the database
# name: columns as "name type", "!" behind a protected one, "?" behind one that a view computes
# from protected columns. Only what expressions may use is typed: others are "other".
TABLES = """
public.departments: id int, name text, budget num
public.employees: id int, name text, email text, title text, department_id int, manager_id int, salary num!, bonus_pct num, iban text!, bank other!, hired_on date, status text
public.customers: id int, name text, email text!, ssn text!, phone text!, card_number text!, dob date!, city text, country text, tier other, tags array, address other, alt_emails array!, points int, notes text!, created_at ts, name_upper text, email_key text!
public.products: id int, sku text, name text, price num, attrs json
public.orders: id int, customer_id int, employee_id int, status other, total num, placed_at ts
public.order_items: order_id int, line_no int, product_id int, qty int, unit_price num
public.payments: id int, order_id int, status text, details json!, paid_at ts
public.api_keys: id int, owner_id int, label text, token other!, token_text text!, scopes array, revoked bool
public.tickets: id int, customer_id int, subject text, body text, priority int, state text, created_at ts
public.audit: id int, at ts, action text, table_name text, row_id int, row_data json!
public.card_swipes: id int, swiped_on date, merchant text, amount num, pan text!
public.card_swipes_2024q1: id int, swiped_on date, merchant text, amount num, pan text!
public.card_swipes_2024q2: pan text!, merchant text, id int, amount num, swiped_on date
public.leads: id int, name text, email text!, source text
public.leads_eu: id int, name text, email text!, source text, gdpr_ok bool
public.Customer Notes: Id int, Customer Id int, SSN Copy text!, select text, drop text
archive.customers: id int, name text, email text!, ssn text!, closed_on date
crm.customers: id int, name text, email text, segment text
hr.reviews: employee_id int, year int, score int, comment text
public.customer_contact: id int, name text, contact_addr text!, contact_phone text!, tax_id text!, city text
public.vip_contact: vid int, label text, reach text!
public.customer_json: id int, doc other?
public.payroll: id int, name text, department text, total_comp num?, base num!
public.employee_public: id int, name text, email text, title text, department text, hired_on date
public.order_summary: id int, customer text, tier other, status other, total num, placed_at ts
public.payment_cards: id int, pan text?, brand text?
public.all_people: kind text, id int, name text, addr text!
public.customer_mv: id int, name text, email text!, card_number text!, city text
public.order_daily_mv: day date, n int, revenue num
"""
# What makes a twin of the database: the protected values become others, here by what expression.
OTHER = "translate(%s::text, 'abcdefghijklmnopqrstuvwxyz0123456789', 'nopqrstuvwxyzabcdefghijklm7294618035')"
TWIST = {
    "customers": dict.fromkeys(["email", "ssn", "phone", "card_number", "notes"], OTHER)
                 | {"dob": "%s + 40 + id %% 90", "alt_emails": "ARRAY(SELECT 'q' || a FROM unnest(%s) a)"},
    "employees": {"salary": "400000.25 - %s", "iban": OTHER, "bank": "ROW((%s).bank_name, (bank).bic, reverse((bank).account))::bank_t"},
    "payments": {"details": "jsonb_set(%s, '{card,number}', to_jsonb(coalesce(reverse(details #>> '{card,number}'), '')), false)"},
    "api_keys": {"token": "sha256(%s)", "token_text": OTHER},
    "audit": {"row_data": "%s || '{\"ssn\": \"none\", \"email\": \"none\", \"name\": \"No One\"}'"},
    "card_swipes": {"pan": OTHER},
    "leads": {"email": OTHER},
    '"Customer Notes"': {'"SSN Copy"': "reverse(%s)"},
    "archive.customers": {"email": OTHER, "ssn": OTHER},
}


def twist(in_twin):
    """Statements that make the twin; and for the original, those that change nothing but lay it
    out alike, so that rows come in the same order."""
    yield "ALTER TABLE customers DISABLE TRIGGER USER"
    for table, columns in TWIST.items():
        yield "UPDATE %s SET %s" % (table, ", ".join("%s = %s" % (c, e % c if in_twin else c) for c, e in columns.items()))
    yield "ALTER TABLE customers ENABLE TRIGGER USER"
    yield "REFRESH MATERIALIZED VIEW customer_mv"
    yield "ANALYZE"


class Column(collections.namedtuple("Column", "name type secret computed", defaults=(False, False))):
    """`secret`: holds a protected value; `computed`: one that a view worked on."""


Table = collections.namedtuple("Table", "schema name columns")


def _tables():
    for line in TABLES.strip().splitlines():
        name, columns = line.split(": ")
        schema, name = name.split(".")
        parsed = [c.rpartition(" ") for c in columns.split(", ")]
        yield Table(schema, name, [Column(n, t.rstrip("!?"), t[-1] in "!?", t[-1] == "?") for n, _, t in parsed])


ALL_TABLES = list(_tables())
TABLE = {t.name: t for t in ALL_TABLES if t.schema == "public"}
SECRET_NAMES = sorted({c.name for t in ALL_TABLES for c in t.columns if c.secret})


def quoted(name, rng=None):
    """An identifier, in quotes where it needs them and now and then where it does not."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in ("select", "drop")
    if plain and rng is not None and rng.random() < 0.04:
        return name.upper()
    return name if plain and not (rng and rng.random() < 0.05) else '"%s"' % name


# --------------------------------------------------------------------------------------- trees
class Node:
    """Text with nodes in it. An `optional` one may be left out when a query is made smaller."""

    def __init__(self, *parts, optional=False):
        self.parts, self.optional = parts, optional

    def sql(self, without=frozenset()):
        if self in without:
            return ""
        return "".join(p if isinstance(p, str) else p.sql(without) for p in self.parts)

    def walk(self):
        """All nodes, those on top first."""
        level = [self]
        while level:
            yield from level
            level = [p for node in level for p in node.parts if isinstance(p, Node)]


class Listing(Node):
    """Nodes with a separator between them; each may be left out, but for the first."""

    def __init__(self, separator, nodes, optional=False):
        nodes = [Node(n) if isinstance(n, str) else n for n in nodes]
        for n in nodes[1:]:
            n.optional = True
        super().__init__(*nodes, optional=optional)
        self.separator = separator

    def sql(self, without=frozenset()):
        if self in without:
            return ""
        return self.separator.join(p.sql(without) for p in self.parts if p not in without)


class Expr(Node):
    """An expression: its type, whether its value is a protected one as it is, and the name that a
    column of it has by itself."""

    def __init__(self, type_, *parts, secret=False, computed=False, name=None):
        super().__init__(*parts)
        self.type, self.secret, self.computed, self.name = type_, secret, computed, name


class Query(Node):
    """A query: the columns that it answers; `ordered`: their order is fixed."""

    def __init__(self, columns, *parts, ordered=False):
        super().__init__(*parts)
        self.columns, self.ordered = columns, ordered


# What is in reach of an expression: columns under the name of their table in FROM.
Source = collections.namedtuple("Source", "alias columns")

Statement = collections.namedtuple("Statement", "query level mode path columns ordered")


# ----------------------------------------------------------------------------------- the grammar
class Generator:
    """Makes one statement from one seed."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.level = CLEAN
        # How far this statement goes: most keep to what must run.
        self.mood = self.rng.choices([CLEAN, FLOWS, USES], [35, 40, 25])[0]
        # Then protected columns are not shown: what they are used for has to tell.
        self.hidden = self.mood == USES and self.chance(0.5)
        self.names = 0
        self.path = self.rng.choices(["public", "crm", "archive, public", "hr, crm, public", "public, pg_catalog"],
                                     [80, 5, 5, 5, 5])[0]
        self.ctes = []  # (name, columns) in reach

    # --- small choices

    def chance(self, p):
        return self.rng.random() < p

    def weighted(self, **weights):
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def mark(self, level):
        self.level = max(self.level, level)

    def new_name(self):
        """A name for a new thing: often one that a protected or another table's column has."""
        self.names += 1
        if self.chance(0.3):
            return self.rng.choice(SECRET_NAMES + ["id", "name", "total", "Mixed Case", "city"]) + ("" if self.chance(0.5) else str(self.names))
        return "x%d" % self.names

    def allowed(self, column, plain):
        """May this statement have the column here, as plain output or otherwise?"""
        if not column.secret or self.mood == USES:
            return not (column.secret and plain and self.hidden)
        return self.mood == FLOWS and plain and not column.computed

    def take(self, column, plain):
        """The column is had here."""
        if column.secret:
            self.mark(FLOWS if plain and not column.computed else USES)

    # --- FROM

    def table(self, sources_before, depth):
        """(node, Source) for one item of FROM."""
        kinds = {"table": 60, "cte": 25 if self.ctes else 0, "subquery": 15 if depth > 0 else 0, "values": 3,
                 "function": 3, "lateral": 8 if sources_before and depth > 0 else 0}
        kind = self.weighted(**kinds)
        alias = self.new_name()
        lateral = kind == "lateral"
        if kind == "table":
            t = self.rng.choice(ALL_TABLES)
            only = "ONLY " if t.name == "leads" and self.chance(0.3) else ""
            head, columns = Node(only + self.table_name(t)), t.columns
            if self.chance(0.25) and t.name not in [s.alias for s in sources_before]:
                return head, Source(t.name, columns)
        elif kind == "cte":
            name, columns = self.rng.choice(self.ctes)
            head = Node(quoted(name))
        elif kind in ("subquery", "lateral"):
            query = self.query(depth - 1, outer=sources_before if lateral else [])
            head, columns = Node("LATERAL (" if lateral else "(", query, ")"), query.columns
        elif kind == "values":
            head, columns = Node("(VALUES (1, 'a'), (2, 'b'), (7, NULL))"), [Column("column1", "int"), Column("column2", "text")]
        else:
            head, columns = Node("generate_series(1, %d)" % self.rng.randint(1, 9)), [Column(alias, "int")]
        columns = unique(columns)
        if columns and self.chance(0.2) and kind != "function":
            renamed = [c._replace(name=n) for c, n in zip(columns, self.new_names(len(columns)))]
            if not lateral and self.chance(0.3):
                renamed = renamed[:self.rng.randint(1, len(renamed))] + columns[len(renamed):]
                renamed = renamed + columns[len(renamed):]
            if len({c.name for c in renamed}) == len(columns):
                names = ", ".join(quoted(c.name) for c in renamed)
                return Node(head, " AS %s (%s)" % (quoted(alias), names)), Source(alias, renamed)
        return Node(head, " AS " if self.chance(0.7) or alias.upper() == alias else " ", quoted(alias)), Source(alias, columns)

    def new_names(self, n):
        names = []
        while len(names) < n:
            name = self.new_name()
            names.append(name if name not in names else "y%d" % self.names)
        return names

    def table_name(self, t):
        first = self.path.split(", ")[0]
        if t.schema == "public" and "public" in self.path and self.chance(0.7) and not (
                t.name == "customers" and first != "public") and t.name not in [n for n, _ in self.ctes]:
            return quoted(t.name, self.rng)
        return quoted(t.schema) + "." + quoted(t.name, self.rng)

    def from_clause(self, depth):
        """(node, sources). Joins are mostly by keys, so that answers stay small."""
        node, source = self.table([], depth)
        sources = [source]
        for _ in range(self.rng.choices([0, 1, 2], [50, 38, 12])[0]):
            right, s = self.table(sources, depth)
            if s.alias in [x.alias for x in sources]:
                continue
            lateral = "LATERAL" in right.sql()[:8]
            kind = self.rng.choice(["JOIN", "LEFT JOIN", "INNER JOIN"] + ([] if lateral else ["RIGHT JOIN", "FULL JOIN"]))
            shared = [c for c in s.columns if sum(c.name == d.name for x in sources for d in x.columns) == 1]
            twins = [c for c in shared if all(d.type == c.type for x in sources for d in x.columns if d.name == c.name)]
            secret = [c for c in shared if c.secret or any(d.secret for x in sources for d in x.columns if d.name == c.name)]
            usable = [c for c in twins if c.type in ("int", "text", "date", "num") and (self.mood == USES or c not in secret)]
            same = len(shared) == sum(c.name in {d.name for x in sources for d in x.columns} for c in s.columns)
            if usable and self.chance(0.4):
                known = s.columns and all(x.columns for x in sources)
                if known and same and len(shared) == len(usable) and self.chance(0.3):
                    node = Node(node, " NATURAL ", kind, " ", right)
                    by = shared
                else:
                    by = [self.rng.choice(usable)]
                    node = Node(node, " ", kind, " ", right, " USING (", quoted(by[0].name), ")")
                if any(c in secret for c in by):
                    self.mark(USES)
            else:
                on = self.key_condition(sources, s)
                node = Node(node, " ", kind, " ", right, " ON ", on)
            sources.append(s)
        return node, sources

    def key_condition(self, sources, s):
        left = [(x, c) for x in sources for c in x.columns if c.type == "int" and self.allowed(c, False)]
        right = [c for c in s.columns if c.type == "int" and self.allowed(c, False)]
        if not left or not right:
            return "false" if self.chance(0.5) else "1 = 2"
        (x, a), b = self.rng.choice(left), self.rng.choice(right)
        self.take(a, False)
        self.take(b, False)
        return "%s = %s" % (self.reference(x, a), self.reference(s, b))

    def reference(self, source, column):
        return quoted(source.alias) + "." + quoted(column.name)

    # --- expressions

    def column(self, sources, plain, types=None):
        """A reference to some column, or None."""
        found = [(s, c) for s in sources for c in s.columns
                 if (types is None or c.type in types) and self.allowed(c, plain)]
        if not found:
            return None
        secret = [x for x in found if x[1].secret]
        if secret and self.mood != CLEAN and self.chance(0.4):
            found = secret
        s, c = self.rng.choice(found)
        self.take(c, plain)
        alone = sum(c.name == d.name for x in sources for d in x.columns) == 1 and c.name not in [x.alias for x in sources]
        # Only in the select list's own level: an unqualified name may mean another further in.
        text = quoted(c.name) if alone and len(sources) == 1 and self.chance(0.3) else self.reference(s, c)
        return Expr(c.type, text, secret=c.secret, computed=c.computed, name=c.name)

    def expression(self, sources, depth=2, type_=None):
        """One that uses its columns."""
        type_ = type_ or self.rng.choice(["int", "text", "num", "bool", "date"])
        if depth > 0 and self.chance(0.6) or type_ == "bool" and self.chance(0.9):
            return self.compound(sources, max(depth - 1, 0), type_)
        column = self.column(sources, False, [type_]) if self.chance(0.8) else None
        if column is not None:
            return Expr(type_, column, secret=column.secret, computed=column.secret)
        return Expr(type_, {"int": str(self.rng.randint(0, 40)), "text": "'%s'" % self.rng.choice(["a", "Lyon", "new", ""]),
                            "num": "%d.5" % self.rng.randint(0, 500), "bool": "true",
                            "date": "DATE '2024-01-%02d'" % self.rng.randint(1, 28), "json": "'{\"a\": 1}'::jsonb",
                            "array": "ARRAY['a','b']", "ts": "TIMESTAMPTZ '2024-01-01 00:00Z'", "other": "NULL"}[type_])

    FORMS = {
        "int": ["(%int + %int)", "length(%text)", "abs(%int)", "coalesce(%int, 0)", "CASE WHEN %bool THEN %int ELSE %int END",
                "extract(year FROM %date)::int", "cardinality(%array)", "(%int %% 7)", "strpos(%text, 'a')", "jsonb_array_length('[1,2]')",
                "(%text)::int", "ascii(%text)"],
        "text": ["upper(%text)", "(%text || '-' || %text)", "left(%text, 3)", "coalesce(%text, 'none')", "CASE WHEN %bool THEN %text END",
                 "(%int)::text", "md5(%text)", "(%json ->> 'color')", "(%json -> 'card' ->> 'brand')", "nullif(%text, 'x')",
                 "to_char(%date, 'YYYY-MM')", "replace(%text, 'a', 'b')", "reverse(%text)", "concat(%text, %int)", "encode(%text::bytea, 'base64')",
                 "split_part(%text, ' ', 1)", "(%array)[1]", "array_to_string(%array, ',')", "format('%%s/%%s', %text, %int)", "greatest(%text, %text)"],
        "num": ["(%num * 2)", "round(%num)", "coalesce(%num, %int)", "(%num - %int)", "CASE %int WHEN 1 THEN %num ELSE 0 END", "(%num / nullif(%int, 0))"],
        "bool": ["(%int > %int)", "(%text = %text)", "(%text LIKE 'A%%')", "(%num BETWEEN 10 AND %num)", "(%int IN (1, 2, %int))", "(%text IS NULL)",
                 "(%bool AND %bool)", "(%bool OR %bool)", "(NOT %bool)", "(%date < %date)", "(%text IS DISTINCT FROM %text)", "(%int = ANY (ARRAY[1, 2, %int]))",
                 "(%json ? 'a')", "(%array @> ARRAY['vip'])", "(%text ~ '^[A-M]')"],
        "date": ["(%date + 1)", "coalesce(%date, DATE '2024-02-02')", "(%ts)::date"],
        "json": ["(%json -> 'a')", "jsonb_build_object('k', %text)", "to_jsonb(%int)"],
        "array": ["ARRAY[%text::text, %text]", "(%array || 'z'::text)"],
        "ts": ["date_trunc('month', %ts)", "(%ts + interval '1 day')"],
        "other": ["NULL"],
    }

    def key(self, sources, type_):
        """An expression to group or sort by: there a bare constant would be a position."""
        e = self.expression(sources, 1, type_)
        return Expr(type_, "coalesce(", e, ")") if re.match(r"[\d']", e.sql()) else e

    def compound(self, sources, depth, type_):
        if depth > 0 and type_ in ("int", "text", "bool", "num") and self.chance(0.12):
            return self.subquery_expression(sources, type_)
        form = self.rng.choice([f for f in self.FORMS[type_] if depth > 0 or type_ != "bool" or "%bool" not in f])
        parts = re.split(r"%(%|[a-z]+)", form)
        return Expr(type_, *[p if i % 2 == 0 else "%" if p == "%" else self.expression(sources, depth, p)
                             for i, p in enumerate(parts)])

    def subquery_expression(self, sources, type_):
        if type_ == "bool":
            if self.chance(0.5):
                return Expr("bool", "EXISTS (", self.select(0, outer=sources), ")")
            return Expr("bool", self.expression(sources, 0, "int"), self.rng.choice([" IN (", " NOT IN (", " = ANY ("]),
                        self.select(0, outer=sources, want=["int"], plain=False), ")")
        return Expr(type_, "(", self.select(0, outer=sources, want=[type_], plain=False, single=True), ")")

    # --- queries

    def query(self, depth, outer=(), want=None):
        """A select, a set operation, VALUES or TABLE."""
        kind = self.weighted(select=80, set=14 if depth > 0 else 3, values=3, table=3)
        if kind == "set":
            return self.set_operation(depth, outer, want)
        if kind == "values" and not want:
            rows = [Node("(", self.expression([], 1, "int"), ", ", self.expression([], 1, "text"), ")") for _ in range(self.rng.randint(1, 4))]
            return Query([Column("column1", "int"), Column("column2", "text")], "VALUES ", Listing(", ", rows))
        tables = [t for t in ALL_TABLES if all(self.allowed(c, True) for c in t.columns)]
        if kind == "table" and not want:
            t = self.rng.choice(tables)
            for c in t.columns:
                self.take(c, True)
            return Query(t.columns, "TABLE ", self.table_name(t))
        return self.select(depth, outer, want)

    def set_operation(self, depth, outer, want):
        want = want or [self.rng.choice(["int", "text", "num", "date"]) for _ in range(self.rng.randint(1, 3))]
        operator = self.weighted(**{"UNION ALL": 60, "UNION": 15, "INTERSECT": 12, "EXCEPT": 10, "EXCEPT ALL": 3})
        # All but UNION ALL compare.
        plain = operator == "UNION ALL"
        left, right = self.select(depth - 1, outer, want, plain), self.select(depth - 1, outer, want, plain)
        columns = [a._replace(secret=a.secret or b.secret, computed=a.computed or b.computed) for a, b in zip(left.columns, right.columns)]
        tail, ordered = self.order_by(columns, [], None, depth)
        return Query(columns, "(", left, ") ", operator, " (", right, ")", *tail, ordered=ordered)

    def with_clause(self, depth):
        """Common table expressions, in reach from here on."""
        if not self.chance(0.3 if depth > 1 else 0.05):
            return "", []
        made, recursive = [], self.chance(0.3)
        for _ in range(self.rng.randint(1, 2)):
            name = self.rng.choice([t.name for t in ALL_TABLES]) if self.chance(0.3) and not recursive else self.new_name()
            if name in [n for n, _ in self.ctes]:
                continue
            if recursive and not made:
                n = self.new_name()
                columns = [Column(n, "int"), Column("carried", "text")]
                base = self.select(0, want=["int", "text"])
                columns[1] = columns[1]._replace(secret=base.columns[1].secret, computed=base.columns[1].computed)
                if base.columns[0].secret:
                    self.mark(USES)
                body = Node("(", base, ") UNION ALL SELECT %s + 1, carried FROM %s WHERE %s < 3" % (quoted(n), quoted(name), quoted(n)))
                made.append(Node("%s (%s, carried) AS (" % (quoted(name), quoted(n)), body, ")"))
                self.ctes.append((name, columns))
                continue
            query = self.query(0)
            columns, names = unique(query.columns), ""
            if not columns:
                continue
            if len(columns) != len(query.columns) or self.chance(0.3):
                columns = [c._replace(name=n) for c, n in zip(query.columns, self.new_names(len(query.columns)))]
                names = " (%s)" % ", ".join(quoted(c.name) for c in columns)
            made.append(Node(quoted(name), names, " AS ", self.rng.choice(["", "", "MATERIALIZED ", "NOT MATERIALIZED "]), "(", query, ")"))
            self.ctes.append((name, columns))
        if not made:
            return "", []
        return Node("WITH RECURSIVE " if recursive else "WITH ", Listing(", ", made), " ", optional=True), made

    def select(self, depth, outer=(), want=None, plain=True, single=False):
        """SELECT. `want`: the types of its columns; `plain`: they are what is shown, so protected
        ones may be among them; `single`: at most one row."""
        before = list(self.ctes)
        head, _ = self.with_clause(depth)
        from_, sources = self.from_clause(depth)
        taken = {s.alias for s in sources}
        reach = sources + [s for s in outer if s.alias not in taken and self.chance(0.7)]
        grouped = self.chance(0.2)
        where = Node(" WHERE ", Listing(" AND ", [self.expression(reach, 2, "bool") for _ in range(self.rng.randint(1, 2))]),
                     optional=True) if self.chance(0.5) else ""
        if single:
            grouped, where = False, Node(" WHERE ", self.single_row(sources))
        if grouped:
            query = self.grouped(sources, want)
            items, columns, tail = query
        else:
            items, columns = self.items(sources, reach, want, plain, single)
            tail = []
        distinct = not single and not grouped and self.chance(0.08) and all(not c.secret or self.mood == USES for c in columns) \
            and all(c.type not in ("other", "json") for c in columns)
        if distinct and any(c.secret for c in columns):
            self.mark(USES)
        order, ordered = ([" LIMIT 1"], False) if single else self.order_by(columns, sources, None if grouped or distinct else reach, depth)
        self.ctes = before
        return Query(columns, head, "SELECT ", "DISTINCT " if distinct else "", items, " FROM ", from_, where, *tail, *order, ordered=ordered)

    def single_row(self, sources):
        """A condition that one row fulfils, or so: an answer without order would be chance."""
        for s in sources:
            for c in s.columns:
                if c.type == "int" and c.name in ("id", "Id") and not c.secret:
                    return "%s = %d" % (self.reference(s, c), self.rng.randint(1, 20))
        return "false"

    def items(self, sources, reach, want, plain, single):
        """(node, columns) of a select list without grouping."""
        nodes, columns = [], []
        for type_ in want or [None] * self.rng.randint(1, 5):
            kind = self.weighted(column=55, star=0 if want else 8, row=0 if want else 4, field=0 if want else 3,
                                 window=0 if single else 6, expression=24)
            if kind == "star":
                star = self.rng.choice(sources)
                # Columns that nobody can name are not known here.
                if star.columns and all(self.allowed(c, plain) for c in star.columns):
                    for c in star.columns:
                        self.take(c, plain)
                    nodes.append(quoted(star.alias) + ".*")
                    columns += star.columns
                    continue
            if kind == "row":
                row = self.rng.choice(sources)
                inside = {c.name for s in sources for c in s.columns}
                if row.alias not in inside and len(row.columns) > 1 and all(self.allowed(c, plain) for c in row.columns):
                    secret = any(c.secret for c in row.columns)
                    for c in row.columns:
                        self.take(c, plain)
                    form = self.rng.choice(["%s", "to_jsonb(%s)", "(%s)::text"] if not secret or self.mood == USES else ["%s"])
                    if form != "%s" and secret:
                        self.mark(USES)
                    columns.append(Column(self.new_name(), "other", secret, secret and form != "%s"))
                    nodes.append(Node(form % quoted(row.alias), " AS ", quoted(columns[-1].name)))
                    continue
            if kind == "field":
                found = [(s, c) for s in sources for c in s.columns if c.name in ("address", "bank") and c.type == "other" and self.allowed(c, False)]
                if found:
                    s, c = self.rng.choice(found)
                    self.take(c, False)
                    columns.append(Column(self.new_name(), "other", c.secret, c.secret))
                    nodes.append("(%s).%s AS %s" % (self.reference(s, c), "city" if c.name == "address" else "account", quoted(columns[-1].name)))
                    continue
            if kind == "window" and type_ in (None, "int", "num"):
                nodes.append(self.window(sources))
                columns.append(Column(self.new_name(), "num" if type_ == "num" else "int"))
                nodes[-1] = Node(nodes[-1], "::numeric" if type_ == "num" else "::int", " AS ", quoted(columns[-1].name))
                continue
            e = self.column(reach, plain, [type_] if type_ else None) if kind in ("column", "star", "row") else None
            if e is None:
                e = self.expression(reach, 2, type_)
            name = e.name
            if name and self.chance(0.6):
                nodes.append(e)
            else:
                name = self.new_name()
                nodes.append(Node(e, " AS ", quoted(name)))
            columns.append(Column(name, e.type, e.secret, e.computed))
        return Listing(", ", nodes), columns

    def window(self, sources):
        """Only those whose value does not depend on the order of equals."""
        by = self.expression(sources, 0, "int")
        form = self.rng.choice(["count(*) OVER (PARTITION BY %s)", "rank() OVER (ORDER BY %s)", "dense_rank() OVER (ORDER BY %s DESC)",
                                "sum(1) OVER (ORDER BY %s)", "count(*) FILTER (WHERE %s > 3) OVER ()"])
        a, b = form.split("%s")
        return Node(a, by, b)

    def grouped(self, sources, want):
        """(items, columns, tail) of a select with GROUP BY."""
        keys = [self.key(sources, t) for t in self.rng.sample(["int", "text", "date"], self.rng.randint(0, 2))]
        nodes, columns = [], []
        pending = list(want or [None] * self.rng.randint(1, 3))
        if not want:
            for i, k in enumerate(keys):
                columns.append(Column(self.new_name(), k.type))
                nodes.append(Node(k, " AS ", quoted(columns[-1].name)))
        for type_ in pending:
            type_ = type_ or self.rng.choice(["int", "text", "num"])
            form = self.rng.choice({"int": ["count(*)::int", "max(%int)", "count(DISTINCT %text)::int", "sum(%int)::int"],
                                    "text": ["max(%text)", "string_agg(%text, ',' ORDER BY 1)", "min(%text)"],
                                    "num": ["sum(%num)", "avg(%num)", "max(%num) FILTER (WHERE %bool)"],
                                    "date": ["max(%date)"], "bool": ["bool_or(%bool)"],
                                    "json": ["jsonb_build_array(count(*))"], "array": ["array_agg(DISTINCT %text::text)"],
                                    "ts": ["max(%ts)"]}.get(type_, ["NULL"]))
            form = form.replace("string_agg(%text, ',' ORDER BY 1)", "array_to_string(array_agg(DISTINCT %text::text), ',')")
            parts = re.split(r"%([a-z]+)", form)
            e = Node(*[p if i % 2 == 0 else self.expression(sources, 1, p) for i, p in enumerate(parts)])
            columns.append(Column(self.new_name(), type_))
            nodes.append(Node(e, " AS ", quoted(columns[-1].name)))
        tail = []
        if keys:
            # As sub-expressions the keys are written again; by position where they are in the list.
            positions = [str(i + 1) for i in range(len(keys))] if not want else None
            tail.append(Node(" GROUP BY ", ", ".join(positions) if positions and self.chance(0.5) else Node(*_joined(keys, ", "))))
            if self.chance(0.3):
                tail.append(Node(" HAVING count(*) > %d" % self.rng.randint(0, 3), optional=True))
        return Listing(", ", nodes), columns, tail

    def order_by(self, columns, sources, reach, depth):
        """([nodes], whether the order is fixed). With LIMIT it always is."""
        limit = self.chance(0.15)
        sortable = [(i, c) for i, c in enumerate(columns) if not c.secret or (self.mood == USES and self.chance(0.3))]
        sortable = [(i, c) for i, c in sortable if c.type != "json"]
        if not limit and not self.chance(0.45 if depth > 0 else 0.15):
            return [], False
        full = limit or self.chance(0.5)
        chosen = list(sortable)
        self.rng.shuffle(chosen)
        chosen = chosen if full else chosen[:1]
        keys = []
        for i, c in chosen:
            if c.secret:
                self.mark(USES)
            alone = [d.name for d in columns].count(c.name) == 1
            text = quoted(c.name) if alone and self.chance(0.4) else str(i + 1)
            keys.append(text + self.rng.choice(["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]))
        if reach and not full and self.chance(0.3):
            keys.append(self.key(reach, "int"))
        if not keys:
            return [], False
        # Rows and documents may hold more than their protected part.
        unsure = [c for i, c in enumerate(columns) if (i, c) not in sortable and (not c.secret or c.type in ("other", "json"))]
        nodes = [Node(" ORDER BY ", Listing(", ", keys) if not full else Node(*_joined(keys, ", ")))]
        if limit and full and not unsure:
            nodes.append(Node(self.rng.choice([" LIMIT %d", " FETCH FIRST %d ROWS ONLY", " LIMIT %d OFFSET 1"]) % self.rng.randint(1, 12)))
        return nodes, full and not unsure

    # --- statements

    def write(self):
        """A write of one row that returns something."""
        n = self.rng.randint(1, 40)
        t = TABLE[self.rng.choice(["tickets", "orders", "customers"])]
        target = Source(t.name, t.columns)
        other_node, other = self.table([], 1)
        kind = self.weighted(update=45, update_from=25, delete=10 if t.name == "tickets" else 0,
                             delete_using=10 if t.name == "tickets" else 0, insert=20)
        reach = [target]
        name = quoted(t.schema) + "." + quoted(t.name)
        change = {"tickets": "priority = 1", "orders": "total = total + 1", "customers": "points = points + 1"}[t.name]
        if kind == "insert":
            target = Source("tickets", TABLE["tickets"].columns)
            query = self.select(0, want=["text"], plain=False, single=True)
            reach, head = [target], Node("INSERT INTO public.tickets (id, subject, priority, created_at) SELECT 900000, coalesce(q.s, 'none'), 2, '2024-05-05 00:00Z' FROM (", query, ") AS q(s)")
        elif kind in ("update", "delete"):
            head = Node("UPDATE %s SET %s WHERE id = %d" % (name, change, n) if kind == "update" else "DELETE FROM %s WHERE id = %d" % (name, n))
        else:
            if other.alias == t.name:
                return self.write()
            reach = [target, other]
            on = self.key_condition([target], other)
            word = " FROM " if kind == "update_from" else " USING "
            head = Node("UPDATE %s SET %s" % (name, change) if kind == "update_from" else "DELETE FROM %s" % name, word, other_node,
                        " WHERE ", on, " AND %s.id = %d" % (quoted(t.name), n))
        if self.chance(0.85):
            items, columns = self.items(reach, reach, None, True, True)
            return Query(columns, head, Node(" RETURNING ", items, optional=True))
        return Query([], head)

    def statement(self):
        write = self.chance(0.12)
        query = self.write() if write else self.query(2)
        modes = {"simple": 30, "text": 15, "binary": 15, "prepared": 10, "batches": 0 if write else 6,
                 "copy": 10, "copy_binary": 0 if write else 4, "cursor": 0 if write else 10}
        if write and not query.columns:
            modes["copy"] = 0
        return Statement(query, self.level, self.weighted(**modes), self.path, query.columns, query.ordered)


def _joined(nodes, separator):
    out = []
    for n in nodes:
        out += [separator, n] if out else [n]
    return out


def unique(columns):
    """Those whose name only they have: others cannot be referred to."""
    count = collections.Counter(c.name for c in columns)
    return columns if all(v == 1 for v in count.values()) else []


def generate(seed, i):
    """The i-th statement of a seed."""
    return Generator("%s:%s" % (seed, i)).statement()


# -------------------------------------------------------------------------------------- running
def messages(statement, sql):
    """[(how, text, options)]: what is sent, in a transaction that is rolled back."""
    m = statement.mode
    if m == "prepared":
        return [("query", "PREPARE p AS " + sql, {}), ("query", "EXECUTE p", {}), ("query", "DEALLOCATE p", {})]
    if m == "cursor":
        return [("query", "DECLARE c CURSOR FOR " + sql, {}), ("query", "FETCH 3 FROM c", {}), ("query", "FETCH ALL FROM c", {}), ("query", "CLOSE c", {})]
    if m == "copy":
        return [("query", "COPY (%s) TO STDOUT" % sql, {})]
    if m == "copy_binary":
        return [("query", "COPY (%s) TO STDOUT (FORMAT binary)" % sql, {})]
    if m == "text":
        return [("ext", sql, {})]
    if m == "binary":
        return [("ext", sql, {"rfmts": [1]})]
    if m == "batches":
        return [("ext", sql, {"max_rows": 3, "portal": "q"})]
    return [("query", sql, {})]


class Answer:
    """All that came back for a statement."""

    def __init__(self, conn, since):
        stmts, notices, errors, log = since
        self.stmts = conn.stmts[stmts:]
        self.notices = [(n.get("C"), n.get("M")) for n in conn.notices[notices:]]
        self.errors = conn.errors[errors:]
        self.bytes = [(k, p) for _, k, p in conn.log[log:]]
        self.rows = [self._rows(s) for s in self.stmts]

    @staticmethod
    def _rows(s):
        if not s.copy:
            return s.raw_rows
        data = b"".join(s.copy)
        return pgwire.copy_binary_rows(data) if s.copy_fmt else [line.split(b"\t") for line in data.splitlines()]

    @property
    def sqlstate(self):
        return self.errors[0].get("C") if self.errors else None

    @property
    def message(self):
        return self.errors[0].get("M") if self.errors else None

    def seen(self, ordered):
        """What a client can tell, for comparing; unless `ordered`, rows without their order, nor in
        which part of an answer they came."""
        rows = self.rows if ordered else sorted((row for part in self.rows for row in part), key=repr)
        return ([(s.cols, s.tag, len(part)) for s, part in zip(self.stmts, self.rows)], rows,
                self.notices, [(e.get("C"), e.get("M"), e.get("D"), e.get("H"), e.get("W")) for e in self.errors])


class Lost(Exception):
    """The connection broke, or no answer came in time."""


class Side:
    """A connection that runs statements."""

    def __init__(self, **login):
        self.login, self.conn = login, None

    def run(self, statement, sql):
        if self.conn is None:
            self.conn = Conn(**self.login)
        c = self.conn
        try:
            c.query("BEGIN")
            if statement.path != "public":
                c.query("SET LOCAL search_path = " + statement.path)
            since = (len(c.stmts), len(c.notices), len(c.errors), len(c.log))
            for how, text, options in messages(statement, sql):
                getattr(c, how)(text, **options)
                if len(c.errors) > since[2]:
                    break
            answer = Answer(c, since)
            c.query("ROLLBACK")
            if statement.mode == "prepared":
                c.query("DEALLOCATE ALL")
        except (Closed, PgError, OSError) as e:  # TimeoutError included
            self.close()
            raise Lost("%s: %s" % (type(e).__name__, e)) from e
        for kept in (c.stmts, c.notices, c.errors, c.log, c.colnames):
            kept.clear()
        return answer

    def close(self):
        if self.conn is not None:
            self.conn.close()
            self.conn = None


class Finder:
    """Finds protected values, and their usual disguises, in bytes."""

    LENGTH = 8

    def __init__(self, secrets):
        self.secrets = secrets
        self.by_beginning = collections.defaultdict(list)
        for value in secrets.all:
            for how, text in transforms(value) if len(value) >= 8 else [("exact", value)]:
                # Dates are common, and so are short things and digits that belong to something else.
                if len(text) >= self.LENGTH and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
                    b = text.lower().encode("utf-8", "surrogateescape")
                    self.by_beginning[b[:self.LENGTH]].append((b, how, value))
        for value in secrets.all_raw:
            self.by_beginning[value[:self.LENGTH].lower()].append((value.lower(), "raw bytes", value.hex()))
        for value in secrets.all:
            if re.fullmatch(r"\d+\.\d\d", value):
                b = pgwire.encode_numeric(value).lower()
                self.by_beginning[b[:self.LENGTH]].append((b, "binary numeric", value))

    def find(self, data):
        low, n, known = data.lower(), self.LENGTH, self.by_beginning
        for i in range(len(low) - n + 1):
            if low[i:i + n] in known:
                for text, how, value in known[low[i:i + n]]:
                    if low.startswith(text, i):
                        return how, value
        return None

    def find_all(self, answer):
        """In everything that came."""
        data = b"\n".join(p for _, p in answer.bytes)
        hit = self.find(data)
        if hit is None and len(data) < 100000:
            for how, decoded in _tokens_decode(data.decode("latin-1")):
                inner = self.find(decoded)
                if inner:
                    return how + ", " + inner[0], inner[1]
        return hit


class Failure:
    def __init__(self, kind, detail, statement, sql, number):
        self.kind, self.detail, self.statement, self.sql, self.number = kind, detail, statement, sql, number

    def __str__(self):
        return "%s (statement %s, %s, %s, search_path %s)\n    %s\n    %s" % (
            self.kind, self.number, LEVELS[self.statement.level], self.statement.mode, self.statement.path, self.detail, self.sql)


# SQLSTATEs by which the gateway itself refuses.
REFUSED = {"42501"}


class Checker:
    """`direct`, `gateway` and `twin` are Sides; `secrets` the protected values (detect.Secrets)."""

    def __init__(self, direct, gateway, twin, secrets):
        self.direct, self.gateway, self.twin = direct, gateway, twin
        self.finder = Finder(secrets)
        self.secrets = secrets
        self.counts = collections.Counter()

    def problem(self, statement, sql):
        """None, or (kind, detail): what is wrong with the gateway's answer."""
        direct = self.direct.run(statement, sql)
        if direct.sqlstate == "57014":
            return None  # too slow to tell anything
        try:
            answer = self.gateway.run(statement, sql)
        except Lost as e:
            return "connection lost", str(e)
        self.counts["ran" if answer.sqlstate not in REFUSED else "refused", LEVELS[statement.level]] += 1
        self.counts["invalid" if direct.sqlstate else "valid"] += 1
        hit = self.finder.find_all(answer)
        if hit:
            return "leak", "%s: %s" % hit
        if statement.level != CLEAN and answer.sqlstate not in REFUSED:
            try:
                other = self.twin.run(statement, sql)
            except Lost as e:
                return "connection lost", str(e)
            here, there = answer.seen(statement.ordered), other.seen(statement.ordered)
            if here != there:
                return "tells protected values apart", difference(here, there)
        if answer.sqlstate in REFUSED:
            if direct.sqlstate or statement.level == USES:
                return None
            return "refused" if statement.level == CLEAN else "not masked but refused", answer.message
        return self.compare(statement, direct, answer)

    def compare(self, statement, direct, answer):
        if direct.sqlstate != answer.sqlstate:
            if statement.level == USES:
                return None
            return "another error", "%s %s instead of %s %s" % (answer.sqlstate, answer.message, direct.sqlstate, direct.message)
        if len(direct.stmts) != len(answer.stmts):
            return "another answer", "%d results instead of %d" % (len(answer.stmts), len(direct.stmts))
        for x, y, xr, yr in zip(direct.stmts, answer.stmts, direct.rows, answer.rows):
            if x.tag != y.tag or [c[0] for c in x.cols] != [c[0] for c in y.cols] or len(xr) != len(yr):
                return "another answer", "%r instead of %r" % ((y.tag, [c[0] for c in y.cols], len(yr)), (x.tag, [c[0] for c in x.cols], len(xr)))
            width = max(map(len, xr), default=0)
            hidden = {k for k in range(width) if (k < len(statement.columns) and statement.columns[k].secret)
                      or any(self.secrets.cell_hit(r[k].decode("utf-8", "replace")) for r in xr if k < len(r) and r[k] is not None)}
            for k, (a, b) in enumerate(zip(x.cols, y.cols)):
                if k not in hidden and a != b:
                    return "another type", "%r instead of %r" % (b, a)
            a, b = ([[None if k in hidden else v for k, v in enumerate(r)] for r in rows] for rows in (xr, yr))
            if not statement.ordered:
                a, b = sorted(a, key=repr), sorted(b, key=repr)
            if a != b:
                return "another answer", difference(a, b)
        return None

    def check(self, statement, number):
        """None or a Failure."""
        sql = statement.query.sql()
        found = self.problem(statement, sql)
        return Failure(*found, statement, sql, number) if found else None

    def smaller(self, failure):
        """The Failure with a query from which was left out what it does not need to fail."""
        statement, kind, without = failure.statement, failure.kind, set()
        if kind in ("connection lost", "another answer", "another type"):
            return failure  # it may take long each time; or needs to know which columns are protected
        for node in [n for n in statement.query.walk() if n.optional][:80]:
            sql = statement.query.sql(frozenset(without | {node}))
            found = self.problem(statement._replace(columns=[], ordered=False), sql)
            if found and found[0] == kind:
                without.add(node)
                failure = Failure(*found, statement, sql, failure.number)
        return failure


def difference(a, b):
    """A short hint where two nested lists differ."""
    if type(a) is type(b) and isinstance(a, (list, tuple)) and len(a) == len(b):
        for x, y in zip(a, b):
            if x != y:
                return difference(x, y)
    return "%.300r instead of %.300r" % (b, a)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--seed", default="1")
    p.add_argument("--count", type=int, default=20)
    a = p.parse_args()
    for i in range(a.count):
        s = generate(a.seed, i)
        print("-- %s:%d %s, %s, search_path %s\n%s;" % (a.seed, i, LEVELS[s.level], s.mode, s.path, s.query.sql()))


if __name__ == "__main__":
    main()
