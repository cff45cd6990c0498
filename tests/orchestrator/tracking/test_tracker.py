"""Addresses are checked before anything is opened, and never show a password."""

import pytest

from layerscope.orchestrator.tracking.tracker import Page, check_tracking_uri, redacted


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///runs/mlflow.db",
        "http://localhost:5000",
        "https://user:secret@tracking.example.org/mlflow",
        "postgresql+psycopg2://user:secret@db/mlflow",
        "databricks",
    ],
)
def test_addresses_that_mlflow_serves_are_taken(uri):
    check_tracking_uri(uri)


@pytest.mark.parametrize("uri", ["runs/mlruns", "file:///tmp/mlruns", "ftp://host", "", "localhost:5000"])
def test_other_addresses_are_refused_with_what_would_be_right(uri):
    with pytest.raises(ValueError, match="sqlite:///FOLDER/mlflow.db, http://HOST:PORT"):
        check_tracking_uri(uri)


def test_a_refused_address_shows_no_password():
    with pytest.raises(ValueError) as error:
        check_tracking_uri("ftp://user:secret@host")
    assert "secret" not in str(error.value)


def test_passwords_are_taken_out_of_messages():
    message = "GET https://user:p@ss@host:5000/api failed, then http://token@host"
    assert redacted(message) == "GET https://***@host:5000/api failed, then http://***@host"
    assert redacted("write to me@example.org") == "write to me@example.org"


@pytest.mark.parametrize("key", ["", "a'b", "a b", "ключ"])
def test_a_key_that_could_break_a_query_is_a_mistake(key):
    with pytest.raises(AssertionError, match="no key of a page"):
        Page(key=key, level="study", name="name", parent=None, status="running")
