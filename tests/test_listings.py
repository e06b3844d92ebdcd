"""What the guide shows of lists is what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guide"
SHOWN = re.compile(
    r"<!-- output: (morphogen (?:--help|recipes|data|tasks)) -->\n```text\n\$ [^\n]*\n(.*?)```", re.DOTALL
)
LISTS = [(page.name, *found) for page in sorted(GUIDE.glob("*.md")) for found in SHOWN.findall(page.read_text("utf-8"))]


def test_there_are_lists() -> None:
    assert {command for _, command, _ in LISTS} == {f"morphogen {w}" for w in ("--help", "recipes", "data", "tasks")}


@pytest.mark.parametrize(("page", "command", "shown"), LISTS, ids=[f"{page}-{command}" for page, command, _ in LISTS])
def test_a_list_is_what_is_said(page: str, command: str, shown: str) -> None:
    """In a process of its own: in one where tests have run, shelves were opened in another order."""
    words = [sys.executable, "-m", *command.split()]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == shown.strip(), f"docs/guide/{page} shows another {command}; paste what it says"
