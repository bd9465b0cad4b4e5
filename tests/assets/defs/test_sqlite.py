"""Dagster's storage in SQLite: a new home that several processes open at the same moment."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

PROFILE = Path(__file__).parents[3] / "dagster.yaml"
ROUNDS = 5
OPEN = """
import os, sys
import dagster as dg
for home in sys.argv[1:]:
    os.chdir(home)
    os.environ["DAGSTER_HOME"] = home
    print("ready", flush=True)
    input()
    dg.DagsterInstance.get().get_runs()
"""


@pytest.fixture
def homes(tmp_path):
    made = [tmp_path / str(number) for number in range(ROUNDS)]
    for home in made:
        home.mkdir()
        shutil.copy(PROFILE, home)
    return made


def versions(database):
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("select version_num from alembic_version").fetchall()


def test_a_new_home_is_opened_by_several_at_once(homes):
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        opening = [sys.executable, "-c", OPEN, *map(str, homes)]
        processes = [stack.enter_context(subprocess.Popen(opening, **piped)) for _ in range(3)]
        for _ in homes:
            assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
            for process in processes:
                process.stdin.write("\n")
                process.stdin.flush()
        assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 3
    for home in homes:
        databases = [*home.rglob("*.db")]
        assert {database.name for database in databases} >= {"runs.db", "index.db", "schedules.db"}
        assert {len(versions(database)) for database in databases} == {1}
