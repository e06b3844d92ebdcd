"""RUN/report.md, the model card: data, recipe, how training went, scores with their protocol, samples.

It is made anew from the recipe, the facts of the data, the log and RUN/scores.json, as often as one likes; whatever
else someone writes down about a run belongs in a file of its own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from morphogen import __version__, disk
from morphogen import recipe as recipes
from morphogen.escape import fenced, inline_code, markdown
from morphogen.history import SCORES, course, last_of, sparkline
from morphogen.history import scores as recorded
from morphogen.progress import duration, speed
from morphogen.run import WEIGHTS, Run

__all__ = ["course", "last_of", "sparkline", "write"]

REPORT = "report.md"
SAMPLE = re.compile(r"step-[0-9]+\.[a-z]+")


def write(run: Run, sections: Mapping[str, Any] | None = None) -> Path:
    """Keep new scores beside the old, and make the report anew from all that is there."""
    kept = {_key(str(record["metric"]), record): record for record in recorded(run.path)}
    kept |= {_key(name, facts): {"metric": name, **facts} for name, facts in (sections or {}).items()}
    scores = list(kept.values())
    if sections:
        disk.write_json(run.path / SCORES, scores)
    parts = [_head(run), _data(run), _recipe(run), _training(run), _told(run, scores), _samples(run), _foot(run)]
    disk.write(run.path / REPORT, "\n".join(part for part in parts if part))
    return run.path / REPORT


def _key(name: str, facts: Mapping[str, Any]) -> str:
    """The same metric under the same protocol takes the place of its older self; another protocol stands beside it."""
    passing = ("weights", "command", "run", "morphogen")
    protocol = {k: v for k, v in facts.get("protocol", {}).items() if k not in passing}
    return f"{name} {json.dumps(protocol, sort_keys=True, default=str)}"


def _head(run: Run) -> str:
    model, name = run.recipe["model"], run.facts.get("name", "data")
    about = f"A {markdown(model['use'])} trained on {markdown(name)} with Morphogen {__version__}."
    return f"# {markdown(run.path.name)}\n\n{about}\n"


def _data(run: Run) -> str:
    facts = run.facts
    rows = {
        "set": facts.get("name", ""),
        "one example": f"{run.space.kind} {tuple(run.space.shape)}, {run.space.levels or 'real'} levels",
        "examples": ", ".join(f"{name} {count:,}" for name, count in facts.get("sizes", {}).items()),
        "classes": ", ".join(map(str, facts["classes"][:20])) if facts.get("classes") else "",
        "split rule": facts.get("protocol", ""),
        "licence": facts.get("licence", ""),
        "skipped": f"{facts['skipped']}, listed in skipped.tsv" if facts.get("skipped") else "",
    }
    return "## Data\n\n" + _table(rows, {"fingerprint": inline_code(facts["fingerprint"][:16])})


def _recipe(run: Run) -> str:
    again = "Train it again with `morphogen train recipe.toml`.\n"
    return f"## Recipe\n\n{fenced(recipes.to_toml(run.recipe), 'toml')}\n{again}"


def _training(run: Run) -> str:
    records = run.log()
    latest = last_of(records)
    if not latest:
        return "## Training\n\nNo step has been taken yet.\n"
    rows = {"steps": f"{int(latest.get('step', 0)):,}"}
    if "time" in latest:
        rows["time"] = duration(float(latest["time"]))
    rows |= {"pace": speed(latest)} if speed(latest) else {}
    quiet = ("step", "fraction", "time")
    rows |= {k: f"{v:.4g}" for k, v in latest.items() if k not in quiet and not k.endswith("/s")}
    events = [f"* step {int(r.get('step', 0)):,}: {markdown(r['event'])}" for r in records if "event" in r]
    picture = "![curves](curves.png)\n" if (run.path / "curves.png").is_file() else ""
    head = "## Training\n\nLosses, rate and distortion in nats a datum.\n\n"
    return head + _table(rows) + "\n".join([*events, picture])


def _told(run: Run, scores: Sequence[Mapping[str, Any]]) -> str:
    """A table for each score, never two protocols in one."""
    if not scores:
        return f"## Scores\n\nNone yet: {inline_code(f'morphogen evaluate {shlex.quote(str(run.path))}')}.\n"
    weights = disk.digest(run.path / WEIGHTS)[:12] if (run.path / WEIGHTS).is_file() else ""
    said = ["## Scores\n"]
    for score in scores:
        protocol = score.get("protocol", {})
        old = "" if protocol.get("weights", weights) == weights else " (of earlier weights)"
        said.append(f"### {markdown(score['metric'])}{old}\n")
        said.append(_table({k: v for k, v in score.items() if k not in ("metric", "protocol")}))
        if protocol:
            words = "; ".join(f"{markdown(str(k))} {_cell(v)}" for k, v in protocol.items() if k != "command")
            said.append(f"Protocol: {words}.\n")
        if "command" in protocol:
            said.append(fenced(str(protocol["command"])))
    return "\n".join(said)


def _samples(run: Run) -> str:
    found = (run.path / "samples").glob("step-*") if (run.path / "samples").is_dir() else []
    drawn = sorted(path for path in found if SAMPLE.fullmatch(path.name))
    if not drawn:
        return ""
    name, mark = drawn[-1].name, "!" if drawn[-1].suffix == ".png" else ""
    more = inline_code(f"morphogen sample {shlex.quote(str(run.path))}")
    return f"## Samples\n\n{mark}[samples, {drawn[-1].stem}](samples/{name})\n\nMore: {more}.\n"


def _foot(run: Run) -> str:
    use = f"import morphogen as mg\n\nrun = mg.open({json.dumps(str(run.path), ensure_ascii=False)})\nrun.sample(16)"
    return f"## Use\n\n{fenced(use, 'python')}"


def _table(rows: Mapping[str, Any], made: Mapping[str, str] = {}) -> str:
    """A line for each; `made` is Markdown already."""
    lines = [f"| {_cell(k)} | {_cell(v)} |" for k, v in rows.items() if v not in ("", None)]
    lines += [f"| {_cell(k)} | {v} |" for k, v in made.items()]
    return "\n".join(["| | |", "|---|---|", *lines, ""]) + "\n"


def _cell(value: Any) -> str:
    """Names come from folders of strangers: nothing in them may end the table or become markup."""
    return markdown(_number(value))


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, (list, tuple)):
        return " to ".join(_number(v) for v in value)
    try:
        return str(value)
    except ValueError:
        return "a number of thousands of digits"
