"""The command line as a whole: one line for a mistake, an exit code for every end, nothing imported for help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fluxforge_collector.cli import not_permitted

FLUXFORGE = Path(sys.executable).parent / "fluxforge"


def fluxforge(*arguments, cwd=None):
    return subprocess.run([FLUXFORGE, *arguments], capture_output=True, text=True, check=False, cwd=cwd)


ENDS = {
    "help": (["--help"], 0, "Commands:"),
    "version": (["--version"], 0, "fluxforge, version"),
    "unknown command": (["colect"], 2, "did you mean `fluxforge collect`"),
    "unknown option": (["config", "check", "--colour"], 2, "No such option"),
    "missing file": (["config", "check", "--config", "none.yaml"], 2, "no configuration file none.yaml"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), ENDS.values(), ids=ENDS)
def test_every_end_has_its_code_and_its_line(tmp_path, arguments, code, said):
    done = fluxforge(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_exchange_is_no_good_configuration(tmp_path):
    """Else it would be found when the collector starts."""
    (tmp_path / "fluxforge.yaml").write_text("exchanges: {okxx: {symbols: [BTC/USDT]}}\n")
    done = fluxforge("config", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'okxx' — did you mean okx?" in done.stderr


def test_a_place_that_is_not_there_is_one_line(tmp_path):
    out = tmp_path / "nowhere" / "schema.json"
    done = fluxforge("config", "schema", "--out", out)
    assert done.returncode == 2
    assert done.stderr == f"fluxforge: {out}: No such file or directory — check the path, and the disk it is on\n"


def test_a_full_disk_is_one_line():
    done = fluxforge("config", "schema", "--out", "/dev/full")
    assert done.returncode == 2
    assert done.stderr == "fluxforge: No space left on device — make space, and run this again\n"


def test_what_belongs_to_another_user_is_one_line(tmp_path):
    """As the lake of a service, for whoever asks of it without `sudo -u`."""
    code = (
        "import os, sys, fluxforge_collector.cli.config; from fluxforge_collector.cli import main\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"  # root may do anything
        "main(['config', 'schema', '--out', sys.argv[1]])"
    )
    (tmp_path / "closed").mkdir(mode=0o500)
    out = tmp_path / "closed" / "schema.json"
    done = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"fluxforge: {out} is closed to this user — ")
    assert len(done.stderr.splitlines()) == 1


NOT_PERMITTED = {
    "ours": (PermissionError(13, "Permission denied", "/lake/x"), "/lake/x is closed to this user — run this as the"),
    "pyarrow": (PermissionError(13, "Failed to open '/lake/x'"), "this user may not: Failed to open '/lake/x' — run"),
    "polars": (PermissionError("denied (os error 13): /lake/x"), "this user may not: denied (os error 13): /lake/x —"),
    "a port": (PermissionError(13, "Permission denied"), "this user may not: Permission denied — run this as one who"),
}


@pytest.mark.parametrize(("error", "said"), NOT_PERMITTED.values(), ids=NOT_PERMITTED)
def test_what_is_not_permitted_is_named_as_far_as_anybody_says(error, said):
    assert not_permitted(error).startswith(said)


def test_help_imports_no_command():
    code = "import sys; from fluxforge_collector.cli import main\ntry: main(['--help'])\nexcept SystemExit: print('polars' in sys.modules, 'ccxt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_the_schema_is_json_for_editors(tmp_path):
    assert fluxforge("config", "schema", "--out", tmp_path / "schema.json").returncode == 0
    assert json.loads((tmp_path / "schema.json").read_text())["title"] == "Config"
