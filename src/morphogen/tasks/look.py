"""Look: what runs there are, and how one is doing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.tasks.task import task

if TYPE_CHECKING:
    from morphogen.opened import OpenRun

__all__ = ["runs", "show"]


@task
def show(run: OpenRun) -> dict[str, Any]:
    """A run at a glance: recipe, data, the course of the loss, the last numbers, speed, what was skipped."""
    from morphogen import recipe as recipes
    from morphogen.report import course, last_of, sparkline

    records, inner = run.run.log(), run.run
    latest, facts = last_of(records), inner.facts
    said: dict[str, Any] = {
        "run": str(run.path),
        "state": _state(run),
        "data": f"{facts['name']}: " + ", ".join(f"{name} {count:,}" for name, count in facts["sizes"].items()),
        "space": f"{inner.space.kind} {tuple(inner.space.shape)}, {inner.space.levels or 'real'} levels",
    }
    for key in ("model", "train"):
        said[key] = recipes.to_toml({"": inner.recipe[key]}).partition("= ")[2]
    for name in course(records):
        said[f"course of {name}"] = sparkline(course(records)[name])
    said |= {name: value for name, value in latest.items() if name != "fraction"}
    if facts.get("skipped"):
        said["skipped"] = f"{facts['skipped']}, listed in {run.path / 'skipped.tsv'}"
    events = [f"step {r.get('step', 0)}: {r['event']}" for r in records if "event" in r]
    return said | ({"events": events[-5:]} if events else {})


def _state(run: OpenRun) -> str:
    """In words, from the log alone: a sealed state would have to be read whole."""
    records = [r for r in run.run.log() if "fraction" in r]
    if not records:
        return "no step taken yet"
    step, fraction = int(records[-1]["step"]), float(records[-1]["fraction"])
    return f"step {step:,}, " + ("finished" if fraction >= 1 else f"{fraction:.0%} of the plan")


@task
def runs(folder: Path = Path("runs")) -> list[dict[str, Any]]:
    """The runs in a folder, the newest first.

    folder: where to look, its subfolders included
    """
    from morphogen.errors import MorphogenError, UserError
    from morphogen.opened import OpenRun
    from morphogen.report import last_of

    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `morphogen train vae digits` makes a first run in runs/")
    found = []
    homes = sorted(folder.rglob("recipe.toml"), key=lambda p: (-p.stat().st_mtime, str(p)))
    for home in homes:
        try:
            run = OpenRun(home.parent)
            latest = last_of(run.run.log())
            loss = latest.get("valid/loss", latest.get("loss/model"))
            about = {"model": run.run.recipe["model"]["use"], "data": run.run.facts["name"], "state": _state(run)}
            found.append({"run": str(home.parent), **about, "loss": loss})
        except (MorphogenError, KeyError, TypeError) as error:
            broken = {"model": "", "data": "", "state": f"unreadable: {error}", "loss": None}
            found.append({"run": str(home.parent), **broken})
    return found
