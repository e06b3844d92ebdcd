"""A catalogue of runs: found by name or as `last`, with their recipe, changes, seed, date, size and loss. Read from
recipe.toml, data.json, origin.json and the log alone, so no torch is loaded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from morphogen import recipe as recipes
from morphogen.errors import UserError
from morphogen.history import last_of, records, state_of
from morphogen.run_checks import check_facts, check_recipe

__all__ = ["RunFolder", "entry", "find_runs", "is_run", "locate", "no_run", "size_of", "write_origin"]

RUNS, LAST = Path("runs"), "last"
RECIPE, DATA, LOG, ORIGIN = "recipe.toml", "data.json", "log.jsonl", "origin.json"


def is_run(path: Path) -> bool:
    """Whether a folder holds a run."""
    try:
        return (path / RECIPE).is_file() and (path / DATA).is_file()
    except OSError:  # longer than a name can be
        return False


def find_runs(folder: Path = RUNS) -> list[Path]:
    """Every run below a folder, the one that was trained last first."""
    homes = {path.parent for path in folder.rglob(RECIPE)} if folder.is_dir() else set()
    return sorted(homes, key=lambda home: (-_touched(home), str(home)))


def _touched(home: Path) -> float:
    times = [(home / name).stat().st_mtime for name in (LOG, RECIPE) if (home / name).is_file()]
    return max(times, default=0.0)


def locate(said: str | Path) -> Path:
    """The folder of a run from its path, its name below runs/, or `last`. What is none of these is given back."""
    path = Path(said)
    if is_run(path) or str(said) in ("", ".", "..") or path.is_absolute():
        return path
    if is_run(RUNS / path):
        return RUNS / path
    if str(said) == LAST:
        found = [home for home in find_runs() if is_run(home)]
        if not found:
            raise UserError("there is no last run: runs/ holds none yet; `morphogen train vae digits` makes a first")
        return found[0]
    if len(path.parts) == 1:
        same = [home for home in find_runs() if home.name == str(said) and is_run(home)]
        if len(same) > 1:
            raise UserError(f"several runs are called {said!r}: {', '.join(map(str, same[:5]))}; give the path of one")
        return same[0] if same else path
    return path


def no_run(path: Path) -> UserError:
    """What to say of a folder that is no run: the run that is spelt much like it, if there is one."""
    names = {home.name: str(home) for home in find_runs()}
    names |= {LAST: LAST} if names else {}
    near = get_close_matches(path.name, names, n=1, cutoff=0.6) if path.name else []
    remedy = f"did you mean {names[near[0]]!r}?" if near else "`morphogen runs` lists the runs here"
    return UserError(f"{path} is not a run: it holds no {RECIPE} and {DATA}; {remedy}")


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, read without its weights."""

    path: Path
    recipe: dict[str, Any]
    facts: dict[str, Any]

    @classmethod
    def open(cls, said: str | Path) -> RunFolder:
        """The run of this path or name, or `last`."""
        path = locate(said)
        if not is_run(path):
            raise no_run(path)
        recipe, facts = recipes.read(path / RECIPE), _json(path / DATA)
        check_recipe(recipe, path / RECIPE)
        check_facts(facts, path / DATA)
        return cls(path, recipe, facts)

    def log(self) -> list[dict[str, Any]]:
        """What was logged."""
        return records(self.path / LOG)

    def origin(self) -> dict[str, Any]:
        """The recipe's name, the settings that were changed, and when; as far as it is known."""
        try:
            return _json(self.path / ORIGIN)
        except UserError:
            return {}


def write_origin(path: Path, recipe: Any, settings: Iterable[str]) -> None:
    """Keep what a run was made from beside it: the recipe's name, the settings that were changed, the date."""
    from morphogen import __version__, disk

    name = "recipe" if isinstance(recipe, Mapping) else Path(str(recipe)).stem
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    facts = {"recipe": name, "settings": list(settings), "created": created, "morphogen": __version__}
    disk.write_json(path / ORIGIN, facts)


def entry(home: Path) -> dict[str, Any]:
    """One line of a list of runs."""
    folder = RunFolder.open(home)
    log, origin = folder.log(), folder.origin()
    latest, state = last_of(log), state_of(log)
    settings = origin.get("settings")
    return {
        "run": str(home),
        "recipe": _text(origin.get("recipe")) or _text(_use(folder.recipe["model"])),
        "data": _text(folder.facts.get("name")) or _text(_use(folder.recipe["data"])),
        "changed": [str(word) for word in settings] if isinstance(settings, list) else [],
        "seed": folder.recipe["seed"],
        "date": _text(origin.get("created")) or time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(_touched(home))),
        "seconds": latest.get("time"),
        "bytes": size_of(home),
        "state": state,
        "loss": latest.get("valid/loss", latest.get("loss/model")),
    }


def _use(part: Any) -> Any:
    return part.get("use") if isinstance(part, Mapping) else part


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def size_of(path: Path) -> int:
    """Bytes of a file, or of all that a folder holds; links count as links."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_of(below) for below in path.iterdir())
    return path.lstat().st_size if path.exists() or path.is_symlink() else 0


def _json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(said, dict):
        raise UserError(f"{path} holds no table: it is damaged, or not of a run")
    return said
