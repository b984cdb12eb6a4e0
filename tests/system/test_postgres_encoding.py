"""Encodings: what the gateway judges must be what the server reads."""
import psycopg2
import pytest


def test_a_database_in_another_encoding_is_refused_with_the_reason(story, test_db):
    test_db.sql("DROP DATABASE IF EXISTS latin", database="postgres")
    test_db.sql("CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0 "
                "LC_COLLATE 'C' LC_CTYPE 'C'", database="postgres")
    with pytest.raises(psycopg2.OperationalError, match="encoding is LATIN1; only UTF8"):
        story.connect(database="latin")


@pytest.mark.parametrize("statement", [
    "SET client_encoding = 'LATIN1'",
    "SET NAMES 'LATIN1'",
    "SELECT set_config('client_encoding', 'LATIN1', false)",
    "SET standard_conforming_strings = off",
])
def test_what_changes_the_meaning_of_text_is_refused(story, statement):
    connection = story.connect()
    connection.autocommit = True
    cursor = connection.cursor()
    with pytest.raises(psycopg2.Error) as refused:
        cursor.execute(statement)
    assert refused.value.pgcode == "42501"
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)
    connection.close()
