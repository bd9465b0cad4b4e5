"""Every `fluxforge` command that a page quotes is one there is, with options and values that it takes."""

import re
import shlex
from pathlib import Path

import click
import pytest

from fluxforge_collector.cli import root

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "deploy/README.md")),
    *sorted(path for folder in ("how-to", "tutorial", "why") for path in (ROOT / "docs" / folder).glob("*.md")),
]


def quoted(page):
    """The arguments of every `fluxforge` command in a page's blocks of code."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) + re.findall(r"\n\n((?: {4}.*\n)+)", text)
    commands = root.list_commands(click.Context(root))
    for line in "".join(blocks).splitlines():
        if named := re.search(rf"(?:^|[ /])fluxforge ((?:{'|'.join(commands)})\b.*)", line):
            yield shlex.split(named[1], comments=True)


def test_the_pages_quote_commands():
    assert sum(1 for page in PAGES for _ in quoted(page)) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_quotes_is_taken(page):
    for words in quoted(page):
        command, name, rest = root, "fluxforge", words
        while isinstance(command, click.Group):
            name, command, rest = command.resolve_command(click.Context(command), list(rest))
        command.make_context(name, list(rest))
