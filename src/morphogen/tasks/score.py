"""Score: how good a run is, in numbers that carry their protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from morphogen.errors import Failure, MorphogenError, UserError
from morphogen.tasks.task import Count, Seed, task

if TYPE_CHECKING:
    from morphogen.abilities import Autoencodes
    from morphogen.core.model import Scores
    from morphogen.examples import Data
    from morphogen.opened import OpenRun

__all__ = ["evaluate", "fidelity", "score"]

JUDGED = 10_000  # samples that `evaluate` draws at most


@task(exact=True)
def score(
    model: Scores,
    data: Data,
    n: Count | None = None,
    *,
    run: OpenRun,
    samples: Count = 500,
    seed: Seed = 0,
    bits: bool = False,
) -> dict[str, Any]:
    """Likelihood of examples: log p(x) by importance sampling, the ELBO as rate + distortion, bits, active units.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples
    samples: importance samples for each example; more of them bring the lower bound closer to log p(x)
    seed: random seed
    bits: the bits that the examples should take in an archive by theory, and the bits that they do take

    morphogen score last -n 1000
    morphogen score runs/mnist-mnist mnist --samples 1000 --json
    """
    from morphogen.abilities import Unable
    from morphogen.metrics.likelihood import log_likelihood
    from morphogen.progress import Tally
    from morphogen.work import device_of

    data, device = data.limited(n), device_of(model)
    one = data.first(1, device)
    if not model.infer(one.x, one.y).has_rate:
        raise Unable(
            f"score asks a model to say how likely examples are (Scores), which this {type(model).__name__} cannot do: "
            "its code is a point, without rate or likelihood; train with model.posterior=normal and a rate in its terms"
        )
    tally = Tally(len(data) * samples, "score: draws")
    said = log_likelihood(model, data.batches(device=device, told=False), samples, seed=seed, tell=tally).facts()
    if bits:
        from morphogen.codec.costs import costs

        said["bits"] = costs(run, data, said["elbo"])
    return said


@task(exact=True)
def fidelity(model: Autoencodes, data: Data, n: Count | None = None) -> dict[str, Any]:
    """Reconstruction error: root mean square, or the share of wrong symbols. For pictures and sounds also the share
    of fine detail that is left: below 1 they are blurred.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples

    morphogen fidelity last
    morphogen fidelity runs/vae-digits ./scans --json
    """
    from morphogen.metrics.detail import fine, has_detail
    from morphogen.work import device_of

    data = data.limited(n)
    total, numbers, detail = 0.0, True, [0.0, 0.0]
    for batch in data.batches(device=device_of(model)):
        back = model.decode(model.encode(batch.x, batch.y), batch.y)
        numbers = batch.x.is_floating_point()
        apart = (back.float() - batch.x).square() if numbers else (back != batch.x)
        total += float(apart.double().flatten(1).mean(1).sum())
        if has_detail(model.space):
            detail = [
                so_far + float(fine(x.float(), model.space).sum())
                for so_far, x in zip(detail, (back, batch.x), strict=True)
            ]
    mean = total / len(data)
    said = {"root_mean_square": mean**0.5} if numbers else {"share_wrong": mean}
    if detail[1] > 0:
        said["fine_detail"] = detail[0] / detail[1]
    return said | {"protocol": {"reconstruction": "the centre of p(x | centre of q(z | x))", "per": "element"}}


@task
def evaluate(
    run: OpenRun, data: Data, n: Count | None = None, *, samples: Count = 500, seed: Seed = 0
) -> dict[str, Any]:
    """Every metric that fits the model, with its protocol; kept in RUN/scores.json and RUN/report.md.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples
    samples: importance samples for each example
    seed: random seed

    morphogen evaluate last
    morphogen evaluate runs/vae-digits -n 500 --samples 100 --json
    """
    from morphogen import figures, report

    few = data.limited(n)
    metrics = {
        "likelihood": ("score", few, {"samples": samples, "seed": seed}),
        "reconstruction": ("fidelity", few, {}),
        "samples": ("judge", data, {"n": min(len(few), JUDGED), "seed": seed}),
    }
    said: dict[str, Any] = {}
    for name, (by, examples, how) in metrics.items():
        try:
            said[name] = getattr(run, by)(examples, **how)
        except UserError as refusal:  # the model is unable, or the examples are too few for that metric
            said[name] = {"not_measured": str(refusal)}
    said |= _apart(said.pop("samples"))
    try:
        figures.curves(run.run)
        written = report.write(run.run, said)
    except (OSError, MorphogenError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Failure(f"the scores above could not be kept in {run.path}: {why}", found=said) from None
    return said | {"report": str(written)}


def _apart(judged: dict[str, Any]) -> dict[str, Any]:
    """Each score of samples as a metric of its own, with all of its protocol."""
    shared = judged.pop("protocol", {})
    if not shared:
        return {"samples": judged}
    return {name: facts | {"protocol": shared | facts["protocol"]} for name, facts in judged.items()}
