"""Promises about the house itself: every module says what belongs in it, every link leads somewhere."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for name in ("fluxforge_collector", "fluxforge_assets") for p in (ROOT / name).rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_says_what_belongs_in_it(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing


def test_the_readme_leads_to_every_page():
    led_to = set(re.findall(r"\]\((docs/[^)#]+)", PAGES[0].read_text(encoding="utf-8")))
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} <= led_to


def test_no_file_has_a_name_that_says_nothing():
    empty = {"utils.py", "helpers.py", "common.py", "base.py", "constants.py", "types.py"}
    assert not [p for p in SOURCES if p.name in empty]


def test_no_file_of_the_tests_hides_a_module_of_python():
    """A script among them finds its neighbours first."""
    names = {path.stem for path in (ROOT / "tests").rglob("*.py")} - {"__init__"}
    assert not names & sys.stdlib_module_names


def test_the_lock_names_no_host():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_every_long_test_has_a_target():
    """What `make test` leaves out is run by something: each such file is named in the Makefile, itself or by its folder."""
    targets = re.findall(r"tests/[\w/.]+", (ROOT / "Makefile").read_text(encoding="utf-8"))
    long = [
        p.relative_to(ROOT)
        for p in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"mark\.slow", p.read_text("utf-8"))
    ]
    assert len(long) > 10
    assert [p for p in long if not any(Path(t) in {p, *p.parents} for t in targets)] == []
