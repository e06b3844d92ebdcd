"""What a run knows of normal examples: a detector learned from its training part, measured by its validation part, and
kept beside the weights, so that a copied run finds what is odd without its data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from morphogen.core.build import part_name
from morphogen.data.split import UNSPLIT
from morphogen.detector import Detector
from morphogen.errors import MorphogenError, UserError
from morphogen.examples import Data, find_examples
from morphogen.progress import counted
from morphogen.run import Run
from morphogen.work import device_of

__all__ = ["detector_of", "keep", "spaced"]

NAME, VERSION = "oddity", 3
MOST, NUMBERS = 5000, 2**24  # normal examples of each part that are looked at, and numbers in all of them together
SOUGHT = 600  # where the code of an example has to be sought by descent


def detector_of(run: Run, model: Any, scores: Sequence[str] | None = None) -> Detector:
    """The detector that is kept, or one that is learned now, of the usual scores and `scores` as well."""
    wanted = [part_name("oddities", name) for name in scores or ()]
    kept = run.kept(NAME)
    if kept is not None and kept[1].get("version") == VERSION and set(wanted) <= set(kept[1]["scores"]):
        return Detector.from_tensors(model, *kept)
    detector = _learned(run, model, None)
    missing = [name for name in wanted if name not in detector.names]
    if missing:
        detector = _learned(run, model, [*detector.names, *missing])
    with suppress(MorphogenError):  # a folder that cannot be written to: it is learned again next time
        keep(run, detector)
    return detector


def keep(run: Run, detector: Detector) -> None:
    """Put a detector beside the weights that it was learned with."""
    run.keep(NAME, detector.tensors(), detector.facts() | {"version": VERSION})


def _learned(run: Run, model: Any, scores: Sequence[str] | None) -> Detector:
    device, most = device_of(model), SOUGHT if getattr(model, "descent", 0) else MOST
    parts = [_normal(run, split, most) for split in ("train", "valid")]
    learn, held_out = (counted(part.batches(device=device), len(part), "normal examples") for part in parts)
    return Detector.fit(model, learn, held_out, scores)


def _normal(run: Run, split: str, most: int) -> Data:
    """Examples of one part of the run's own data, evenly spaced."""
    try:
        data = find_examples(run, None, split=split, label=None, fit=False)
    except UserError as error:
        raise UserError(
            f"{run.path} has not learned yet what is normal, and its own data is not here to learn it from ({error}); "
            f"run `morphogen detect {run.path}` once where the data is, and copy the run again"
        ) from None
    if UNSPLIT in data.data.protocol:
        raise UserError(
            f"{data.data.name} is too small to hold out examples that tell how odd normal ones are; train on more"
        )
    return spaced(data, min(most, max(NUMBERS // data.data.space.size, 100)))


def spaced(data: Data, count: int) -> Data:
    """At most `count` of them, evenly spaced: the first so many may be all of one class."""
    if count >= len(data):
        return data
    rows = torch.arange(count) * len(data) // count
    part = data.data.splits[data.split]
    few = part.rows(rows)
    return Data(replace(data.data, splits={data.split: few}), data.split)
