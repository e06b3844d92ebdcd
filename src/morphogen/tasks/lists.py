"""Lists: what there is, and what it needs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from morphogen.tasks.task import task

__all__ = ["checks", "completion", "data", "recipe", "recipes", "tasks"]


@task
def recipes(name: str | None = None, data: str | None = None) -> list[dict[str, Any]] | dict[str, Any]:
    """The recipes that ship with the package, or every setting of one: default, type, meaning. With --json a recipe's
    settings are a JSON schema.

    name: a recipe whose settings are wanted, or a .toml file
    data: a data set whose settings are wanted, too

    morphogen recipes
    morphogen recipes vae digits
    """
    from morphogen import recipe as shelf
    from morphogen.facts import Facts

    if name is None:
        return [{"recipe": name, "summary": shelf.summary(name)} for name in shelf.names()]
    from morphogen.core.build import names
    from morphogen.settings import recipe_schema, rows_of, shelves_of

    schema = recipe_schema(name, data)
    head: dict[str, Any] = {"recipe": name, "about": schema["description"]}
    head["settings"] = [_shown(row) for row in rows_of(schema)]
    return Facts(schema, head | {"choices": {shelf: ", ".join(names(shelf)) for shelf in shelves_of(schema)}})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A setting as a person reads it: its default as it would be typed."""
    from morphogen.recipe import to_toml

    default = row["default"]
    typed = "" if default is None else to_toml({"x": default}).removeprefix("x = ").strip('"')
    return {"setting": row["setting"], "default": typed, "type": row["type"], "meaning": row["meaning"]}


@task
def data() -> list[dict[str, Any]]:
    """The data sets that are known by name, and what else can be data.

    morphogen data
    morphogen data --json
    """
    from morphogen.core.build import describe, names

    told = {name: describe("data", name) for name in names("data")}
    return [
        {"data": name, "options": ", ".join(a.name for a in options), "summary": summary}
        for name, (summary, options) in told.items()
    ]


@task
def tasks() -> list[dict[str, Any]]:
    """What can be done, and what each task needs.

    morphogen tasks
    morphogen tasks --json
    """
    from morphogen.tasks.task import tasks as known

    return [{"task": t.name, "needs": _needs(t.needs), "summary": t.summary} for t in known().values()]


def _needs(word: str) -> str:
    return {"": "nothing", "OpenRun": "a run", "RunFolder": "a run", "Model": "a run"}.get(
        word, f"a run whose model {word[:1].lower()}{word[1:]}"
    )


@task
def recipe(file: Path) -> dict[str, Any]:
    """The recipe inside an output file: the run, the seed and the arguments that made it.

    file: a .png, .gif, .wav, .jsonl, .csv or .npz written by Morphogen

    morphogen recipe grid.png
    morphogen recipe codes.npz --json
    """
    from morphogen import files
    from morphogen.errors import UserError

    note = files.read_note(file)
    if note is None:
        raise UserError(f"{file} carries no recipe: it was not made here, or another program has rewritten it")
    if isinstance(note.get("command"), str):
        note["command"] += f" -o {shlex.quote(str(file))}"
    return note


@task
def checks() -> dict[str, Any]:
    """Versions, devices, compiler, extras and data of this machine: paste it into a bug report.

    morphogen checks
    morphogen checks --json
    """
    import os
    import platform

    import torch

    from morphogen import __version__, machine

    device = machine.choose_device("auto")
    return {
        "morphogen": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory(),
        "device": str(device) + (f" ({torch.cuda.get_device_name()})" if device.type == "cuda" else ""),
        "precision": str(machine.choose_precision("auto", device)).removeprefix("torch."),
        "float32_matmul": machine.prepare().removeprefix("float32 matmul: "),
        "compiler": "found" if machine.compiler_found(device) else "none: torch.compile is not used",
        "packages": _versions(),
        "data": _found(),
    }


@task
def completion(shell: Literal["bash", "zsh", "fish"]) -> dict[str, Any]:
    """Completion in a shell: commands, options, recipes, data sets, settings and runs. Prints a script for the shell to
    read when it starts: eval "$(morphogen completion bash)" in ~/.bashrc.

    shell: bash, zsh or fish

    morphogen completion bash
    morphogen completion fish
    """
    from morphogen.completion import script
    from morphogen.facts import Facts

    made = script(shell)
    return Facts({"shell": shell, "script": made}, made)


def _processor() -> str:
    import platform

    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _memory() -> float | None:
    import os

    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    known = ("torch", "numpy", "safetensors", "pydantic", "pillow", "rich", "matplotlib", "tensorboard", "trackio")
    said = {}
    for name in known:
        try:
            said[name] = version(name)
        except PackageNotFoundError:
            said[name] = 'not installed: pip install "morphogen[track]"' if name in known[-2:] else "missing"
    return said


def _found() -> dict[str, str]:
    from morphogen.data.fetch import data_folders

    folders = {str(folder): folder for folder in data_folders()}
    said = {}
    for name, folder in folders.items():
        sets = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
        said[name] = ", ".join(sets) or ("empty" if folder.is_dir() else "not there")
    return said
