"""What the guide shows of lists is what the program says."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from morphogen import cli

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guide"
SHOWN = re.compile(
    r"<!-- output: (morphogen (?:--help|recipes|data|tasks)) -->\n```text\n\$ [^\n]*\n(.*?)```", re.DOTALL
)
LISTS = [(page.name, *found) for page in sorted(GUIDE.glob("*.md")) for found in SHOWN.findall(page.read_text("utf-8"))]


def test_there_are_lists() -> None:
    assert {command for _, command, _ in LISTS} == {f"morphogen {w}" for w in ("--help", "recipes", "data", "tasks")}


@pytest.mark.parametrize(("page", "command", "shown"), LISTS, ids=[f"{page}-{command}" for page, command, _ in LISTS])
def test_a_list_is_what_is_said(page: str, command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        cli.main(command.split()[1:])
    said = capsys.readouterr().out
    assert said.strip() == shown.strip(), f"docs/guide/{page} shows another {command}; paste what it says"
