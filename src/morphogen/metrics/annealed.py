"""log p(x) by annealed importance sampling (Neal 2001), started at the posterior rather than at the prior (Wu, Burda,
Salakhutdinov and Grosse 2017, "On the quantitative analysis of decoder-based generative models"): a check of
`likelihood.py` on small sets, which does not need q to be near the true posterior.

    log f_b(z) = (1 - b) log q(z|x) + b log p(x, z),   b from 0 to 1,
    log w = sum_t (b_t - b_{t-1}) (log p(x, z_t-1) - log q(z_t-1|x))

A part of the true posterior that q misses, and that no chain reaches, importance sampling misses as well: started at
q the two agree and are both too low. So run it from elsewhere, too: `from_prior` starts wide, needs more temperatures,
and where it finds more, q has a blind spot.

Between two temperatures z moves by Hamiltonian Monte Carlo, which leaves f_b as it is. The trap: a step size that looks
at its own chain breaks that, so sizes are found by a pilot run with noise of its own, and then stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.conditional import Conditional
from morphogen.core.distribution import Distribution, Normal
from morphogen.core.noise import Noise, source
from morphogen.errors import Failure, UserError
from morphogen.metrics.likelihood import MANY, RULED, at_rest, blocks

__all__ = ["Annealed", "OneCode", "annealed", "from_posterior", "from_prior"]

BLOCK = 50
TARGET = 0.8  # the acceptance that step sizes aim at
Gap = Callable[[Tensor], Tensor]


Start = Callable[[Distribution], Distribution]


def from_posterior(q: Distribution) -> Distribution:
    """q(z|x)"""  # is printed as part of the protocol
    return q


def from_prior(q: Distribution) -> Distribution:
    """a standard normal"""
    return Normal(torch.zeros_like(q.mean), torch.zeros_like(q.log_scale), q.event) if isinstance(q, Normal) else q


class OneCode(Protocol):
    """A model of one code z, whose prior, posterior and likelihood can be asked one by one."""

    posterior: Conditional
    likelihood: Conditional
    prior: nn.Module

    def condition(self, y: Tensor | None) -> Tensor | None: ...


@dataclass(frozen=True)
class Annealed:
    """An estimate of log p(x) for each datum (nats, float64), and how it was found."""

    log_p: Tensor
    effective: Tensor  # chains that the weights of a datum are worth
    acceptance: float
    chains: int
    temperatures: int
    leaps: int
    seed: int
    start: str

    def facts(self) -> dict[str, Any]:
        """The number with its protocol, as a plain dictionary."""
        return {
            "log_p": self.log_p.mean().item(),
            "acceptance": self.acceptance,
            "effective_chains": self.effective.median().item(),
            "protocol": {
                "estimator": f"annealed importance sampling from {self.start}, Hamiltonian moves, piloted step sizes",
                "unit": "nats per datum",
                "chains": self.chains,
                "temperatures": self.temperatures,
                "leaps": self.leaps,
                "seed": self.seed,
                "n": len(self.log_p),
            },
        } | ({"warning": self.warning} if self.warning else {})

    @property
    def warning(self) -> str:
        """What should not be taken at its word."""
        said = []
        if self.start == from_posterior.__doc__:
            said.append(
                "started at q(z|x), as importance sampling is: what q misses altogether both miss; start=from_prior "
                "does not"
            )
        ruled = (self.effective < RULED).double().mean().item()
        if self.chains > RULED and ruled > MANY:
            said.append(f"for {ruled:.0%} of the data one chain rules: give more temperatures")
        return "; ".join(said)


def annealed(
    model: OneCode,
    batches: Iterable[Batch],
    *,
    chains: int = 16,
    temperatures: int = 200,
    leaps: int = 5,
    seed: int = 0,
    start: Start = from_posterior,
) -> Annealed:
    """log p(x) of each datum from `chains` chains of `temperatures` temperatures, each of `leaps` leapfrog steps."""
    if min(chains, temperatures, leaps) < 1:
        raise UserError(f"chains, temperatures and leaps must be at least 1, not {chains}, {temperatures}, {leaps}")
    said: list[Tensor] = []
    effective: list[Tensor] = []
    accepted: list[Tensor] = []
    with at_rest(model):
        for place, block in enumerate(blocks(batches, BLOCK)):
            gap, like = _gap(model, block, chains, start)
            sizes = torch.full((temperatures, len(block)), 0.3, dtype=like.dtype, device=like.device)
            with source(Noise(seed, "annealed-pilot", place, 0, BLOCK)):
                _chains(gap, like, sizes, leaps, adapt=True)
            with source(Noise(seed, "annealed", place, 0, BLOCK)):
                weight, acceptance = _chains(gap, like, sizes, leaps, adapt=False)
            said.append(torch.logsumexp(weight, 0) - math.log(chains))
            effective.append(torch.exp(2 * torch.logsumexp(weight, 0) - torch.logsumexp(2 * weight, 0)))
            accepted.append(acceptance)
    if not said:
        raise UserError("there is nothing to score: the data is empty")
    log_p = torch.cat(said)
    if not torch.isfinite(log_p).all():
        raise Failure("annealing gave numbers that are not finite: the weights or the data hold NaN or overflow")
    rate, name = float(torch.stack(accepted).mean()), str(start.__doc__)
    return Annealed(log_p, torch.cat(effective), rate, chains, temperatures, leaps, seed, name)


def _gap(model: OneCode, batch: Batch, chains: int, start: Start) -> tuple[Gap, Tensor]:
    """log p(x, z) - log q(z|x) of u = (z - mean) / scale, in which q is a standard normal; and something like u."""
    given = model.condition(batch.y)
    with torch.no_grad():
        q = start(model.posterior(batch.x, given))
    if not isinstance(q, Normal):
        raise UserError("annealing starts at a normal posterior; set model.posterior=normal, or trust importance alone")

    def gap(u: Tensor) -> Tensor:
        z = torch.addcmul(q.mean, u, torch.exp(q.log_scale))
        p: Distribution = model.prior(model.posterior)
        likelihood: Distribution = model.likelihood(z, given)
        return likelihood.log_prob(batch.x) + p.log_prob(z) - q.log_prob(z)

    return gap, q.mean.expand(chains, *q.mean.shape)


def _chains(gap: Gap, like: Tensor, sizes: Tensor, leaps: int, adapt: bool) -> tuple[Tensor, Tensor]:
    """log w of each chain, (chains, batch), and the share of moves accepted. `adapt` finds `sizes` and writes them."""
    event = like.dim() - 2
    u = noise.normal(like.shape, event=event, like=like).to(like.dtype)
    value, slope = _slope(gap, u)
    weight = torch.zeros(value.shape, dtype=torch.float64)
    accepted = []
    for t in range(len(sizes)):
        weight += value.cpu().double() / len(sizes)
        push = noise.normal(like.shape, event=event, like=like).to(like.dtype)
        size = sizes[t] * (
            0.4 + 0.8 * noise.uniform(value.shape, event=0, like=like)
        )  # or flights come back in circles
        chance, *after = _leap(gap, (u, value, slope), push, (t + 1) / len(sizes), size.to(like.dtype), leaps)
        moved = noise.uniform(chance.shape, event=0, like=like) < chance
        u, value, slope = (
            torch.where(_wide(moved, new), new, old) for new, old in zip(after, (u, value, slope), strict=True)
        )
        accepted.append(chance.mean())
        if adapt:
            sizes[t + 1 :] = sizes[t] * torch.exp(0.3 * (chance.mean(0) - TARGET))
    return weight, torch.stack(accepted).mean()


def _leap(
    gap: Gap, at: tuple[Tensor, Tensor, Tensor], push: Tensor, beta: float, size: Tensor, leaps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Leapfrog along log f = -u^2 / 2 + beta gap(u): the chance of going there, and (u, value, slope) there."""
    u, value, slope = at
    size = _wide(size, u)
    momentum = push + 0.5 * size * (beta * slope - u)
    for leap in range(leaps):
        u = u + size * momentum
        value, slope = _slope(gap, u)
        momentum = momentum + (1.0 if leap < leaps - 1 else 0.5) * size * (beta * slope - u)
    before = _energy(at[0], at[1], push, beta)
    chance = torch.exp(before - _energy(u, value, momentum, beta)).clamp_max(1.0)
    return torch.nan_to_num(chance, nan=0.0), u, value, slope  # a flight into infinity is not taken


def _energy(u: Tensor, value: Tensor, momentum: Tensor, beta: float) -> Tensor:
    """Minus log f, and the kinetic energy."""
    return 0.5 * (u.square() + momentum.square()).flatten(2).sum(2) - beta * value


def _slope(gap: Gap, u: Tensor) -> tuple[Tensor, Tensor]:
    """gap(u) and its gradient."""
    u = u.detach().requires_grad_()
    with torch.enable_grad():
        value = gap(u)
        (slope,) = torch.autograd.grad(value.sum(), u)
    return value.detach(), slope


def _wide(each: Tensor, like: Tensor) -> Tensor:
    """Numbers of a chain, or of a datum, beside all elements of `like`."""
    return each.reshape(*each.shape, *[1] * (like.dim() - each.dim()))
