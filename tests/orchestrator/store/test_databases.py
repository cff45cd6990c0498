"""Databases are there whole or not at all, and one with data is never removed."""

import sqlite3
from contextlib import closing

import pytest

from layerscope.orchestrator.store.databases import ensure_database

HALF = "create table runs (name text)"


def make(path):
    """Like a library that begins by looking whether all is there, and cannot mend what is half there."""
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
        if tables == {"runs"}:
            raise ValueError("table runs already exists")
        if not tables:
            database.executescript(
                f"{HALF}; create table version (number int); insert into version values (3)"
            )
        assert database.execute("select number from version").fetchall() == [(3,)]


def half_made(path, *rows: str):
    with closing(sqlite3.connect(path)) as database:
        database.execute(HALF)
        database.executemany("insert into runs values (?)", [(row,) for row in rows])
        database.commit()


def test_a_new_one_is_made_aside_and_put_in_place_whole(tmp_path):
    path = tmp_path / "a.db"
    seen = []

    def looking(at):
        seen.append((at.name, at.parent.parent.name, path.exists()))
        make(at)

    ensure_database(path, looking)
    assert seen == [("a.db", ".aside", False)]
    make(path)
    assert list((tmp_path / ".aside").iterdir()) == []


def test_one_that_is_whole_is_opened_where_it_is(tmp_path):
    make(tmp_path / "a.db")
    before = (tmp_path / "a.db").stat().st_ino
    ensure_database(tmp_path / "a.db", make)
    assert (tmp_path / "a.db").stat().st_ino == before


def test_one_that_is_half_made_and_empty_is_made_anew(tmp_path):
    half_made(tmp_path / "a.db")
    ensure_database(tmp_path / "a.db", make)
    make(tmp_path / "a.db")


@pytest.mark.parametrize("broken", ["half", "no database"])
def test_one_with_data_is_never_removed(tmp_path, broken):
    path = tmp_path / "a.db"
    half_made(path, "a run") if broken == "half" else path.write_bytes(b"something else altogether" * 99)
    before = path.read_bytes()
    with pytest.raises((ValueError, sqlite3.DatabaseError)):
        ensure_database(path, make)
    assert path.read_bytes() == before


def test_of_two_makers_the_first_one_stays(tmp_path):
    path = tmp_path / "a.db"

    def slow(at):
        make(at)
        if not path.exists():
            make(path)
            with closing(sqlite3.connect(path)) as database:
                database.execute("insert into runs values ('theirs')")
                database.commit()

    ensure_database(path, slow)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select name from runs").fetchall() == [("theirs",)]


def test_a_maker_that_fails_leaves_nothing(tmp_path):
    def failing(at):
        at.write_bytes(b"half")
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        ensure_database(tmp_path / "a.db", failing)
    assert not (tmp_path / "a.db").exists()
    assert list((tmp_path / ".aside").iterdir()) == []
