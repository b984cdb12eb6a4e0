"""docs/bulkhead.schema.json is a valid JSON Schema, and an editor that uses it accepts what
`bulkhead check` accepts and refuses what a schema can refuse."""

import json
import pathlib
import re

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/bulkhead.schema.json").read_text())
SAMPLE = (ROOT / "deploy/bulkhead.yaml").read_text()


class Yaml12(yaml.SafeLoader):
    """YAML 1.2's core schema, in which `off` is a word and 08:00 is text."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
]:
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^({pattern})$"), list(first))


def is_valid(text):
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.load(text, Yaml12))


def test_the_schema_is_valid_itself():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", ["bulkhead.yaml", "approvals.yaml"])
def test_the_samples_are_accepted(name):
    assert is_valid((ROOT / "deploy" / name).read_text())


def with_resource_key(text):
    return SAMPLE.replace("    contact:", f"    {text}\n    contact:", 1)


def with_limits(text):
    return SAMPLE.replace("    allow: [insert]\n", f"    allow: [insert]\n    limits: {text}\n", 1)


@pytest.mark.parametrize("text", [
    "protect: [{columns: ssn}]",
    "protect: [{columns: ['*.email'], mask: null}, {columns: a, mask: \"null\", write: true}]",
    "protect: [{columns: [a], paths: [card.number], mask: {partial: 4}, lookup: equality}]",
    "protect: [{columns: [a], mask: {fixed: \"(hidden)\"}}]",
    "detect: email",
    "detect: [email, {name: ticket, pattern: 'TKT-[0-9]{6}'}]",
    "mask_key: {file: x}",
])
def test_protection_is_accepted(text):
    assert is_valid(with_resource_key(text))


@pytest.mark.parametrize("text", [
    "protect: {columns: ssn}",
    "protect: []",
    "protect: [{mask: redact}]",
    "protect: [{columns: a, mask: sha}]",
    "protect: [{columns: a, mask: {partial: 0}}]",
    "protect: [{columns: a, mask: {partial: 4, fixed: x}}]",
    "protect: [{columns: a, lookup: prefix}]",
    "detect: [emial]",
    "detect: {name: a, pattern: b}",
    "detect: [{name: a}]",
    "mask_key: {files: x}",
])
def test_mistakes_in_protection_are_refused(text):
    assert not is_valid(with_resource_key(text))


def test_limits_are_accepted_where_something_is_allowed():
    everything = ("{rows_per_command: 10, bytes_per_command: 10MiB, rows_per_session: 100, "
                  "seconds_per_command: 30s, max_affected_rows: 5, max_tables: 3, "
                  "require_where: true, read_only: true}")
    assert is_valid(with_limits(everything))
    for wrong in ("{}", "{rows: 1}", "{rows_per_command: 0}", "{bytes_per_command: 10}",
                  "{max_tables: 1025}", "{require_where: 1}"):
        assert not is_valid(with_limits(wrong))
    assert not is_valid(SAMPLE.replace("    deny: \"this is", "    limits: {read_only: true}\n"
                                       "    deny: \"this is", 1))


@pytest.mark.parametrize(
    "instead_of, written",
    [
        ("listen:\n", "listn:\n"),
        ("protocol: postgres", "protocol: ssh"),
        ("address: db.internal:5432", "address: db.internal"),
        ("tls: verify-full", "tls: on"),
        ("max_ttl: 15m", "max_ttl: 15"),
        ("enabled: false", "enabled: no"),
        ("audience: bulkhead", "audience: []"),
        ("https://idp.example.com", "http://idp.example.com"),
        ("allow: [read, session]", "allow: [raed]"),
        ("allow: [read, session]", "commands: [ddl]"),
        ("allow: [read, session]", "allow: [read]\n    deny: no"),
        ("who: {groups: [analytics-agents]}", "who: {}"),
        ("from: [10.0.0.0/8]", "from: [here]"),
        ('from: "22:00"', 'from: "25:00"'),
        ("days: [mon-fri]", "days: [monday]"),
        ("password: {file: /etc/bulkhead/secrets/analytics}", "password: {vault: x}"),
        ("  sandbox:", "  sand/box:"),
    ],
)
def test_a_mistake_is_refused(instead_of, written):
    assert instead_of in SAMPLE
    assert not is_valid(SAMPLE.replace(instead_of, written, 1))


PEOPLE = """
console:
  url: "https://gw.example.com:9443"
  login: {issuer: corp, client_id: console}
  roles: {admin: [sre]}
store: {postgresql: {connection: host=db, password: {env: PW}}}
recordings: {directory: r, public_key: r.pub, retention: 30d}
notifications:
  - {name: hook, webhook: {url: "https://hooks/x", secret: {file: s}}, events: [approval]}
  - {name: chat, slack: {url: "https://slack/x", signing_secret: {file: s}, users: {U1: anna}}}
  - {name: mail, email: {relay: "smtp://mail:25", from: gw@example.com, to: a@example.com}}
"""
STEP_UP = "step_up: {approvers: {groups: [oncall]}}"


def with_people(change=("", "")):
    text = SAMPLE.replace("  postgres: 0.0.0.0:5432\n",
                          "  postgres: 0.0.0.0:5432\n  console: 0.0.0.0:9443\n", 1) + PEOPLE
    assert change[0] in text
    return text.replace(*change, 1)


def with_policy(text):
    return with_people(("policies:\n", f"policies:\n  - {{name: p, {text}}}\n"))


def test_the_console_and_its_kin_are_accepted():
    assert is_valid(with_people())


@pytest.mark.parametrize("change", [
    ("  url: ", "  uri: "),
    ("client_id: console", "clientid: console"),
    ("{admin: [sre]}", "{}"),
    ("{postgresql: {", "{mysql: {"),
    ("public_key: r.pub, ", ""),
    ("retention: 30d", "retention: 30"),
    (", secret: {file: s}}, events", "}, events"),
    ("signing_secret: {file: s}, ", ""),
    ("events: [approval]", "events: [all]"),
    ("smtp://mail:25", "mail:25"),
    ("from: gw@example.com", "from: 'gw <gw@example.com>'"),
    ("name: chat, ", "name: chat, teams: {url: \"https://t\"}, "),
])
def test_mistakes_in_them_are_refused(change):
    assert not is_valid(with_people(change))


@pytest.mark.parametrize("text", [
    STEP_UP,
    f"{STEP_UP}, commands: [ddl], limits: {{read_only: true}}, record: {{rows: true}}",
    f"{STEP_UP}, \"on\": connect",
    "step_up: {approvers: {subjects: anna}, approvals: 20, wait: 1h, wait_in_transaction: 5s, "
    "reason_required: true, scope: for_task, valid_for: 1h, preview: dry_run, "
    "break_glass: {groups: [ic]}}",
    "defer: \"say why\", commands: ddl",
    "allow: [read], record: {retention: 30d}",
])
def test_approvals_are_accepted(text):
    assert is_valid(with_policy(text))


@pytest.mark.parametrize("text", [
    "step_up: {}",
    "step_up: {approvers: {}}",
    "step_up: {approvers: {groups: []}}",
    "step_up: {approvers: {groups: [a]}, approvals: 21}",
    "step_up: {approvers: {groups: [a]}, wait: 10}",
    "step_up: {approvers: {groups: [a]}, scope: for_ever}",
    "step_up: {approvers: {groups: [a]}, preview: dry-run}",
    "step_up: {approvers: {groups: [a]}, break_glass: {}}",
    f"{STEP_UP}, defer: why",
    f"{STEP_UP}, \"on\": session",
    "allow: [read], commands: [ddl]",
    "deny: no, record: {rows: true}",
    "allow: [read], record: {}",
])
def test_mistakes_in_approvals_are_refused(text):
    assert not is_valid(with_policy(text))
