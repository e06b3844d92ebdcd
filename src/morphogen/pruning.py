"""Pruning of runs: training states and old sample grids are removed, weights never."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from morphogen.catalogue import RunFolder, size_of
from morphogen.errors import UserError
from morphogen.facts import Facts
from morphogen.history import state_of

__all__ = ["pruned", "removable"]


def pruned(names: Sequence[str], yes: bool) -> Facts:
    """Say what could go, ask where a person can answer, and remove it."""
    from morphogen.said import size

    if not names:
        raise UserError("which runs? name them; `morphogen runs` lists the runs here")
    folders = [RunFolder.open(name) for name in names]
    found = [(folder, removable(folder)) for folder in folders]
    rows: list[dict[str, Any]] = [
        {"run": str(f.path), "files": len(files), "bytes": sum(map(size_of, files)), "bytes_before": size_of(f.path)}
        for f, files in found
    ]
    total = sum(row["bytes"] for row in rows)
    go = total > 0 and (yes or _agreed(rows, total))
    if go:
        for folder, files in found:
            _remove(folder, files)
    view: dict[str, Any] = {
        "runs": [{"run": row["run"], "files": row["files"], "size": size(row["bytes"])} for row in rows]
    }
    view |= {"removed" if go else "removable": size(total)}
    if not go and total:
        view["next"] = "nothing was removed; give --yes to remove it"
    return Facts({"runs": rows, "removed": go, "bytes": total}, view)


def removable(folder: RunFolder) -> list[Path]:
    """States, but for the last of a run that is not finished; sample grids, but for the last."""
    states = sorted((folder.path / "state").glob("step-*.safetensors"))
    grids = sorted((folder.path / "samples").glob("step-*"))
    kept = [] if state_of(folder.log())["finished"] else states[-1:]
    found = [path for path in (*states, *grids[:-1]) if path not in kept]
    linked = [p for p in (folder.path / "state", folder.path / "samples") if p.is_symlink()]
    return [path for path in found if path.parent not in linked]


def _agreed(rows: Sequence[dict[str, Any]], total: int) -> bool:
    """Whether the person at the terminal says yes; where nobody can be asked, no."""
    from morphogen.said import clean, size

    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None:
        return False
    for row in rows:
        print(clean(f"{row['run']}: {row['files']} files, {size(row['bytes'])}"), file=sys.stderr)
    print(f"Remove states and old sample grids, {size(total)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _remove(folder: RunFolder, files: Sequence[Path]) -> None:
    """Remove them while nobody trains there, and let the manifest say what is left."""
    from morphogen.run import Run

    run = Run.open(folder.path)
    with run.locked():
        for path in files:
            path.unlink(missing_ok=True)
        run.seal_manifest()
