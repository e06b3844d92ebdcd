"""Write anew which versions development and CI install, from those that are installed here and were tried together.

    constraints.txt          every version
    .ci/locked/LAYER.txt     what a layer of the Makefile installs, with the sha256 of every file of it

pip takes no other file of a locked version then, whatever an index or a mirror offers. torch has a pin and no hash: its
builds differ by index (CPU, CUDA).
"""

from __future__ import annotations

import json
import sys
import tomllib
import urllib.request
from importlib.metadata import distribution
from pathlib import Path

from pip._internal.models.index import PyPI
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
FREE = ("torch", "pip", "setuptools", "wheel")
LAYERS: dict[str, set[str]] = {"core": set(), "dev": {"dev", "track"}, "docs": {"docs"}}
HEAD = """\
# What development and CI install: the versions that were run together. Users are free within pyproject.toml's bounds.
# torch is installed first and by itself (see the Makefile); on an index that offers a CPU build, this pin takes it.
# `make constraints` writes this file, and beside it .ci/locked/, which has the hashes of all files.
"""
JSON = "application/vnd.pypi.simple.v1+json"


def hashes(name: str, version: str) -> list[str]:
    """sha256 of all wheels and of the source of one version."""
    request = urllib.request.Request(f"{PyPI.simple_url}/{name}/", headers={"Accept": JSON})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    return sorted(f["hashes"]["sha256"] for f in files if version_of(f["filename"]) == version)


def version_of(filename: str) -> str | None:
    """The version in a file's name; None where it is neither a wheel nor a source."""
    try:
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        return str(parse(filename)[1])
    except Exception:
        return None


def below(name: str, extras: set[str], seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """A distribution and all that it needs here, with the extras that are asked of each."""
    name = canonicalize_name(name)
    if name in seen and extras <= seen[name]:
        return seen
    seen[name] = seen.get(name, set()) | extras
    for line in distribution(name).requires or []:
        needed = Requirement(line)
        marks = [{"extra": extra} for extra in ("", *seen[name])]
        if needed.marker is None or any(needed.marker.evaluate(mark) for mark in marks):
            below(needed.name, set(needed.extras), seen)
    return seen


def needed(extras: set[str]) -> list[str]:
    """Names of all that pyproject.toml asks for, and of what that needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for e in extras for line in project["optional-dependencies"][e])]
    seen: dict[str, set[str]] = {}
    for asked in map(Requirement, lines):
        below(asked.name, set(asked.extras), seen)
    return sorted(set(seen) - set(FREE))


def main() -> int:
    """Constraints and layers."""
    layers = {layer: needed(extras) for layer, extras in LAYERS.items()}
    names = sorted({name for layer in layers.values() for name in layer})
    versions = {name: distribution(name).version for name in ["torch", *names]}
    pins = {name: f"{name}=={version.partition('+')[0]}" for name, version in versions.items()}
    locked = {name: " \\\n    --hash=sha256:".join([pins[name], *hashes(name, versions[name])]) for name in names}
    if missing := [pin for pin in locked.values() if "--hash" not in pin]:
        print(f"the index has no files of {', '.join(missing)}", file=sys.stderr)
        return 1
    (ROOT / "constraints.txt").write_text(HEAD + "\n" + "\n".join(pins.values()) + "\n", encoding="utf-8")
    for layer, members in layers.items():
        new = members if layer == "core" else [name for name in members if name not in layers["core"]]
        (ROOT / f".ci/locked/{layer}.txt").write_text("\n".join(locked[name] for name in new) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
