"""What docs/why/security.md promises of the source and of the files that are written."""

import ast
import os
import re

import pytest
from support.market import DAY, INSTRUMENTS, config_of, records, seal

from fluxforge_assets.lake.landing import land
from fluxforge_assets.lake.paths import Lake
from fluxforge_assets.lake.update import update
from fluxforge_collector.config.model import Config, Metrics, Storage

FORBIDDEN = re.compile(
    r"^(pickle|shelve|marshal|dill|joblib)\b|^(eval|exec|compile|__import__)$|^os\.(system|popen)$|^yaml\.(load|unsafe_load)$"
)
LOOSE = {"shell": True, "verify": False, "ssl": False, "check_hostname": False, "verify_ssl": False}


def calls(root):
    """Path and call of every call in the source."""
    for package in ("fluxforge_collector", "fluxforge_assets"):
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield path, node


def test_nothing_is_unpickled_evaluated_or_run_from_data(root):
    found = [(path.name, ast.unparse(call.func)) for path, call in calls(root)]
    assert len(found) > 5000
    forbidden = [(name, function) for name, function in found if FORBIDDEN.search(function)]
    assert forbidden == [("lazy_ccxt.py", "compile")], "of ccxt's own source, as Python's loader does"


def test_nothing_turns_the_checking_of_certificates_off(root):
    loose = [
        (path.name, keyword.arg)
        for path, call in calls(root)
        for keyword in call.keywords
        if keyword.arg in LOOSE
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is LOOSE[keyword.arg]
    ]
    assert not loose
    assert not [field for field in Storage.model_fields if "verif" in field or "insecure" in field]


def test_what_listens_does_so_on_loopback_by_default():
    assert Metrics().host == "127.0.0.1"
    assert Config().metrics.host == "127.0.0.1"


@pytest.fixture
def strict_umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_others_read_nothing_of_what_is_written(tmp_path, strict_umask):
    """From the sealed segment to the bars, with the umask of the units."""
    root = tmp_path / "lake"
    seal(root, records(1, seconds=20, instruments=INSTRUMENTS[:1]))
    lake = Lake(root)
    land(lake, "ccxt")
    assert list(update(lake, config_of(root), "ccxt", DAY))
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {"archive", "bars", "hf"} <= {part for path in files for part in path.parts}
    open_to_others = [str(path.relative_to(root)) for path in root.rglob("*") if path.stat().st_mode & 0o007]
    assert not open_to_others
