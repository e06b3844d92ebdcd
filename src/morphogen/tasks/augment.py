"""Answer: new training data made of labelled examples, and whether it helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from morphogen.tasks.task import Amount, Count, Seed, task

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from morphogen.abilities import Autoencodes
    from morphogen.core.batch import Batch
    from morphogen.examples import Data
    from morphogen.leaks import Leaks
    from morphogen.makers import Labelled
    from morphogen.opened import OpenRun
    from morphogen.worth import Study, Trial

__all__ = ["augment", "worth"]


@task(exact=True)
def augment(
    model: Autoencodes,
    data: Data,
    n: Count = 100,
    *,
    run: OpenRun,
    out: Path,
    by: Literal["samples", "mix", "jitter"] = "mix",
    boldness: Amount = 1.0,
    originals: bool = False,
    keep_copies: bool = False,
    split: str = "train",
    seed: Seed = 0,
    force: bool = False,
) -> dict[str, Any]:
    """New labelled examples generated from labelled ones, written as a folder, .npz or table that `train` can read.
    Classes take turns, each example names its sources, near-duplicates of training examples are dropped.

    data: labelled examples, a data set by name or files; default: the run's own training examples
    n: number of new examples
    out: a folder, or a file ending in .npz; for tables .csv or .parquet
    by: how they are made: samples of a class (label-conditional models), a mix of two of a class, or jitter of one
    boldness: temperature for samples and jitter; b of Beta(b, b) for mix
    originals: put the original examples beside the new ones
    keep_copies: keep near-duplicates of training examples
    split: the part of a named data set: train, valid or test
    seed: random seed
    force: overwrite existing files

    morphogen augment last -n 500 -o more.npz
    morphogen augment runs/vae-digits ./scans -o more --by jitter --boldness 0.5
    """
    from morphogen import __version__
    from morphogen.augmenting import make, may_be_written, write
    from morphogen.errors import UserError
    from morphogen.makers import MAKERS, Labelled

    may_be_written(out, model.space, force)
    given = Labelled.of(data, model)
    leaks, where = _seen(run, data)
    said = make(
        model, given, MAKERS[by], n, leaks=leaks, space=model.space, seed=seed, boldness=boldness, keep=keep_copies
    )
    if not len(said.made):
        raise UserError(
            f"all {said.tried} examples that were made are copies of training examples: nothing is written; try more "
            "boldness, or another way, or keep copies"
        )
    note = {"run": str(run.path), "task": "augment", "by": by, "boldness": boldness, "seed": seed}
    note |= {"weights": run.weights, "data": data.facts(), "morphogen": __version__}
    count = write(out, said, given, data, note, originals, model.space, target=run.target or "label", force=force)
    counts = [int((said.made.y == kind).sum()) for kind in given.of_class]
    facts: dict[str, Any] = {"written": str(out), "examples": count, "made": len(said.made), "by": by}
    facts |= {"of_each_class": counts[0] if len(set(counts)) == 1 else counts, "tried": said.tried}
    facts |= {"copies_left_out": said.left_out, "copies_kept": int(said.copied.sum())}
    facts |= {"unlabelled_skipped": len(data) - len(given.y)}
    if len(said.made) < n:
        facts["short"] = f"{n - len(said.made)} fewer than asked for: what else was made were copies"
    copy = f"nearer to one of {where} than 99 in 100 of those are to one another, or the same"
    return facts | {"protocol": {"copy": copy, "distance": round(leaks.close, 4), "boldness": boldness, "seed": seed}}


def _seen(run: OpenRun, data: Data) -> tuple[Leaks, str]:
    """What copies are looked for among: the given examples, labelled or not, and what the model was trained on."""
    import torch

    from morphogen.errors import UserError
    from morphogen.examples import find_examples
    from morphogen.leaks import KNOWN, Leaks
    from morphogen.sides import drawn

    parts, words = [data], f"{len(data):,} given examples"
    try:
        own = find_examples(run.run, None, split="train", label=None, fit=False)
        if (own.data.fingerprint, own.split) != (data.data.fingerprint, data.split):
            parts.append(own)
            words += f" and the {len(own):,} that the model was trained on"
    except UserError:
        words += " (what the model was trained on is not here to be looked through)"
    if any(len(part) > KNOWN for part in parts):
        words += f", {KNOWN:,} of each at most"
    x = torch.cat([batch.x for part in parts for batch in drawn(part, KNOWN).batches()])
    return Leaks.among(x, run.space), words


@task(exact=True)
def worth(
    model: Autoencodes,
    data: Data,
    n: Count = 1000,
    *,
    by: Literal["samples", "mix", "jitter"] = "mix",
    boldness: Amount = 1.0,
    each: Count | None = None,
    seeds: Count = 5,
    steps: Count = 600,
    share: Amount = 0.25,
    split: str = "train",
    seed: Seed = 0,
) -> dict[str, Any]:
    """Test whether generated examples improve a classifier over ordinary augmentation. Paired repetitions, with a
    confidence interval of the difference.

    data: labelled examples, others of which are held out for testing; default: the run's own
    n: number of generated examples in each repetition
    by: how they are made: samples of a class (label-conditional models), a mix of two of a class, or jitter of one
    boldness: temperature for samples and jitter; b of Beta(b, b) for mix
    each: labelled examples per class, drawn anew in each repetition; default: all
    seeds: number of repetitions, each with its own random seed
    steps: training steps of the classifier (batches of 128)
    share: share of generated examples in each batch
    split: the part of a named data set that the classifier is trained on
    seed: random seed

    morphogen worth runs/vae-digits --each 10
    morphogen worth last --by jitter --seeds 10 --json
    """
    from morphogen.errors import UserError
    from morphogen.makers import Labelled
    from morphogen.worth import Study, classical, interval

    if not 0 < share <= 1:
        raise UserError(f"share = {share:g} is no share of a batch; give more than 0 and at most 1")
    if steps < 20:
        raise UserError(f"steps = {steps} teach nothing; give steps of 20 or more")
    if seeds < 2:
        interval([0.0])
    test, where = _held_out(data)
    whole = Labelled.of(data, model)
    change, words = classical(model.space)

    def examples(turn: int) -> tuple[Tensor, Tensor]:
        given = _few(data, model, whole, each, turn)
        return given.all(), given.y

    def made(turn: int) -> tuple[Tensor, Tensor]:
        return _made(model, _few(data, model, whole, each, turn), by, n, turn, boldness)

    study = Study(model.space, len(data.data.classes), examples, made, test, steps, share, change)
    protocol = {"tested_on": f"{sum(len(shown) for shown in test):,} of {where}", "repetitions": seeds, "seed": seed}
    labelled = f"{each} of each class, drawn anew" if each else f"all {len(whole.y):,}"
    protocol |= {"labelled": labelled, "made": n}
    protocol |= {"by": by, "boldness": boldness, "share_of_a_batch": share, "steps": steps, "classical": words}
    trial = _repeated(study, range(seed, seed + seeds))
    return _told(trial, by) | {"protocol": protocol | {"interval": "95 %, Student's t of the paired differences"}}


def _repeated(study: Study, turns: range) -> Trial:
    from morphogen.worth import Trial

    trial = Trial()
    for turn in turns:
        trial.add(*study.repeat(turn))
    return trial


def _told(trial: Trial, by: str) -> dict[str, Any]:
    """The verdict in words, with what it rests on."""
    said = trial.facts()
    low, high = (100 * end for end in said["interval"])
    words = {
        "helps": f"helps: {by} adds {low:.2f} to {high:.2f} points",
        "harms": f"harms: {by} takes {-high:.2f} to {-low:.2f} points",
        "cannot tell": f"cannot tell: the difference may be {low:+.2f} to {high:+.2f} points",
    }
    return said | {"verdict": words[said["verdict"]]}


def _held_out(data: Data) -> tuple[list[Batch], str]:
    """Test examples whose class is known, or else those for validation."""
    from morphogen.errors import UserError
    from morphogen.examples import Data as Examples
    from morphogen.sides import known, only

    name = next((name for name in ("test", "valid") if name != data.split and data.data.splits.get(name)), None)
    if name is None:
        raise UserError(
            f"{data.data.name} has no examples held out for testing; name a set that has (`morphogen data`), or give "
            "--split train with a folder, which is split then"
        )
    rest = Examples(data.data, name)
    return list(only(rest, known(rest)[0]).batches()), f"{data.data.name}/{name}"


def _few(data: Data, model: Autoencodes, whole: Labelled, each: int | None, turn: int) -> Labelled:
    """Labelled examples of one repetition."""
    from morphogen.makers import Labelled
    from morphogen.sides import only
    from morphogen.worth import labelled_subset

    return whole if each is None else Labelled.of(only(data, whole.rows[labelled_subset(whole.y, each, turn)]), model)


def _made(model: Autoencodes, given: Labelled, by: str, n: int, turn: int, boldness: float) -> tuple[Tensor, Tensor]:
    """What is made of them, copies of them left out."""
    from morphogen.augmenting import make
    from morphogen.errors import UserError
    from morphogen.leaks import Leaks
    from morphogen.makers import MAKERS

    leaks = Leaks.among(given.all(), model.space)
    said = make(model, given, MAKERS[by], n, leaks=leaks, space=model.space, seed=turn, boldness=boldness).made
    if not len(said):
        raise UserError(f"all that {by} makes are copies of the labelled examples; try more boldness, or another way")
    return said.x, said.y
