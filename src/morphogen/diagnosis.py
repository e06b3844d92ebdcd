"""What is going wrong in a training, in words, from its log alone: "it has collapsed, because ...".

Each rule looks at the last few records and is silent until it is sure: a finding that cries wolf is read by nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["findings"]

Record = Mapping[str, Any]
LAST = 4  # records that must agree: one of them says what one batch said
SAME, SURE, FAINT, HEART, EMPTY, WORSE = 0.05, 0.98, 1e-3, 0.5, 0.1, 0.02


def findings(records: Sequence[Record]) -> dict[str, str]:
    """What is wrong, by name, in a sentence with its reason and a remedy; `records` are the log's, oldest first."""
    said = {name: rule(records) for name, rule in RULES.items()}
    return {name: sentence for name, sentence in said.items() if sentence}


def _last(records: Sequence[Record], key: str) -> list[float]:
    """The last few values of a measure, the first record apart: it stands for one step."""
    values = [float(record[key]) for record in records[1:] if key in record]
    return values[-LAST:] if len(values) >= LAST else []


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def collapse(records: Sequence[Record]) -> str:
    """Every code makes the same example."""
    varied = _last(records, "diversity")
    if not varied or max(varied) > SAME:
        return ""
    return (
        f"the generator has collapsed: what it makes differs from one to the next {_mean(varied):.1%} as much as "
        "the data does; train anew with game=r3 and the penalties r1 and r2, or with a lower train.lr"
    )


def vanishing(records: Sequence[Record]) -> str:
    """The critic is always right, and its slope says nothing."""
    key = "gradient/generator"
    right, slopes = _last(records, "critic/right"), _last(records, key)
    first = [float(record[key]) for record in records[:LAST] if key in record]
    if not right or not slopes or min(right) < SURE or max(slopes) > FAINT * max(first):
        return ""
    return (
        f"the generator learns nothing: the critic is right {_mean(right):.1%} of the time and leaves it a gradient of "
        f"{_mean(slopes):.2g}, where it began with {max(first):.2g}; add a penalty (r1, or gradient with "
        "game=wasserstein), or lower train.lr.critic"
    )


def by_heart(records: Sequence[Record]) -> str:
    """The critic knows the training examples, not what real ones are."""
    looks = [record for record in records if "valid/critic/real" in record and "valid/critic/fake" in record][-2:]
    real, fake = _last(records, "critic/real"), _last(records, "critic/fake")
    if len(looks) < 2 or not real or not fake or _mean(real) <= _mean(fake):
        return ""
    # differences alone: where scores are paired, nothing holds their level in place from step to step
    apart = _mean([float(look["valid/critic/real"]) - float(look["valid/critic/fake"]) for look in looks])
    share = 1 - apart / (_mean(real) - _mean(fake))
    if share < HEART:
        return ""
    return (
        f"the critic has learned its examples by heart: real ones that it has not seen look to it {share:.0%} as made "
        "up as those of the generator; set model.augment=ada or diffaugment, or give it more data"
    )


def empty_code(records: Sequence[Record]) -> str:
    """The code of a VAE says nothing about the data."""
    rates = _last(records, "rate")
    if not rates or max(rates) > EMPTY or max(float(r.get("fraction", 0)) for r in records) < 0.2:
        return ""
    return (
        f"the code has collapsed: it says {_mean(rates):.2g} nats about an example, so that the decoder ignores it; "
        'let the rate come in slowly (weight={use="ramp"}), or give it free-bits'
    )


def overfitting(records: Sequence[Record]) -> str:
    """Held-out examples get worse while those of training get better. Where errors are counted, they have to get worse,
    too: who is surer of the same mistakes has not forgotten anything."""
    seen = [r for r in records if "valid/loss" in r]
    looks = [(float(r["valid/loss"]), int(r.get("step", 0))) for r in seen]
    if len(looks) < 2 * LAST:
        return ""
    best, step = min(looks)
    worse = best + WORSE * abs(best)
    if min(looks[-LAST:])[0] <= worse:
        return ""
    if not _still_learns(records, step):
        return ""
    errors = [float(r.get("valid/error", math.inf)) for r in seen]
    if min(errors[-LAST:]) <= errors[looks.index((best, step))] < math.inf:
        return ""
    return (
        f"the model learns its examples by heart: held-out ones were best at step {step:,} ({best:.4g}) and are at "
        f"{looks[-1][0]:.4g} now; set train.patience=3, which stops there and keeps those weights, or give it more data"
    )


def _still_learns(records: Sequence[Record], step: int) -> bool:
    """Whether the training examples have become better since, by what held-out ones are judged by. Where they have not,
    another loss is trained than the bound (its rate averaged over pixels, say), and nothing is learned by heart."""
    trained = [r for r in records if "fraction" in r and (cost := _cost(r)) is not None and math.isfinite(cost)]
    if len(trained) < 2 * LAST:
        return True
    then = sorted(trained, key=lambda r: abs(int(r.get("step", 0)) - step))[:LAST]
    return _mean([_cost(r) or 0.0 for r in trained[-LAST:]]) < _mean([_cost(r) or 0.0 for r in then])


def _cost(record: Record) -> float | None:
    """What a training example costs: the bound where its parts are known, else the loss of the one that plays."""
    if "rate" in record and "distortion" in record:
        return float(record["rate"]) + float(record["distortion"])
    return float(record["loss/model"]) if "loss/model" in record else None


RULES: dict[str, Callable[[Sequence[Record]], str]] = {
    "collapse": collapse, "vanishing": vanishing, "by heart": by_heart, "empty code": empty_code,
    "overfitting": overfitting,
}  # fmt: skip
