"""Outputs in the guide are those of the program as it is: the same keys, in a quick run of the same recipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from morphogen import cli

ROOT = Path(__file__).resolve().parent.parent
SHOWN = re.compile(r"^<!-- output: morphogen (.*?) -->\n```text\n\$ [^\n]*\n(.*?)```", re.MULTILINE | re.DOTALL)
QUICK = {  # runs of docs/make_pictures.py, trained for a moment
    "runs/guide-digits": ["vae", "digits", "train.steps=40"],
    "runs/tables-guide": ["tabular", "examples/customers.csv", "train.steps=40"],
}
OUTPUTS = [
    (page.name, command, text)
    for page in sorted((ROOT / "docs/guide").glob("*.md"))
    for command, text in SHOWN.findall(page.read_text("utf-8"))
    if any(run in command for run in QUICK) and " -o " not in command and "--samples runs/" not in command
]
KEY = re.compile(r"^( *)([A-Za-z_][\w /%.()-]*?)(?:  |$)")


def keys(text: str) -> list[str]:
    """The words before the first two spaces of each line, up to where the guide cuts a long output."""
    lines = text.split("\n...")[0].splitlines()
    return [
        f"{found[1]}{found[2]}" for line in lines if (found := KEY.match(line)) and not line.lstrip().startswith("{")
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder where the guide's runs are, quickly trained."""
    folder = tmp_path_factory.mktemp("guide")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "examples").symlink_to(ROOT / "examples")
        for run, words in QUICK.items():
            assert cli.main(["train", *words, "--run", run]) == 0
    return folder


def test_there_are_outputs():
    assert len(OUTPUTS) >= 5


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("page", "command", "text"), OUTPUTS, ids=[f"{page}: {command[:60]}" for page, command, _ in OUTPUTS]
)
def test_an_output_has_the_keys_that_the_guide_shows(house, monkeypatch, capsys, page, command, text):
    monkeypatch.chdir(house)
    capsys.readouterr()
    assert cli.main(shlex.split(command)) == 0
    said = set(keys(capsys.readouterr().out))
    missing = [key for key in keys(text) if key not in said]
    assert not missing, f"docs/guide/{page} shows {missing}, which `morphogen {command}` does not print; make pictures"
