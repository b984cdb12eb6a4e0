"""Reading a target's catalog: a process of its own, through the normal connection to the target."""
import os
import re
import threading
import time

import pytest

from harness import machine
from harness.gateway import resource


def fields(done):
    return dict(line.split(None, 1) for line in done.stdout.splitlines())


def read(gateway, name="test", database=None, check=True):
    return gateway.cli("catalog", "--resource", name,
                       *(["--database", database] if database else []), check=check)


def test_an_operator_reads_a_catalog(story, test_db, database):
    before = fields(read(story, database=database))
    test_db.sql("CREATE TABLE a (x int, y text); CREATE VIEW v AS SELECT x FROM a;"
                "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", database=database)
    after = fields(read(story, database=database))
    assert int(after["relations"]) == int(before["relations"]) + 2
    assert int(after["functions"]) == int(before["functions"]) + 1
    assert int(after["bytes"]) > int(before["bytes"])
    assert re.fullmatch(r"[0-9a-f]{16}", after["fingerprint"])
    assert after["fingerprint"] != before["fingerprint"]
    assert fields(read(story, database=database))["fingerprint"] == after["fingerprint"]
    assert story.wait_log(r"catalog_read resource=test database=\"?" + database)


@pytest.mark.parametrize("role, tls", [("app_scram", "verify-full"), ("app_scram", "off"),
                                       ("app_md5", "require"), ("app_password", "verify-ca"),
                                       ("app_trust", "require")])
def test_every_way_to_log_in_works(gateway, test_db, authority, role, tls):
    g = gateway({"resources": {"other": resource(test_db, authority, user=role, tls=tls)}})
    assert int(fields(read(g, "other"))["relations"]) > 100


def test_a_client_certificate_is_used(gateway, test_db, authority):
    g = gateway({"resources": {"other": resource(test_db, authority, user="app_cert")}})
    assert int(fields(read(g, "other"))["relations"]) > 100


def test_what_cannot_be_read_is_said_and_logged(story, test_db):
    done = read(story, "nothing", check=False)
    assert done.returncode == 1 and "there is no resource" in done.stderr
    done = read(story, database="does_not_exist", check=False)
    assert done.returncode == 1 and "does_not_exist" in done.stderr
    story.wait_log(r"catalog_read_failed .*does_not_exist")
    assert story.status()["connections"] == "0"
