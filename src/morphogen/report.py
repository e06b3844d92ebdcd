"""RUN/report.md, the model card: data, recipe, how training went, scores with their protocol, samples.

It is made anew from the recipe, the facts of the data, the log and RUN/scores.json, as often as one likes; whatever
else someone writes down about a run belongs in a file of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphogen import __version__, disk
from morphogen import recipe as recipes
from morphogen.history import course, last_of, sparkline
from morphogen.progress import duration, speed
from morphogen.run import WEIGHTS, Run

__all__ = ["course", "last_of", "sparkline", "write"]

SCORES, REPORT = "scores.json", "report.md"


def write(run: Run, sections: Mapping[str, Any] | None = None) -> Path:
    """Keep new scores beside the old, and make the report anew from all that is there."""
    scores = _scores(run)
    for name, facts in (sections or {}).items():
        scores[_key(name, facts)] = {"metric": name, **facts}
    if sections:
        disk.write_json(run.path / SCORES, scores)
    parts = [_head(run), _data(run), _recipe(run), _training(run), _told(run, scores), _samples(run), _foot(run)]
    disk.write(run.path / REPORT, "\n".join(part for part in parts if part))
    return run.path / REPORT


def _scores(run: Run) -> dict[str, dict[str, Any]]:
    try:
        held = json.loads((run.path / SCORES).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return {str(k): v for k, v in held.items() if isinstance(v, dict)} if isinstance(held, dict) else {}


def _key(name: str, facts: Mapping[str, Any]) -> str:
    """The same metric under the same protocol takes the place of its older self; another protocol stands beside it."""
    passing = ("weights", "command", "run", "morphogen")
    protocol = {k: v for k, v in facts.get("protocol", {}).items() if k not in passing}
    return f"{name} {json.dumps(protocol, sort_keys=True, default=str)}"


def _head(run: Run) -> str:
    model, data = run.recipe["model"], run.facts
    return f"# {run.path.name}\n\nA {model['use']} trained on {data['name']} with Morphogen {__version__}.\n"


def _data(run: Run) -> str:
    facts = run.facts
    rows = {
        "set": facts["name"],
        "one example": f"{run.space.kind} {tuple(run.space.shape)}, {run.space.levels or 'real'} levels",
        "examples": ", ".join(f"{name} {count:,}" for name, count in facts["sizes"].items()),
        "classes": ", ".join(map(str, facts["classes"][:20])) if facts.get("classes") else "",
        "split rule": facts.get("protocol", ""),
        "licence": facts.get("licence", ""),
        "skipped": f"{facts['skipped']}, listed in skipped.tsv" if facts.get("skipped") else "",
        "fingerprint": f"`{facts['fingerprint'][:16]}`",
    }
    return "## Data\n\n" + _table(rows)


def _recipe(run: Run) -> str:
    again = "Train it again with `morphogen train recipe.toml`.\n"
    return f"## Recipe\n\n```toml\n{recipes.to_toml(run.recipe)}\n```\n\n{again}"


def _training(run: Run) -> str:
    records = run.log()
    latest = last_of(records)
    if not latest:
        return "## Training\n\nNo step has been taken yet.\n"
    rows = {"steps": f"{latest.get('step', 0):,}"}
    if "time" in latest:
        rows["time"] = duration(float(latest["time"]))
    rows |= {"pace": speed(latest)} if speed(latest) else {}
    quiet = ("step", "fraction", "time")
    rows |= {k: f"{v:.4g}" for k, v in latest.items() if k not in quiet and not k.endswith("/s")}
    events = [f"* step {r.get('step', 0):,}: {_cell(r['event'])}" for r in records if "event" in r]
    picture = "![curves](curves.png)\n" if (run.path / "curves.png").is_file() else ""
    head = "## Training\n\nLosses, rate and distortion in nats a datum.\n\n"
    return head + _table(rows) + "\n".join([*events, picture])


def _told(run: Run, scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A table for each score, never two protocols in one."""
    if not scores:
        return f"## Scores\n\nNone yet: `morphogen evaluate {run.path}`.\n"
    weights = disk.digest(run.path / WEIGHTS)[:12] if (run.path / WEIGHTS).is_file() else ""
    said = ["## Scores\n"]
    for score in scores.values():
        protocol = score.get("protocol", {})
        old = "" if protocol.get("weights", weights) == weights else " (of earlier weights)"
        said.append(f"### {score['metric']}{old}\n")
        said.append(_table({k: _number(v) for k, v in score.items() if k not in ("metric", "protocol")}))
        if protocol:
            words = "; ".join(f"{k} {_cell(v)}" for k, v in protocol.items() if k != "command")
            said.append(f"Protocol: {words}.\n")
        if "command" in protocol:
            said.append(f"```\n{protocol['command']}\n```\n")
    return "\n".join(said)


def _samples(run: Run) -> str:
    drawn = sorted((run.path / "samples").glob("step-*")) if (run.path / "samples").is_dir() else []
    if not drawn:
        return ""
    name, mark = drawn[-1].name, "!" if drawn[-1].suffix == ".png" else ""
    return f"## Samples\n\n{mark}[samples, {drawn[-1].stem}](samples/{name})\n\nMore: `morphogen sample {run.path}`.\n"


def _foot(run: Run) -> str:
    use = f'import morphogen as mg\n\nrun = mg.open("{run.path}")\nrun.sample(16)\n'
    return f"## Use\n\n```python\n{use}```\n"


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items() if v not in ("", None)]
    return "\n".join(["| | |", "|---|---|", *lines, ""]) + "\n"


def _cell(value: Any) -> str:
    """Names come from folders of strangers: nothing in them may end the table or become markup."""
    text = str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return "".join(c if c.isprintable() else "?" for c in text)


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return " to ".join(_number(v) for v in value) if isinstance(value, (list, tuple)) else str(value)
