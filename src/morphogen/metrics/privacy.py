"""Whether made-up rows give training rows away: exact copies, distances to the closest record as held-out rows have
them, and what a stranger learns who asks of a row whether it was in training (the distance attack of Chen et al. 2020,
"GAN-Leaks")."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from morphogen.core.noise import Noise
from morphogen.core.table import Table
from morphogen.metrics.copies import nearer, nearest

__all__ = ["privacy"]

CAP = 20_000  # training rows among which a closest one is looked for


def privacy(train: Tensor, held_out: Tensor, made: Tensor, space: Table, *, seed: int = 0) -> dict[str, Any]:
    """Stored rows in, numbers out. `closer` and `membership` are 0.5 where nothing is given away, 1 where all is."""
    known = {row.tobytes() for row in train.numpy()}
    exact, theirs = (sum(row.tobytes() in known for row in rows.numpy()) for rows in (made, held_out))
    draw = Noise(seed, "privacy").generator(torch.device("cpu"))
    seen, other, own = (_seen(_whole(rows), space, draw) for rows in (train, held_out, made))
    ours, held = nearest(own, seen)[0], nearest(other, seen)[0]
    closer, error = nearer(ours, held)
    inside, outside = (nearest(rows[: len(other)], own)[0] for rows in (seen, other))
    told, doubt = nearer(inside, outside)
    return {
        "copies": exact,
        "held_out_copies": theirs,
        "closer": closer,
        "closer_interval": [closer - 1.96 * error, closer + 1.96 * error],
        "membership": told,
        "membership_interval": [told - 1.96 * doubt, told + 1.96 * doubt],
        "words": _words(exact, theirs * len(made) / max(len(held_out), 1), closer - 1.96 * error, told - 1.96 * doubt),
    }


def _whole(rows: Tensor) -> Tensor:
    """Rows without gaps, where most are: made-up rows have none, and would be closer to others for that alone."""
    whole = rows[~rows.isnan().any(1)]
    return whole if 2 * len(whole) > len(rows) else rows


def _seen(rows: Tensor, space: Table, draw: torch.Generator) -> Tensor:
    """As a model sees them, shuffled, at most so many; a word that differs counts as much as two deviations."""
    chosen = rows[torch.randperm(len(rows), generator=draw)[:CAP]]
    return space.read(chosen)


def _words(exact: int, expected: float, closer: float, told: float) -> str:
    troubles = []
    if exact > expected + 3 * (expected + 1) ** 0.5:
        troubles.append(f"{exact} rows are copies of training rows, and {expected:.0f} would be by chance")
    if closer > 0.5:
        troubles.append("rows are closer to training rows than held-out rows are")
    if told > 0.5:
        troubles.append("who has a row can tell better than by chance whether it was in training")
    return "; ".join(troubles) or "no sign that training rows are given away; this is no guarantee (it is not proven)"
