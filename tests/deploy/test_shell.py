import pytest


@pytest.mark.deploy
def test_shellcheck_has_nothing_to_say_against_any_script(tool, root):
    scripts = [
        p
        for p in [*root.glob(".ci/*"), *root.glob("deploy/**/*.sh")]
        if p.read_text().startswith("#!/usr/bin/env bash")
    ]
    assert len(scripts) >= 2
    assert not tool("shellcheck", *scripts)
