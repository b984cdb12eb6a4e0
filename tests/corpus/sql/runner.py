"""Runs cases against a gateway, or against the database itself, and judges what came back.

A Runner has an Env (the database, its resets) and the protected values; for each case it makes a T,
what the case runs with, on one or both sides. run.py is the command line; standard library only.
"""
import datetime
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback

import detect
import pgwire
from pgwire import Closed, Conn, PgError

HERE = os.path.dirname(os.path.abspath(__file__))

# What is as it should be, through a gateway and on the raw database.
GOOD_AT_GATEWAY = {"SAFE", "PASS", "BLOCKED", "SKIP"}
GOOD_ON_DATABASE = {"LEAK", "PASS", "EXECUTED", "OVER-LIMIT", "SKIP"}


class Skip(Exception):
    """What the case needs is missing."""


class NotReachable(Exception):
    """Nobody listens there."""


class Env:
    """The database: admin connections, setting it up, making it new."""

    def __init__(self, a):
        self.a = a
        self.db = a.dbname
        self.tmpl = a.template
        self.post = None

    def admin(self, db=None, user=None):
        a = self.a
        return Conn(a.admin_host, a.admin_port, user or a.admin_user, a.admin_password, db or self.db, sslmode=a.admin_sslmode, timeout=60)

    def root(self):
        if self.post is None or self.post.closed:
            self.post = self.admin("postgres")
        return self.post

    def setup(self):
        c = self.root()
        r = c.query("SELECT 1 FROM pg_roles WHERE rolname = '%s'" % self.a.role)[0].rows
        if not r:
            c.query("CREATE ROLE %s LOGIN SUPERUSER REPLICATION PASSWORD '%s'" % (self.a.role, self.a.role_password.replace("'", "''")), check=True)
        c.query('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.db, check=True)
        c.query('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.tmpl, check=True)
        c.query("CREATE DATABASE \"%s\" ENCODING 'UTF8' TEMPLATE template0" % self.tmpl, check=True)
        t = self.admin(self.tmpl)
        with open(os.path.join(HERE, "schema.sql"), encoding="utf-8") as f:
            t.query(f.read(), check=True)
        t.close()
        self.reset()

    def clear(self):
        """what would keep the database from being dropped"""
        c = self.root()
        x = c.query("SELECT gid FROM pg_prepared_xacts WHERE database = '%s'" % self.db)[0].rows
        y = c.query("SELECT slot_name FROM pg_replication_slots WHERE database = '%s' OR (slot_type = 'physical' AND NOT active)" % self.db)[0].rows
        z = c.query("SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE datname = '%s'" % self.db)[0].rows
        if x or z:
            d = self.admin()
            for (g,) in x:
                d.query("ROLLBACK PREPARED '%s'" % g)
            for (n,) in z:
                d.query('ALTER SUBSCRIPTION "%s" DISABLE' % n)
                d.query('ALTER SUBSCRIPTION "%s" SET (slot_name = NONE)' % n)
                d.query('DROP SUBSCRIPTION "%s"' % n)
            d.close()
        for (n,) in y:
            c.query("SELECT pg_drop_replication_slot('%s')" % n)

    def reset(self):
        c = self.root()
        for i in range(20):
            try:
                if i:
                    self.clear()
                c.query('DROP DATABASE IF EXISTS "%s" WITH (FORCE)' % self.db, check=True)
                c.query('CREATE DATABASE "%s" TEMPLATE "%s"' % (self.db, self.tmpl), check=True)
                return
            except PgError as e:
                last = e
                time.sleep(0.1)
        raise last

    def hygiene(self):
        """left-overs of a case outside the test database"""
        c = self.root()
        for (r,) in c.query("SELECT rolname FROM pg_roles WHERE rolname ~ '^corpus_(zz|r)$'")[0].rows:
            c.query('DROP ROLE "%s"' % r)
        for (d,) in c.query("SELECT datname FROM pg_database WHERE datname ~ '^corpus_victim'")[0].rows:
            c.query('DROP DATABASE "%s" WITH (FORCE)' % d)

    def digest(self):
        c = self.admin()
        try:
            rows = c.query("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace "
                           "WHERE relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname<>'information_schema' ORDER BY 1")[0].rows
            out = []
            for (t,) in rows:
                out.append((t, c.query("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM %s t" % t)[0].rows[0][0]))
            out.append(("sequences", c.query("SELECT string_agg(sequencename || '=' || coalesce(last_value, 0), ',' ORDER BY sequencename) FROM pg_sequences")[0].rows[0][0]))
            out.append(("pg_proc", c.query("SELECT count(*) FROM pg_proc")[0].rows[0][0]))
            out.append(("pg_class", c.query("SELECT count(*) FROM pg_class WHERE relpersistence <> 't'")[0].rows[0][0]))
            out.append(("lo", c.query("SELECT count(*) FROM pg_largeobject_metadata")[0].rows[0][0]))
            out.append(("desc", c.query("SELECT count(*) FROM pg_description")[0].rows[0][0]))
            out.append(("role", c.query("SELECT string_agg(rolname||coalesce(rolpassword,'')||rolsuper,',' ORDER BY rolname) FROM pg_authid")[0].rows[0][0]))
            out.append(("db", c.query("SELECT string_agg(datname,',' ORDER BY datname) FROM pg_database")[0].rows[0][0]))
            out.append(("set", c.query("SELECT count(*) FROM pg_db_role_setting")[0].rows[0][0]))
            out.append(("slots", c.query("SELECT count(*) FROM pg_replication_slots")[0].rows[0][0]))
            out.append(("conf", c.query("SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'")[0].rows[0][0]))
            return dict(out)
        finally:
            c.close()


class T:
    """What a case runs with: one side (gateway or direct)"""

    def __init__(self, env, case, side):
        self.env, self.case, self.side = env, case, side
        self.conns, self.log, self.named, self.adm = [], [], {}, {}
        self.out, self.trouble, self.data = [], [], {}
        a = env.a
        self.host, self.port = (a.host, a.port) if side == "gateway" else (a.admin_host, a.admin_port)
        self.user, self.password = (a.user, a.password) if side == "gateway" else (a.role, a.role_password)
        self.dbname = env.db
        self.sslmode = a.sslmode if side == "gateway" else a.admin_sslmode

    def connect(self, name="A", **kw):
        params = dict(kw.pop("params", None) or {})
        if self.case.get("startup"):
            for p in self.case.all("startup"):
                k, _, v = p.partition("=")
                params.setdefault(k, v)
        timeout = kw.pop("timeout", 15)
        try:
            c = Conn(self.host, self.port, kw.pop("user", self.user), kw.pop("password", self.password), kw.pop("dbname", self.dbname),
                     timeout=timeout, params=params, sslmode=self.sslmode, log=self.log, name=name)
        except PgError as e:
            d = _Dead()
            d.errors = [e.fields]
            self.conns.append(d)
            self.trouble.append(("denied", "connect: %s" % e))
            raise
        except ConnectionRefusedError as e:
            raise NotReachable(str(e))
        self.conns.append(c)
        return c

    def conn(self, name="A"):
        c = self.named.get(name)
        if c is None or c.closed:
            c = self.named[name] = self.connect(name)
        return c

    def admin(self, sql, name="", db=None):
        c = self.adm.get(name)
        if c is None or c.closed:
            c = self.adm[name] = self.env.admin(db)
        st = c.query(sql, check=True)
        return st[-1].rows if st else []

    def secrets(self, target):
        return self.env.sec.target([target])

    def tool(self, argv, stdin=None, env=None, timeout=120):
        """run psql, pg_dump, ... against this side"""
        exe = shutil.which(argv[0])
        if not exe:
            raise Skip("%s is not installed" % argv[0])
        e = dict(os.environ, PGHOST=self.host, PGPORT=str(self.port), PGUSER=self.user, PGPASSWORD=self.password, PGDATABASE=self.dbname,
                 PGSSLMODE=self.sslmode, PGOPTIONS="", PGTZ="UTC", PSQLRC=os.devnull, PAGER="", LC_ALL="C", PGGSSENCMODE="disable")
        e.update(env or {})
        p = subprocess.run([exe] + argv[1:], input=stdin, env=e, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        # newer pg_dump writes a random key
        self.out.append((" ".join(argv), p.returncode, re.sub(r"(?m)^\\(un)?restrict .*\n", "", p.stdout)))
        self.log.append(("tool", "d", (p.stdout + p.stderr).encode()))
        if p.returncode or re.search(r"\b(ERROR|FATAL):", p.stderr):
            self.trouble.append(("denied", p.stderr.strip()[:200]))
        return p

    def python(self, code, modules=(), timeout=120):
        """run driver code in a separate interpreter that has the modules, if there is one"""
        for exe in [sys.executable] + [os.path.join(d, "python3") for d in os.environ.get("PATH", "").split(os.pathsep)]:
            if not os.path.exists(exe):
                continue
            if subprocess.run([exe, "-c", "import " + ", ".join(modules or ["sys"])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return self.tool([exe, "-c", code], timeout=timeout)
        raise Skip("no interpreter with %s" % ", ".join(modules))

    def errors(self):
        return [e for c in self.conns for e in c.errors]

    def denied(self):
        e = self.errors()
        if e:
            return "%s %s" % (e[0].get("C"), (e[0].get("M") or "")[:90])
        if self.trouble:
            return self.trouble[0][1]
        return None

    def close(self):
        for c in list(self.conns) + list(self.adm.values()):
            c.close()


class _Dead:
    stmts, notices, notifies, colnames, fcall = [], [], [], [], []
    closed = True

    def close(self):
        pass


def kv(args):
    name, d = "A", {}
    for w in args.split():
        if "=" in w:
            k, v = w.split("=", 1)
            d[k] = v
        else:
            name = w
    return name, d


def run_steps(t, steps, fmt=None):
    for verb, args, text in steps:
        name, d = kv(args)
        if fmt and isinstance(text, str):
            text = fmt(text)
        if verb == "send":
            t.conn(name).query(text)
        elif verb == "ext":
            f = [1] if d.get("fmt") == "binary" else []
            params = json.loads(d.get("params", "[]").replace("%20", " "))
            t.conn(name).ext(text, params=params, rfmts=f, max_rows=int(d.get("max", 0)), stmt=d.get("stmt", ""), portal=d.get("portal", ""))
        elif verb == "admin":
            t.admin(text, name if name != "A" else "")
        elif verb == "copyin":
            t.conn(name).copydata.append((text if isinstance(text, bytes) else text.encode()) + b"\n")
        elif verb == "drain":
            t.conn(name).drain(float(d.get("s", 0.2)))
        elif verb == "sleep":
            time.sleep(float(d.get("s", 0.2)))
        elif verb == "close":
            t.conn(name).close()
        else:
            raise ValueError("unknown directive @" + verb)


def execute(t, case):
    """run the case on one side; problems of the connection count as a refusal"""
    try:
        if case.py:
            spec = importlib.util.spec_from_file_location("case_" + re.sub(r"\W", "_", case.file), case.path)
            m = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(m)
            t.module = m
            m.run(t)
        else:
            run_steps(t, case.steps())
    except (PgError, Closed) as e:
        t.trouble.append(("denied", "connection: %s" % e))
    except TimeoutError as e:
        t.trouble.append(("hang", "timeout: %s" % e))
    except (ConnectionResetError, BrokenPipeError) as e:
        t.trouble.append(("denied", "connection: %s" % e))


# ---------------------------------------------------------------------------- oracles
def oracle(t, case):
    """Really carry the attack out: recover the secret from yes/no answers only."""
    spec = {}
    for w in re.findall(r'(\w+)=("[^"]*"|\S+)', case.get("oracle")):
        spec[w[0]] = w[1].strip('"')
    secret = t.admin("SELECT (%s)::text FROM %s WHERE %s" % (spec["col"], spec["from"], spec["where"]))[0][0]
    n = min(int(spec.get("len", 99)), len(secret))
    truth = spec.get("truth", "true")
    steps = case.steps()
    cnt = {"probes": 0, "errors": 0, "run": 0}

    def probe(**kw):
        cnt["probes"] += 1
        before = sum(len(c.errors) for c in t.conns)
        sb = [(c, len(c.stmts), len(c.notices), len(c.notifies)) for c in t.conns]
        t0 = time.time()

        def fmt(s):
            for k, v in kw.items():
                s = s.replace("{%s}" % k, str(v))
            return s
        try:
            run_steps(t, steps, fmt)
        except (PgError, Closed):
            cnt["errors"] += 1
            if cnt["errors"] > 8 and cnt["errors"] == cnt["probes"]:
                raise StopIteration
            return False
        dt = time.time() - t0
        new = []
        notices = notifies = 0
        for c in t.conns:
            o = next((x for x in sb if x[0] is c), (c, 0, 0, 0))
            new += c.stmts[o[1]:]
            notices += len(c.notices) - o[2]
            notifies += len(c.notifies) - o[3]
        errs = [s.error for s in new if s.error]
        if errs:
            cnt["errors"] += 1
        if sum(len(c.errors) for c in t.conns) - before and not truth.startswith(("error", "noerror", "sqlstate")) and cnt["errors"] == cnt["probes"] and cnt["errors"] > 8:
            raise StopIteration
        good = [s for s in new if not s.error]
        last = [s for s in good if s.cols or s.rows] or good
        if truth == "true":
            return bool(last) and last[-1].scalar() in ("t", "true", "1")
        if truth == "rows":
            return bool(last) and len(last[-1].rows) > 0
        if truth.startswith("first:"):
            return bool(last) and last[-1].scalar() == truth[6:]
        if truth == "error":
            return bool(errs)
        if truth == "noerror":
            return not errs
        if truth.startswith("sqlstate:"):
            return any(e.get("C") == truth[9:] for e in errs)
        if truth == "notice":
            return notices > 0
        if truth == "notify":
            return notifies > 0
        if truth == "tag":
            return any((s.tag or "").split(" ")[-1] not in ("0", "") and (s.tag or "").split(" ")[-1].isdigit() and int(s.tag.split(" ")[-1]) > 0 for s in good)
        if truth == "copy":
            return any(s.copy for s in good)
        if truth.startswith("slow:"):
            return dt > float(truth[5:])
        if truth.startswith("contains:"):
            return any(truth[9:] in (x or "") for s in good for r in s.rows for x in r)
        raise ValueError(truth)
    rec = ""
    try:
        m = spec["method"]
        if m == "gt":                 # ascii code of one character by binary search
            for pos in range(1, n + 1):
                lo, hi = 32, 127
                while lo < hi:
                    mid = (lo + hi) // 2
                    if probe(pos=pos, code=mid):
                        lo = mid + 1
                    else:
                        hi = mid
                rec += chr(lo)
        elif m == "bit":
            for pos in range(1, n + 1):
                v = 0
                for b in range(7):
                    if probe(pos=pos, bit=b):
                        v |= 1 << b
                rec += chr(v)
        elif m in ("prefix", "eqchar"):
            alpha = spec.get("alphabet", "0123456789-")
            for pos in range(1, n + 1):
                for ch in alpha:
                    if probe(pos=pos, ch=ch, guess=rec + ch, known=rec):
                        rec += ch
                        break
                else:
                    break
        elif m == "textgt":           # secret >= known+ch, alphabet in ascending byte order
            alpha = sorted(spec.get("alphabet", "-0123456789"))
            for pos in range(1, n + 1):
                lo, hi = 0, len(alpha) - 1
                while lo < hi:
                    mid = (lo + hi + 1) // 2
                    if probe(guess=rec + alpha[mid], known=rec, pos=pos):
                        lo = mid
                    else:
                        hi = mid - 1
                rec += alpha[lo]
        elif m == "numgt":            # numeric with two decimals: value > guess
            lo, hi = 0, int(spec.get("hi", 40000000))
            while lo < hi:
                mid = (lo + hi) // 2
                if probe(guess="%d.%02d" % (mid // 100, mid % 100)):
                    lo = mid + 1
                else:
                    hi = mid
            rec = "%d.%02d" % (lo // 100, lo % 100)
        elif m == "dategt":
            lo, hi = 0, 25000
            base = datetime.date(1940, 1, 1)
            while lo < hi:
                mid = (lo + hi) // 2
                if probe(guess=(base + datetime.timedelta(days=mid)).isoformat()):
                    lo = mid + 1
                else:
                    hi = mid
            rec = (base + datetime.timedelta(days=lo)).isoformat()
        else:
            raise ValueError(m)
    except StopIteration:
        pass
    except TimeoutError as e:
        t.trouble.append(("hang", str(e)))
    ok = bool(rec) and rec == secret[:max(n, len(rec))] and len(rec) >= n
    t.data["oracle"] = "%d probes, recovered %r" % (cnt["probes"], rec[:40])
    return ok


# ---------------------------------------------------------------------------- leak
def arr(xs):
    return "{" + ",".join("NULL" if x is None else '"' + x.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "") + '"' for x in xs) + "}"


def source(t, which):
    if which == "tags":
        return [(s.tag or "") for c in t.conns for s in c.stmts]
    if which == "rowcounts":
        return [str(len(s.rows)) for c in t.conns for s in c.stmts if s.cols]
    if which == "affected":
        return [s.tag.split(" ")[-1] for c in t.conns for s in c.stmts if s.tag and s.tag.split(" ")[-1].isdigit()]
    if which == "columns":
        return [n for c in t.conns for n in c.colnames]
    if which == "errors":
        return [e.get("M", "") for c in t.conns for e in c.errors]
    if which == "sqlstates":
        return [e.get("C", "") for c in t.conns for e in c.errors]
    if which == "notices":
        return [e.get("M", "") for c in t.conns for e in c.notices]
    if which == "notifies":
        return [e[1] for c in t.conns for e in c.notifies]
    if which == "copy":
        return [l for c in t.conns for s in c.stmts for l in b"".join(s.copy).decode("utf-8", "replace").splitlines()]
    if which == "coltypes":
        return ["%s" % o[1] for c in t.conns for s in c.stmts for o in s.cols]
    return [x for c in t.conns for s in c.stmts for r in s.rows for x in r]


def leak_verdict(env, case, t):
    if case.get("oracle"):
        try:
            ok = oracle(t, case)
        except (PgError, Closed) as e:
            t.trouble.append(("denied", str(e)))
            ok = False
        return ("oracle: " + t.data.get("oracle", "")) if ok else None
    execute(t, case)
    hit = detect.find(env.sec, t.conns, t.log, case.targets)
    if hit:
        return "%s: %s" % hit
    xs = source(t, case.get("source", "cells"))
    for q in case.all("leak_sql"):
        c = env.admin()
        try:
            r = c.ext(q, params=[arr(xs)], oids=[1009])
            if r and r[-1].error and env.a.verbose:
                print("   leak_sql:", r[-1].error.get("M"))
            if r and not r[-1].error and r[-1].scalar() == "t":
                return "leak_sql true"
        finally:
            c.close()
    for q in case.all("decode_sql"):
        c = env.admin()
        try:
            r = c.ext(q, params=[arr(xs)], oids=[1009])
            if r and r[-1].error and env.a.verbose:
                print("   decode_sql:", r[-1].error.get("M"))
            if r and not r[-1].error:
                h = detect.find(env.sec, [c], c.log, case.targets)
                if h:
                    return "decoded (%s): %s" % h
        finally:
            c.close()
    m = getattr(t, "module", None)
    if m is not None and hasattr(m, "leaked"):
        h = m.leaked(t)
        if h:
            return "case: %s" % h
    return None


def snapshot(t):
    out = []
    for c in t.conns:
        for s in c.stmts:
            out.append(dict(cols=s.cols, rows=s.rows, tag=s.tag, err=(s.error or {}).get("C"), msg=(s.error or {}).get("M"),
                            copy=b"".join(s.copy), copy_fmt=s.copy_fmt, susp=s.suspended))
    return out


def compare(env, case, a, b, tool_a=(), tool_b=()):
    """a: direct, b: gateway; returns None if equal but for masked values"""
    sec = env.sec
    mode = case.get("compare", "exact")
    ignore = {int(x) for x in case.get("ignore_cols", "").split(",") if x.strip()}
    if len(a) != len(b):
        return "%d statement results instead of %d (%s)" % (len(b), len(a), next((x["msg"] for x in b if x["err"]), ""))
    for i, (x, y) in enumerate(zip(a, b)):
        if x["err"] != y["err"]:
            return "statement %d: %s instead of %s" % (i + 1, ("error %s %s" % (y["err"], y["msg"])) if y["err"] else "no error", x["err"] or "success")
        if mode == "status":
            continue
        if (x["tag"] or "") != (y["tag"] or ""):
            return "statement %d: tag %r instead of %r" % (i + 1, y["tag"], x["tag"])
        if [c[0] for c in x["cols"]] != [c[0] for c in y["cols"]]:
            return "statement %d: columns %s instead of %s" % (i + 1, [c[0] for c in y["cols"]], [c[0] for c in x["cols"]])
        if len(x["rows"]) != len(y["rows"]):
            return "statement %d: %d rows instead of %d" % (i + 1, len(y["rows"]), len(x["rows"]))
        if x["susp"] != y["susp"]:
            return "statement %d: portal suspension differs" % (i + 1)
        if mode == "shape":
            continue
        ncol = max([len(r) for r in x["rows"]] + [len(x["cols"])])
        seccol = {k for k in range(ncol) if any(k < len(r) and sec.cell_hit(r[k]) for r in x["rows"])}
        for k, c in enumerate(x["cols"]):
            if k not in seccol and k not in ignore and y["cols"][k][1] != c[1]:
                return "statement %d: column %s has type %d instead of %d" % (i + 1, c[0], y["cols"][k][1], c[1])
        xr, yr = x["rows"], y["rows"]
        if mode == "unordered" or (mode == "mask" and xr != yr):
            f = lambda rows: sorted([("§" if (k in seccol or k in ignore) else v) or "" for k, v in enumerate(r)] for r in rows)
            if f(xr) != f(yr):
                return "statement %d: unprotected values differ" % (i + 1)
            for r in yr:
                for v in r:
                    if sec.cell_hit(v) and not (mode == "mask"):
                        return "statement %d: protected value in the output" % (i + 1)
        else:
            for rn, (r, s) in enumerate(zip(xr, yr)):
                for k, (u, v) in enumerate(zip(r, s)):
                    if k in ignore:
                        continue
                    if u is not None and sec.cell_hit(u):
                        if sec.cell_hit(v) and env.side_is_gateway:
                            return "statement %d row %d: protected value in the output" % (i + 1, rn + 1)
                    elif u != v:
                        return "statement %d row %d column %d: %r instead of %r" % (i + 1, rn + 1, k + 1, (v or "")[:60] if v is not None else None, (u or "")[:60] if u is not None else None)
        if x["copy"] != y["copy"]:
            if x["copy_fmt"]:
                if len(pgwire.copy_binary_rows(x["copy"])) != len(pgwire.copy_binary_rows(y["copy"])):
                    return "binary COPY differs"
                continue
            la, lb = x["copy"].decode("utf-8", "replace").splitlines(), y["copy"].decode("utf-8", "replace").splitlines()
            if len(la) != len(lb):
                return "COPY: %d lines instead of %d" % (len(lb), len(la))
            for u, v in zip(la, lb):
                fu, fv = re.split(r"[\t,]", u), re.split(r"[\t,]", v)
                if not any(sec.cell_hit(z) for z in fu):
                    if u != v:
                        return "COPY line %r instead of %r" % (v[:60], u[:60])
                elif len(fu) == len(fv):
                    for p, q in zip(fu, fv):
                        if not sec.cell_hit(p) and p != q:
                            return "COPY field %r instead of %r" % (q[:60], p[:60])
    if len(tool_a) != len(tool_b):
        return "tool ran a different number of times"
    for x, y in zip(tool_a, tool_b):
        if x[1] != y[1]:
            return "%s: exit status %s instead of %s" % (x[0][:40], y[1], x[1])
        if mode not in ("status", "shape") and x[2] != y[2]:
            la, lb = x[2].splitlines(), y[2].splitlines()
            if len(la) != len(lb):
                return "%s: %d lines of output instead of %d" % (x[0][:40], len(lb), len(la))
            for u, v in zip(la, lb):
                if u != v and not sec.cell_hit(u):
                    return "%s: output line %r instead of %r" % (x[0][:40], v[:60], u[:60])
                if sec.cell_hit(v) and env.side_is_gateway:
                    return "%s: protected value in the output" % x[0][:40]
    return None


def requires_ok(env, case):
    for r in case.all("requires"):
        for x in r.split(","):
            x = x.strip()
            if x.startswith("ext:"):
                if not env.root().query("SELECT 1 FROM pg_available_extensions WHERE name='%s'" % x[4:])[0].rows:
                    return "extension %s is not available" % x[4:]
            elif "=" in x:
                k, v = x.split("=")
                if env.root().query("SELECT current_setting('%s', true)" % k)[0].scalar() != v:
                    return "server needs %s" % x
    return None


def run_case(env, case):
    """returns (verdict, detail)"""
    why = requires_ok(env, case)
    if why:
        return "SKIP", why
    root = env.root()

    def sub(q):
        return q.replace(":db", env.db).replace(":user", env.a.role)
    for q in case.all("cleanup"):
        root.query(sub(q))
    if case.all("setup"):
        for q in case.all("setup"):
            for s in root.query(sub(q)):
                if s.error:
                    return "BROKEN", "setup: " + s.error["M"]
    if case.all("setup_db"):
        c = env.admin()
        for q in case.all("setup_db"):
            for s in c.query(sub(q)):
                if s.error:
                    return "BROKEN", "setup_db: " + s.error["M"]
        c.close()
    baseline = None
    needs_base = case.kind == "legit" or (case.kind == "block" and case.expect == "ALLOW") or (case.kind == "leak" and case.expect == "MASK")
    compare_base = needs_base and not (case.kind == "leak" and (case.py or case.get("compare") == "none"))
    if compare_base and not (env.a.validate and case.kind == "leak"):
        d = T(env, case, "direct")
        try:
            execute(d, case)
            baseline = (snapshot(d), list(d.out), d.denied())
        finally:
            d.close()
        if case.mutates:
            env.reset()
    t = T(env, case, "gateway")
    try:
        if case.kind == "leak":
            hit = leak_verdict(env, case, t)
            hang = next((x for k, x in t.trouble if k == "hang"), None)
            den = t.denied()
            if hit:
                return "LEAK", hit
            if hang:
                return "HANG", hang
            if case.get("oracle"):
                return "SAFE", t.data.get("oracle", "") + ((" / " + den) if den else "")
            if den:
                if case.expect == "MASK":
                    return "OVERBLOCK", den
                return "SAFE", "denied: " + den
            if case.expect == "DENY":
                return "UNDENIED", "ran without an error, but nothing recognized"
            if case.expect == "MASK" and baseline and not env.a.validate:
                if case.get("compare") is None:
                    case.h["compare"] = ["mask"]
                df = compare(env, case, baseline[0], snapshot(t))
                if df:
                    return "MANGLED", df
            return "SAFE", "masked"
        execute(t, case)
        hang = next((x for k, x in t.trouble if k == "hang"), None)
        if case.kind == "legit" or case.expect == "ALLOW":
            if baseline[2] and not case.get("expect_error"):
                return "BROKEN", "fails on the raw database: " + str(baseline[2])
            if hang:
                return "HANG", hang
            df = compare(env, case, baseline[0], snapshot(t), baseline[1], t.out)
            if df:
                return ("LEAK" if "protected value in the output" in df else "FALSE-POSITIVE"), df
            if not env.a.validate:
                h = detect.find(env.sec, t.conns, t.log, [], deep=False)
                if h:
                    return "LEAK", "%s: %s" % h
            return "PASS", "%d results, %d rows" % (len(baseline[0]), sum(len(x["rows"]) for x in baseline[0]))
        den = t.denied()
        if case.expect == "LIMIT":
            n = [len(s.rows) + sum(c.count(b"\n") for c in s.copy) for c in t.conns for s in c.stmts]
            got = sum(n) if case.get("limit_scope") == "total" else max(n or [0])
            if got > env.limit:
                return "OVER-LIMIT", "%d rows delivered, limit %d" % (got, env.limit)
            if hang:
                return "HANG", hang
            return "BLOCKED", ("denied: " + den) if den else "%d rows" % got
        # DENY
        hit = None
        for pat in case.all("leak_re"):
            blob = "\n".join(x or "" for s in ("cells", "copy", "notices") for x in source(t, s))
            m = re.search(pat, blob, re.M)
            if m:
                hit = "output matches: " + m.group(0)[:30]
        done = None
        for k in ("verify", "verify_db"):
            for q in case.all(k):
                try:
                    c = env.admin("postgres" if k == "verify" else None)
                    r = c.query(sub(q))
                    c.close()
                    ok = r[-1].scalar() == "t" if not r[-1].error else None
                    if ok is None:
                        return "BROKEN", k + ": " + r[-1].error["M"]
                    done = (done is not False) and ok
                except PgError as e:
                    done = False if done is None else done
        m = getattr(t, "module", None)
        if m is not None and hasattr(m, "executed"):
            done = bool(m.executed(t))
        if hit:
            return "EXECUTED", hit
        if done is True:
            return "EXECUTED", "effect verified in the database" + (" (although an error came back: %s)" % den if den else "")
        if hang:
            return "HANG", hang
        if done is None and not case.all("leak_re") and not den:
            return "EXECUTED", "no error"
        if not den:
            return "NO-ERROR", "no effect, but no error either"
        return "BLOCKED", "denied: " + den
    finally:
        t.close()
        for q in case.all("cleanup"):
            root.query(sub(q))


class Result:
    """What came of one case: `ok` says whether the verdict is as it should be."""

    def __init__(self, case, verdict, detail, ok, seconds):
        self.case, self.verdict, self.ok, self.seconds = case, verdict, ok, seconds
        self.detail = re.sub(r"\s+", " ", detail)

    def __str__(self):
        return "%s: %s (expect %s): %s" % (self.case.name, self.verdict, self.case.expect, self.detail)


class Runner:
    """Runs cases one after the other. `a`: the options of run.py (see run.options)."""

    def __init__(self, a):
        self.env = env = Env(a)
        env.side_is_gateway = not a.validate
        if a.validate:
            a.host, a.port, a.sslmode = a.admin_host, a.admin_port, a.admin_sslmode
            a.user, a.password = a.role, a.role_password
        if a.setup:
            env.setup()
        else:
            env.reset()
        with open(os.path.join(HERE, "policy.txt"), encoding="utf-8") as f:
            policy = f.read()
        env.limit = int(re.search(r"^limit rows\s+(\d+)", policy, re.M).group(1))
        c = env.admin()
        env.sec = detect.Secrets(c, policy)
        c.close()
        self.base = env.digest() if a.check_clean else None

    def run(self, case):
        """Runs one case and leaves the database as new. NotReachable passes through."""
        env, a = self.env, self.env.a
        begun = time.time()
        try:
            v, d = run_case(env, case)
        except Skip as e:
            v, d = "SKIP", str(e)
        except NotReachable:
            raise
        except Exception as e:  # the case's own code may raise anything
            if a.verbose:
                traceback.print_exc()
            v, d = "BROKEN", "%s: %s" % (type(e).__name__, e)
        good = GOOD_ON_DATABASE if a.validate else GOOD_AT_GATEWAY
        if a.validate and case.get("raw") and v not in good:
            v, d = "SKIP", "known not to work on the raw database: " + case.get("raw")
        if case.mutates or case.all("cleanup") or case.all("setup") or case.all("setup_db"):
            env.reset()
            env.hygiene()
        elif a.check_clean:
            now = env.digest()
            if now != self.base:
                d += "  [NOT CLEAN: %s]" % ",".join(k for k in set(now) | set(self.base) if now.get(k) != self.base.get(k))
                env.reset()
                self.base = env.digest()
        return Result(case, v, d, v in good, time.time() - begun)
