"""Score: how good samples are, by numbers that carry their protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morphogen.tasks.task import Count, Seed, task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from morphogen.core.model import Samples
    from morphogen.examples import Data

__all__ = ["judge"]


@task(exact=True)
def judge(
    model: Samples,
    data: Data,
    n: Count = 10_000,
    *,
    features: str | None = None,
    scores: str | None = None,
    samples: Path | None = None,
    seed: Seed = 0,
) -> dict[str, Any]:
    """Quality of samples: FID, KID and other distances to held-out examples, precision and recall, modes, copies.

    data: the examples to compare with, a data set by name or files; default: the run's own test examples
    n: number of samples, and maximum number of examples to compare with
    features: feature extractor: pixels, pairs (of symbols), own, own:SET or inception:FILE@SHA256
    scores: any of fid, kid, precision, recall, density, coverage, swd, is, modes, copies; default: all that apply
    samples: a file or folder of samples, instead of drawing from the model
    seed: random seed

    morphogen judge last -n 2000
    morphogen judge runs/mnist-gan-mnist mnist --scores fid,kid --json
    """
    from morphogen import judges
    from morphogen.judging import Case, some

    extractor = judges.judge_of(features or judges.usual(data.data), data.data, model.space)
    x, words = _samples(model, samples, n, seed)
    said = Case(x, some(data, n, seed), extractor, seed).scores(scores)
    if data.data.view is not None:
        words["note"] = "samples are centres, rounded, and the data is drawn anew: --binary threshold treats both alike"
    said["protocol"] = words | said["protocol"]
    return said


def _samples(model: Samples, given: Path | None, n: int, seed: int) -> tuple[Tensor, dict[str, Any]]:
    """The examples to judge, as they would be saved and read again, and what is to be said of them."""
    from morphogen import files
    from morphogen.errors import UserError
    from morphogen.tasks.make import drawn
    from morphogen.work import device_of, labels_of

    if given is not None:
        stored, _ = files.load_examples([given], model.space)
        return model.space.read(stored[:n]), {"samples": str(given)}
    x = drawn(model, n, seed, y=labels_of(model, None, n, device_of(model))).x
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise UserError("the model's samples are not finite, so they cannot be judged; use an earlier state of the run")
    words = {"samples": f"drawn by `sample`, seed {seed}, at the levels that they would be saved at"}
    return model.space.read(model.space.write(x)), words
