"""Answer: which examples are odd, by a p-value that keeps what it promises, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.tasks.task import Count, task

if TYPE_CHECKING:
    from torch import Tensor

    from morphogen.core.model import Encodes
    from morphogen.detector import Detector, Found
    from morphogen.examples import Data
    from morphogen.opened import OpenRun

__all__ = ["detect"]

USUAL = 0.05  # the share of false alarms where nobody asks for another


@task(exact=True)
def detect(
    model: Encodes,
    data: Data,
    n: Count | None = None,
    *,
    run: OpenRun,
    false_alarms: float | None = None,
    scores: str | None = None,
    normal: str | None = None,
    most: Count = 20,
    out: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Anomaly detection: a p-value for each example, the most anomalous first, and what is unusual about it.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples
    false_alarms: share of normal examples that may be called odd; default: 0.05, or the least possible
    scores: which anomaly scores, "typicality,residual"; default: the usual ones that the model supports
    normal: a data set by name, or a file, of normal examples, to report how well the two are separated (AUROC)
    most: number of examples listed
    out: a picture (.png) of the examples listed, with anomaly maps, or a table (.csv) of all examples
    force: overwrite existing files

    morphogen detect last ./new-scans -o odd.png
    morphogen detect runs/vae-mnist fashion-mnist --normal mnist --false-alarms 0.01
    """
    from morphogen.examples import find_examples
    from morphogen.metrics.separation import area
    from morphogen.normality import detector_of

    ending = "" if out is None else _ending(out, force)
    data = data.limited(n)
    asked = [word.strip() for word in scores.split(",")] if scores is not None else []
    everything = detector_of(run.run, model, asked)
    detector = everything.only(asked) if asked else everything
    false_alarms = max(USUAL, detector.least) if false_alarms is None else false_alarms
    detector.promised(false_alarms)
    found = detector.judged(_numbers(detector, model, data))
    order = found.oddness.argsort(descending=True, stable=True).tolist()
    rows = [_row(found, data, place, false_alarms) for place in order]
    said: dict[str, Any] = {"examples": len(data), "odd": sum(row["odd"] for row in rows)}
    if normal is not None:
        others = find_examples(run.run, normal, split=None, label=None, fit=False).limited(n)
        apart = area(found.oddness, detector.judged(_numbers(detector, model, others)).oddness)
        said |= {"auroc": apart.area, "auroc_interval": [apart.low, apart.high]}
    if out is not None:
        said["wrote"] = str(out)
        if ending == ".png":
            _sheet(everything, model, data, order[:most], rows, out, force)
        else:
            _table(rows, out, force)
    if false_alarms > USUAL:
        said["false_alarms"] = false_alarms
    return said | {"oddest": rows[:most], "protocol": _protocol(detector, false_alarms, len(data))}


def _ending(out: Path, force: bool) -> str:
    """What is to be written, while there is still time to say that it cannot be."""
    from morphogen.atomic import may_write
    from morphogen.errors import UserError

    ending = out.suffix.lower()
    if ending not in (".png", ".csv"):
        raise UserError(
            f"{out}: what is odd is written as a sheet of heat maps, .png, or a table, .csv, not {ending!r}"
        )
    may_write(out, force)
    return ending


def _numbers(detector: Detector, model: Encodes, data: Data) -> Tensor:
    import torch

    from morphogen.work import device_of

    batches = data.batches(device=device_of(model))
    return torch.cat([detector.numbers(batch) for batch in batches])


def _row(found: Found, data: Data, place: int, rate: float) -> dict[str, Any]:
    name = data.names[place] if data.names else f"{data.data.name}/{data.split}/{place}"
    p = float(found.p[place])
    odd = p <= rate
    return {"example": name, "p": p, "odd": odd, "why": found.words[place] if odd else ""}


def _sheet(
    detector: Detector,
    model: Encodes,
    data: Data,
    places: list[int],
    rows: list[dict[str, Any]],
    out: Path,
    force: bool,
) -> None:
    """The oddest, each with its map."""
    import torch

    from morphogen import figures
    from morphogen.core.batch import Batch
    from morphogen.heatmaps import heat_sheet
    from morphogen.work import device_of

    x, heat, start = {}, {}, 0
    for batch in data.batches(device=device_of(model)):  # all of them: some sets are drawn anew, place by place
        for place in places:
            row = place - start
            if 0 <= row < len(batch):
                one = Batch(batch.x[row : row + 1], None if batch.y is None else batch.y[row : row + 1])
                x[place], heat[place] = one.x.cpu(), detector.heat(one)
        start += len(batch)
    titles = [f"{Path(row['example']).name[:28]}   p = {row['p']:.2g}" for row in rows]
    figure = heat_sheet(
        torch.cat([x[p] for p in places]), torch.cat([heat[p] for p in places]), data.data.space, titles
    )
    note = {"task": "detect", "examples": [row["example"] for row in rows[: len(places)]]}
    figures.save(figure, out, note, force=force)


def _table(rows: list[dict[str, Any]], out: Path, force: bool) -> None:
    import csv
    import io

    from morphogen.atomic import write

    text = io.StringIO()
    writer = csv.DictWriter(text, ["example", "p", "odd", "why"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"odd": "yes" if row["odd"] else "no"} for row in rows)
    write(out, text.getvalue().encode(), force=force)


def _protocol(detector: Detector, rate: float, n: int) -> dict[str, Any]:
    return {
        "n": n,
        "false_alarms": rate,
        "scores": [*detector.names],
        "held_out": len(detector.normal),
        "least_false_alarms": detector.least,
        "p": "conformal: (1 + held-out normal examples at least as odd) / (1 + all of them)",
    }
