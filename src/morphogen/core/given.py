"""p(x|z) once y has been seen: what a latent model and a damage say together of each element.

Of normals this is exact, by the pathwise rule (Matheron; Wilson et al. 2020, "Efficiently sampling functions from
Gaussian process posteriors"): a draw of x, and what the damage would have made of it, tell how far to move the draw:

    x + V A' (A V A' + R)^-1 (y - y~),    x ~ N(m, V),  y~ = A x + noise of variance R

A likelihood that is not normal is taken for one with its mean and variance, but for masks, which are exact for all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from morphogen.core.conjugate import conjugate
from morphogen.core.damage import LEAST, Damage, missing
from morphogen.core.distribution import Distribution, sum_event

__all__ = ["evidence", "mended", "posterior"]

ROUNDS, NEAR = 20, 1e-3  # of conjugate gradients, at most; and the share of the residual that may be left


def evidence(p: Distribution, y: Tensor, damage: Damage) -> Tensor:
    """log p(y|z), one number per datum, where p is p(x|z)."""
    if damage.hides:
        seen = ~missing(y)
        return p.log_seen(torch.where(seen, y, 0), seen)
    return sum_event(damage.log_each(*p.moments(), y), len(damage.left.shape))


def posterior(p: Distribution, y: Tensor, damage: Damage) -> tuple[Tensor, Tensor]:
    """The mean of p(x | z, y) and a draw of it."""
    if damage.hides:
        seen = ~missing(y)
        kept = torch.where(seen, y, 0)
        draw = p.complete(kept, seen)
        centre = p.guess if y.is_floating_point() else draw
        return torch.where(seen, kept, centre), draw
    mean, variance = (t.reshape(len(y), *damage.space.shape) for t in p.moments())
    y = damage.believed(mean, variance, y)
    draw = p.sample().reshape(mean.shape)
    centre = mended(damage, mean, damage.turn(mean), variance, y)
    return centre, mended(damage, draw, damage.echo(draw), variance, y)


def mended(damage: Damage, x: Tensor, told: Tensor, variance: Tensor, y: Tensor) -> Tensor:
    """x moved by what y says beside `told`, by conjugate gradients: one round where elements of y share none of x."""
    seen = ~missing(y)
    with torch.enable_grad():
        leaf = torch.zeros_like(x).requires_grad_()
        forth = damage.turn(leaf)

    def back(u: Tensor) -> Tensor:
        (moved,) = torch.autograd.grad(forth, leaf, u, retain_graph=True)
        return variance * moved

    noise = damage.moments(x, torch.zeros_like(x))[1] + LEAST
    scale = damage.moments(x, variance)[1] + LEAST
    left = torch.where(seen, y - told, 0)

    def push(u: Tensor) -> Tensor:
        return torch.where(seen, damage.turn(back(u)) + noise * u, 0)

    u = conjugate(push, left, tuple(range(1, y.dim())), rounds=ROUNDS, near=NEAR, scale=scale)
    return x + back(u)
