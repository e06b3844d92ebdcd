"""Look: what runs there are, how one is doing, how several differ, and what they take on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from morphogen.tasks.task import task

if TYPE_CHECKING:
    from morphogen.catalogue import RunFolder

__all__ = ["compare", "prune", "runs", "show"]


@task
def show(run: RunFolder) -> dict[str, Any]:
    """A run at a glance: recipe, data, loss curve, last numbers, speed, skipped files.

    morphogen show last
    morphogen show runs/vae-digits --json
    """
    from morphogen import recipe as recipes
    from morphogen.facts import Facts
    from morphogen.history import course, last_of, nested, sparkline, state_of

    records, facts = run.log(), run.facts
    latest, state, curves, space = last_of(records), state_of(records), course(records), facts["space"]
    events = [{"step": r.get("step", 0), "event": str(r["event"])} for r in records if "event" in r]
    skipped, classes = facts.get("skipped") or 0, facts.get("classes")
    classes = classes if isinstance(classes, list) else []
    data = {"name": facts.get("name"), "sizes": facts.get("sizes"), "classes": len(classes), "space": space}
    said: dict[str, Any] = {
        "run": str(run.path),
        "state": state,
        "data": data | {"skipped": skipped},
        "model": run.recipe["model"],
        "train": run.recipe["train"],
        "seed": run.recipe["seed"],
        "origin": run.origin(),
        "course": {name.removeprefix("loss/"): values for name, values in curves.items()},
        "latest": nested({name: value for name, value in latest.items() if name != "fraction"}),
        "events": events,
    }
    sizes = facts["sizes"] if isinstance(facts.get("sizes"), dict) else {}
    view: dict[str, Any] = {
        "run": said["run"],
        "state": _words(state),
        "data": f"{facts.get('name')}: "
        + ", ".join(f"{name} {count:,}" for name, count in sizes.items())
        + f"; {len(classes):,} classes" * bool(classes),
        "space": _space(space),
    }
    for key in ("model", "train"):
        view[key] = recipes.to_toml({"": run.recipe[key]}).partition("= ")[2]
    view |= {f"course of {name}": sparkline(values) for name, values in curves.items()}
    view |= {name: value for name, value in latest.items() if name != "fraction"}
    if skipped:
        view["skipped"] = f"{skipped}, listed in {run.path / 'skipped.tsv'}"
    if events:
        view["events"] = [f"step {e['step']}: {e['event']}" for e in events[-5:]]
    return Facts(said, view)


def _space(space: Any) -> str:
    """What one example is, in words, from the facts of a run."""
    if not isinstance(space, dict):
        return str(space)
    shape = [space[key] for key in ("channels", "height", "width", "length") if key in space] or space.get("shape")
    return (
        f"{space.get('kind')} {tuple(shape) if isinstance(shape, list) else ''}, {space.get('levels') or 'real'} levels"
    )


def _words(state: dict[str, Any]) -> str:
    if not state["step"]:
        return "no step taken yet"
    return f"step {state['step']:,}, " + ("finished" if state["finished"] else f"{state['fraction']:.0%} of the plan")


@task
def runs(
    folder: Path = Path("runs"), *, by: Literal["date", "loss", "size", "took", "name"] = "date"
) -> list[dict[str, Any]]:
    """The runs in a folder: recipe, changed settings, seed, date, training time, size and loss.

    folder: where to look, its subfolders included
    by: how to sort: newest, lowest loss, largest, longest or by name first

    morphogen runs
    morphogen runs experiments --by loss
    """
    from morphogen.catalogue import entry, find_runs
    from morphogen.errors import UserError
    from morphogen.facts import Rows

    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `morphogen train vae digits` makes a first run in runs/")
    found = []
    for home in find_runs(folder):
        try:
            found.append(entry(home))
        except Exception as error:  # whatever is wrong with one run, the others are listed
            found.append({"run": str(home), "unreadable": str(error)})
    return Rows(_sorted(found, by), [_row(said) for said in _sorted(found, by)])


def _sorted(found: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """What has no such value comes last."""
    key, largest = {"date": ("date", True), "loss": ("loss", False), "size": ("bytes", True),
                    "took": ("seconds", True), "name": ("run", False)}[by]  # fmt: skip
    there = [said for said in found if said.get(key) is not None]
    rest = [said for said in found if said.get(key) is None]
    return sorted(there, key=lambda said: said[key], reverse=largest) + rest


def _row(said: dict[str, Any]) -> dict[str, Any]:
    """A run as a person reads it in a list."""
    from morphogen.progress import duration
    from morphogen.said import size

    if "unreadable" in said:
        return {"run": said["run"], "state": f"unreadable: {said['unreadable']}"}
    return {
        "run": said["run"],
        "recipe": said["recipe"],
        "data": said["data"],
        "seed": said["seed"],
        "state": _words(said["state"]),
        "loss": said["loss"],
        "took": None if said["seconds"] is None else duration(said["seconds"]),
        "size": size(said["bytes"]),
        "date": said["date"][:16].replace("T", " "),
        "changed": " ".join(said["changed"]),
    }


@task
def compare(runs: list[str]) -> dict[str, Any]:
    """Compare runs: the settings that differ, and their losses and scores side by side.

    runs: two or more runs, by path or name

    morphogen compare vae-digits vae-digits-2
    morphogen compare runs/a runs/b runs/c --json
    """
    from morphogen.catalogue import RunFolder
    from morphogen.comparing import compared
    from morphogen.errors import UserError

    if len(runs) < 2:
        raise UserError("compare takes two runs or more; `morphogen runs` lists the runs here")
    return compared([RunFolder.open(name) for name in runs])


@task
def prune(runs: list[str], *, yes: bool = False) -> dict[str, Any]:
    """Free disk space: remove training states and old sample grids of runs; weights are never removed. A finished
    run keeps no state, so it can no longer be trained for longer; others keep their last, and can be resumed.

    runs: the runs to prune, by path or name
    yes: remove without asking

    morphogen prune last
    morphogen prune runs/a runs/b --yes
    """
    from morphogen.pruning import pruned

    return pruned(runs, yes)
