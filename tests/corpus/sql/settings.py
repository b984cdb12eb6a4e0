"""policy.txt as the configuration of a gateway (docs/policy.md, docs/configuration.md)."""
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))

ROLE, PASSWORD, DATABASE = "agent", "agent-pw", "corpus"
RESOURCE = "agent"

# Section 3: the command classes that the words of `deny` lines mean. A word with an empty list
# is kept by other means: `protected_use` by `protect`, the rest by not being allowed.
DENIED = {
    "protected_use": [],
    "ddl": ["ddl", "temporary"],
    "mass_write": ["mass-write"],
    "database": ["create-database", "drop-database"],
    "roles": ["grant"],
    "code": ["anonymous-code", "call", "define-code", "large-object"],
    "dynamic": ["dynamic-sql"],
    "files": ["server-files", "copy-program", "foreign"],
    "server": ["backend-control", "server-settings", "replication", "maintenance", "two-phase"],
    "locks": [],
    "settings": [],
    "secrets": ["secrets"],
}
WRITABLE = ["tickets", "orders", "order_items", "customers", "products"]
WRITES = ["insert", "update", "delete", "merge", "copy-in", "row-lock"]
# Of installed extensions; all only compute.
FUNCTIONS = ["similarity", "hstore", "levenshtein"]


def policy_lines():
    with open(os.path.join(HERE, "policy.txt"), encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f if line.strip() and not line.startswith("#")]


def protect(lines):
    """The `protect` entries: all whole columns in one, those with a path each in its own."""
    whole, parts = [], []
    for line in lines:
        m = re.match(r'protect\s+((?:"[^"]*"|[^\s"])+)(.*)$', line)
        if not m:
            continue
        path = re.search(r"path=(\S+)", m.group(2))
        if path:
            parts.append({"columns": [m.group(1)], "paths": [path.group(1).replace(",", ".")], "mask": "redact"})
        else:
            whole.append(m.group(1))
    return [{"columns": whole, "mask": "redact"}] + parts


def policies(lines):
    words = {kind: [line.split()[1] for line in lines if line.startswith(kind + " ")] for kind in ("allow", "deny", "limit")}
    rows = next(int(line.split()[2]) for line in lines if line.startswith("limit rows"))
    functions = re.findall(r"public\.(\w+)\(", next(line for line in lines if line.startswith("allow function")))
    unknown = set(words["deny"]) - set(DENIED)
    assert not unknown, "policy.txt denies what settings.py does not know: %s" % unknown
    limits = {"rows_per_command": rows, "require_where": True, "max_affected_rows": 30}
    rules = [
        {"name": "read", "allow": ["read"], "limits": limits},
        {"name": "write", "tables": WRITABLE, "allow": WRITES, "limits": limits},
        {"name": "sessions", "allow": ["session"], "limits": limits},
        {"name": "functions", "functions": functions + FUNCTIONS, "allow": ["unknown-function"], "limits": limits},
    ]
    rules += [{"name": "no " + word.replace("_", " "), "commands": DENIED[word], "deny": word.replace("_", " ") + " is not for agents"}
              for word in words["deny"] if DENIED[word]]
    return rules


def configuration(host, port, without=()):
    """What a gateway's configuration has besides its own files and ports; the password is in the
    environment as TARGET_PASSWORD. `without`: `protect`, `limits`."""
    lines = policy_lines()
    resource = {"protocol": "postgres", "address": "%s:%d" % (host, port), "tls": "off", "database": DATABASE,
                "credential": {"user": ROLE, "password": {"env": "TARGET_PASSWORD"}}, "protect": protect(lines),
                # the second net, for what a careless owner wrote elsewhere
                "detect": ["us-ssn", "iban", "jwt", "private-key", "cloud-key"]}
    rules = policies(lines)
    if "protect" in without:
        del resource["protect"]
    if "limits" in without:
        for rule in rules:
            rule.pop("limits", None)
    return {"postgres": {"cleartext_on_loopback": True}, "resources": {RESOURCE: resource}, "policies": rules}
