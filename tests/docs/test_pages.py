"""Every `fluxforge` or `dagster` command that a page quotes is one there is, with options and values that it takes."""

import re
import shlex
from pathlib import Path

import click
import pytest
from dagster._cli import cli as dagster

from fluxforge_assets.definitions import build
from fluxforge_collector.cli import root
from fluxforge_collector.config.model import Config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "deploy/README.md")),
    *sorted(path for folder in ("how-to", "tutorial", "why") for path in (ROOT / "docs" / folder).glob("*.md")),
]


def lines_of(page):
    """The lines of a page's blocks of code."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL) + re.findall(r"\n\n((?: {4}.*\n)+)", text)
    return "".join(blocks).splitlines()


def quoted(page, program, group):
    """The arguments of every command of a program in a page's blocks of code."""
    commands = "|".join(group.list_commands(click.Context(group)))
    for line in lines_of(page):
        if named := re.search(rf"(?:^|[ /]){program} ((?:{commands})\b.*)", line):
            yield shlex.split(named[1], comments=True)


def take(command, name, words):
    """Let the program's own parser take the arguments. Raises: click.ClickException where it does not."""
    rest = list(words)
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(click.Context(command), rest)
    command.make_context(name, rest)


def test_the_pages_quote_commands():
    assert sum(1 for page in PAGES for _ in quoted(page, "fluxforge", root)) > 50
    assert sum(1 for page in PAGES for _ in quoted(page, "dagster", dagster)) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_a_page_quotes_is_taken(page):
    for words in quoted(page, "fluxforge", root):
        take(root, "fluxforge", words)
    for words in quoted(page, "dagster", dagster):
        take(dagster, "dagster", words)


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
@pytest.mark.filterwarnings("ignore::dagster.PreviewWarning")
def test_the_jobs_and_sensors_that_pages_name_are_there():
    repository = build(Config()).get_repository_def()
    for words in (words for page in PAGES for words in quoted(page, "dagster", dagster)):
        if words[:2] == ["job", "launch"]:
            assert repository.has_job(words[words.index("-j") + 1]), words
        if words[0] == "sensor":
            assert any(repository.has_sensor_def(word) for word in words[2:]), words
