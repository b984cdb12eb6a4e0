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


def test_the_sample_is_accepted():
    assert is_valid(SAMPLE)


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
