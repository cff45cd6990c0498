"""SQLite databases that other libraries make: each is there whole, or not at all."""

import os
import shutil
import socket
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

Make = Callable[[Path], None]
"""Opens the database at a path, makes its tables where they are missing, and closes it."""


def ensure_database(path: Path, make: Make) -> None:
    """Have a database at a path that `make` can open.

    A new one is made aside and put in its place whole, so that a kill leaves none. One that cannot be opened
    and holds no more than a new one, as a kill once left them, is replaced; one with data is never removed.

    Raises whatever `make` raises of a database with data.
    """
    try:
        if path.exists():
            make(path)
            return
    except Exception as error:
        with _made_aside(path, make) as new:
            if not _holds_no_more(path, new):
                raise error from None
            for beside in ("-journal", "-wal", "-shm"):  # SQLite would apply them to the new one.
                path.with_name(f"{path.name}{beside}").unlink(missing_ok=True)
            new.replace(path)
        return
    with _made_aside(path, make) as new:
        _put_in_place(new, path)


@contextmanager
def _made_aside(path: Path, make: Make) -> Iterator[Path]:
    """A new database in a folder of its own on the same file system."""
    folder = (
        path.parent / ".aside" / f"{path.name}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    )
    folder.mkdir(parents=True)
    try:
        make(folder / path.name)
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put_in_place(new: Path, path: Path) -> None:
    """Where somebody else has made one meanwhile, theirs stays."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        return
    except OSError:  # A file system without links.
        new.rename(path)


def _holds_no_more(path: Path, new: Path) -> bool:
    """Whether no table has more rows than that of a new database; false where it cannot be read."""
    try:
        held, fresh = _num_rows(path), _num_rows(new)
    except sqlite3.Error:
        return False
    return all(number <= fresh.get(table, 0) for table, number in held.items())


def _num_rows(path: Path) -> dict[str, int]:
    """Rows of each table."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        return {
            table: database.execute(f'select count(*) from "{table}"').fetchone()[0]  # noqa: S608
            for table in tables
        }
