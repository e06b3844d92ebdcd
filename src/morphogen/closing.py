"""The closing summary of a training: why it ended, whose weights were kept, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from morphogen.facts import Facts
from morphogen.history import nested
from morphogen.progress import duration
from morphogen.run import Run

__all__ = ["closing", "kept_weights", "learned"]

LEARNED = 0.5  # by this share a loss falls where a few examples have been learned


def closing(run: Run, facts: Mapping[str, Any], task: str) -> Facts:
    """What a training says at its end; for people the kept weights come first."""
    records, plan = run.log(), run.recipe["train"]
    weights = kept_weights(records, int(facts["step"]), plan.get("patience"))
    ended = _reason(facts, plan)
    said: dict[str, Any] = {
        "run": str(run.path), "step": facts["step"], "stopped": facts["stopped"], "ended": ended, "weights": weights,
        "valid": nested(facts["valid"]), "seconds": facts.get("seconds", 0.0),
    }  # fmt: skip
    loss = "" if weights["loss"] is None else f", validation loss {weights['loss']:.4f}"
    view: dict[str, Any] = {"run": said["run"], "ended": f"at step {facts['step']:,}: {ended}"}
    view["weights"] = f"of step {weights['step']:,} ({weights['choice']}{loss})"
    if weights["step"] != facts["valid"].get("step") and "loss" in facts["valid"]:
        view["last validation"] = f"loss {facts['valid']['loss']:.4f} at step {facts['valid']['step']:,}, not kept"
    elif len(facts["valid"]) > 1:
        view["validation"] = {name: value for name, value in facts["valid"].items() if name != "step"}
    view["took"] = duration(float(said["seconds"]))
    if plan.get("overfit"):
        view["verdict"] = said["verdict"] = learned(records, int(plan["overfit"]))
    view["next"] = said["next"] = f"morphogen {task} {run.path}"
    return Facts(said, view)


def _reason(facts: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    if facts["stopped"]:
        return "stopped; `morphogen resume` goes on from here"
    if facts.get("early"):
        count = plan["patience"]
        return f"early stopping, {count} validation{'s' if count > 1 else ''} without improvement"
    return "the plan is completed"


def kept_weights(records: Sequence[Mapping[str, Any]], step: int, patience: Any) -> dict[str, Any]:
    """The step that the weights for use are of. With early stopping, that of the best validation.

    >>> kept_weights([{"step": 1, "valid/loss": 2.0}, {"step": 2, "valid/loss": 3.0}], 2, 1)
    {'step': 1, 'loss': 2.0, 'choice': 'best validation'}
    >>> kept_weights([{"step": 1, "valid/loss": 2.0}, {"step": 2, "valid/loss": 3.0}], 2, None)
    {'step': 2, 'loss': 3.0, 'choice': 'the last step'}
    """
    looks = [(float(r["valid/loss"]), int(r["step"])) for r in records if isinstance(r.get("valid/loss"), (int, float))]
    looks = [look for look in looks if look[0] == look[0]]
    if patience and looks:
        loss, best = min(looks)
        return {"step": best, "loss": loss, "choice": "best validation"}
    last = next((loss for loss, at in reversed(looks) if at == step), None)
    return {"step": step, "loss": last, "choice": "the last step"}


def learned(records: Sequence[Mapping[str, Any]], count: int) -> str:
    """Whether a model learned the few examples that it was shown alone, by how far its loss fell.

    >>> learned([{"loss/model": 40.0}, {"loss/model": 10.0}], 16)
    'learned the 16 examples: the loss fell by 75 %, from 40 to 10'
    >>> learned([{"loss/model": 40.0}, {"loss/model": 39.0}], 16)
    'did not learn the 16 examples: the loss fell by 2 %, from 40 to 39; train longer, or look for a fault'
    """
    losses = [float(r["loss/model"]) for r in records if isinstance(r.get("loss/model"), (int, float))]
    if len(losses) < 2 or losses[0] == 0:
        return "not known: the log holds no course of one loss; train for longer, or log more often (train.log_every)"
    first, last = losses[0], losses[-1]
    share = (first - last) / abs(first)
    fell = f"the loss fell by {max(share, 0):.0%}".replace("%", " %") + f", from {first:.4g} to {last:.4g}"
    if share >= LEARNED:
        return f"learned the {count} examples: {fell}"
    return f"did not learn the {count} examples: {fell}; train longer, or look for a fault"
