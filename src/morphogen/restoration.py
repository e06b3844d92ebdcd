"""What an example was before it was damaged, and how far that can be known: the posterior p(x|y) of a latent model.

    found = restore_batch(model, y, damage)
    found.mean, found.draws, found.low, found.high, found.deviation

How codes are found is a part that is passed in: `refined` (a guess by the encoder, then descent; the default), or
`gibbs` (in turn the code of the picture and the picture of the code). A model that was trained to restore does so
itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from morphogen.abilities import Unable
from morphogen.core import noise
from morphogen.core.damage import Damage, missing
from morphogen.core.distribution import Distribution, Normal
from morphogen.core.given import evidence, posterior
from morphogen.core.inference import Latent
from morphogen.core.model import Decodes, Encodes, Restores, Scores, Speaks
from morphogen.core.space import Space

__all__ = ["Approach", "Restored", "gibbs", "refined", "restore_batch", "summed", "weighed"]

MOST = 2**24  # elements of all examples that are tried at once
PICKED = 400  # codes that a mean is taken over, of all that were weighed
INSIDE = 0.9  # the chance that the interval is to hold the truth with
SMALLEST = 19  # draws that an interval of 90 % takes: their lowest and highest are its ends

TRUST, UNSURE = 0.5, -0.7  # of an encoder that sees damage for the first time: its guess in part, and with doubt

Said = tuple[Tensor, Tensor]  # (samples, batch, *datum): means given each code, and draws
Approach = Callable[[Any, Tensor, Damage, Tensor | None, int], Said]
Speech = Callable[[Tensor], Distribution]


@dataclass(frozen=True)
class Restored:
    """p(x|y) of each example: its mean, draws of it (samples, batch, *datum), their deviation and a 90 % interval."""

    mean: Tensor
    draws: Tensor
    low: Tensor
    high: Tensor
    deviation: Tensor


def restore_batch(
    model: Any,
    y: Tensor,
    damage: Damage,
    *,
    labels: Tensor | None = None,
    samples: int = 39,
    approach: Approach | None = None,
) -> Restored:
    """What y was before `damage`; NaN (of symbols: -1) is what is missing of it. Of 39 draws the interval is exact."""
    if damage.unknown:
        damage = damage.learned(y)
    found = summed(*_said(model, y, damage, labels, samples, approach), model.space)
    if damage.hides:  # what is seen stays as it is, to the last bit
        found = replace(found, mean=torch.where(missing(y), found.mean, y))
    return found


def _said(
    model: Any, y: Tensor, damage: Damage, labels: Tensor | None, samples: int, approach: Approach | None
) -> Said:
    if isinstance(model, Restores):
        return model.restore(y, damage, samples)
    if not (isinstance(model, Decodes) and isinstance(model, Encodes)):
        raise Unable(
            f"restore asks a model for codes of examples and examples of codes, which {type(model).__name__} does not "
            "make; use a vae, a ladder or a restorer"
        )
    return (approach or refined())(model, y, damage, labels, samples)


def summed(means: Tensor, draws: Tensor, space: Space) -> Restored:
    """The posterior in numbers. The ends of the interval are ranks of the draws: the truth is one more draw, and falls
    between the ranks a and b of K draws with the chance (b - a) / (K + 1)."""
    if not draws.is_floating_point():
        ordered = draws.sort(0).values
        mean = draws.mode(0).values
        off = (draws != mean).float().mean(0)
        return Restored(mean, draws, *_ends(ordered), off)
    if space.levels:
        top = max(space.levels - 1, 1)
        means, draws = means.clamp(0, 1), (draws.clamp(0, 1) * top).round() / top
    deviation = draws.float().std(0, correction=0)
    return Restored(space.average(means), draws, *_ends(draws.float().sort(0).values), deviation)


def _ends(ordered: Tensor) -> tuple[Tensor, Tensor]:
    place = (1 - INSIDE) / 2 * (len(ordered) + 1) - 1
    below = min(max(math.floor(place + 1e-9), 0), (len(ordered) - 1) // 2)
    return ordered[below], ordered[len(ordered) - 1 - below]


# Codes ----------------------------------------------------------------------------------------------------------


@dataclass
class Guess:
    """What is known of codes before y has been fitted: q's mean and log scale, flat, and the prior of each piece."""

    mean: Tensor
    log_scale: Tensor
    priors: list[tuple[Distribution, tuple[int, ...]]]

    def rate(self, z: Tensor, q: Normal) -> Tensor:
        """KL(q || p), summed over the latents."""
        total, start = torch.zeros(len(z), device=z.device), 0
        for p, shape in self.priors:
            size = math.prod(shape)
            mine, mean, log_scale = (t[:, start : start + size].reshape(-1, *shape) for t in (z, q.mean, q.log_scale))
            total = total + Latent(mine, Normal(mean, log_scale, len(shape)), p).rate
            start += size
        return total


def refined(*, steps: int = 200, rate: float = 0.1) -> Approach:
    """A normal posterior for the code of each example: the encoder's of a first guess, then descent on -ELBO of y."""

    def find(model: Any, y: Tensor, damage: Damage, labels: Tensor | None, samples: int) -> Said:
        guess, speech = _first(model, damage.guess(y), labels), _speech(model, labels, len(y))
        if not getattr(model, "damages", ()):
            guess = Guess(TRUST * guess.mean, guess.log_scale.clamp_min(UNSURE), guess.priors)
        q, slack = _descend(guess, speech, y, damage, steps, rate)
        means, draws = [], []
        for _ in range(samples):
            mean, draw = posterior(speech(q.sample(), slack), y, damage)
            means.append(mean.float() if mean.is_floating_point() else mean)
            draws.append(draw)
        return torch.stack(means), torch.stack(draws)

    return find


def _descend(
    guess: Guess, speech: Callable[[Tensor, Tensor], Distribution], y: Tensor, damage: Damage, steps: int, rate: float
) -> tuple[Normal, Tensor]:
    """Adam, every example for itself; the slack is the deviation of a decoder that knows of none."""
    with torch.enable_grad():
        slack = torch.full((len(y),), math.log(0.1), device=y.device)
        free = [t.detach().float().clone().requires_grad_() for t in (guess.mean, guess.log_scale, slack)]
        optimiser = torch.optim.Adam(free, lr=rate, betas=(0.9, 0.95))
        for step in range(steps):
            q = Normal(free[0], free[1].clamp(-10, 3), 1)
            z = q.sample()
            cost = guess.rate(z, q) - evidence(speech(z, free[2]), y, damage).reshape(-1)
            grads = torch.autograd.grad(cost.sum(), free, allow_unused=True)
            for variable, grad in zip(free, grads, strict=True):
                variable.grad = None if grad is None else grad.nan_to_num(0.0)
            optimiser.param_groups[0]["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            optimiser.step()
    mean, log_scale, slack = (t.detach() for t in free)
    return Normal(mean, log_scale.clamp(-10, 3), 1), slack


def _first(model: Any, x: Tensor, labels: Tensor | None) -> Guess:
    """The encoder's guess, of every latent that there is."""
    if isinstance(model, Scores):
        inference = model.infer(x, labels)
        if inference.has_rate and all(isinstance(latent.q, Normal) for latent in inference.latents):
            latents = inference.latents
            qs = [cast("Normal", latent.q) for latent in latents]
            mean = torch.cat([q.mean.reshape(len(x), -1) for q in qs], 1)
            log_scale = torch.cat([q.log_scale.expand_as(q.mean).reshape(len(x), -1) for q in qs], 1)
            priors = [(latent.p, tuple(latent.z.shape[2:])) for latent in latents]
            return Guess(mean, log_scale, priors)
    z = model.encode(x, labels).reshape(len(x), -1).float()
    zero = z.new_zeros(())
    return Guess(z, torch.full_like(z, -3.0), [(Normal(zero, zero, 1), tuple(z.shape[1:]))])


def _speech(model: Any, labels: Tensor | None, rows: int) -> Callable[[Tensor, Tensor], Distribution]:
    """p(x|z) of flat codes; of a decoder that says one value and no doubt, a normal about it."""

    def speak(z: Tensor, slack: Tensor) -> Distribution:
        z = z.reshape(-1, *model.code.shape)
        if isinstance(model, Speaks):
            p = model.spoken(z, labels)
            if p.has_density:
                return p
        mean = model.decode(z, labels).float()
        return Normal(mean, slack.reshape(-1, *[1] * (mean.dim() - 1)), mean.dim() - 1)

    return speak


def weighed(*, tries: int = 1000) -> Approach:
    """Many codes by the encoder's guess, drawn again by their weights p(y|z) p(z) / q(z): no gradients, and sharp where
    the encoder was trained on examples with gaps (Mattei and Frellsen 2019, "MIWAE")."""

    def find(model: Any, y: Tensor, damage: Damage, labels: Tensor | None, samples: int) -> Said:
        if not isinstance(model, Scores):
            raise Unable("weights need a model that infers codes as distributions (Scores); use descent")
        many = max(2 * samples, min(tries, MOST // (len(y) * model.space.size)))
        inference = model.infer(damage.guess(y), labels, many)
        weight = evidence(inference.likelihood, y, damage)
        weight = tamed(sum((latent.log_ratio for latent in inference.latents), start=weight))
        code = torch.cat([latent.z.reshape(many, len(y), -1) for latent in inference.latents], -1)
        edges, speech = torch.softmax(weight, 0).cumsum(0).T.contiguous(), _speech(model, labels, len(y))
        count = samples * max(1, min(PICKED, many) // samples)
        steps = torch.arange(count, device=y.device) + noise.uniform((len(y), 1), event=1, like=y)  # one in each part
        pick = torch.searchsorted(edges, (steps / count).to(edges.dtype)).clamp_max(many - 1)
        chosen = code[pick.T, torch.arange(len(y), device=y.device)]
        said = [posterior(speech(z, y.new_zeros(len(y))), y, damage) for z in chosen]
        draws = [draw for _, draw in said[:: count // samples]]
        return torch.stack([mean for mean, _ in said]), torch.stack(draws)

    return find


def tamed(weight: Tensor) -> Tensor:
    """Log weights of K draws, none above sqrt(K) times the mean weight (Ionides 2008, "Truncated importance sampling"):
    where few of them hold nearly all weight, the others keep a say, and bias costs less than noise would."""
    return weight.minimum(weight.logsumexp(0) - 0.5 * math.log(len(weight)))


def gibbs(*, burn: int = 20) -> Approach:
    """In turn the code of the picture and the picture of the code, which y mends each time (Rezende et al. 2014): no
    gradients, and right for models whose pixels know of one another. The first `burn` rounds are thrown away."""

    def find(model: Any, y: Tensor, damage: Damage, labels: Tensor | None, samples: int) -> Said:
        if not isinstance(model, Scores):
            raise Unable("gibbs needs a model that infers codes as distributions (Scores); use refined")
        x, means, draws = damage.guess(y), [], []
        for turn in range(burn + samples):
            mean, x = posterior(model.infer(x, labels).likelihood, y, damage)
            x = x.reshape(len(y), *model.space.shape)
            if turn >= burn:
                means.append(mean.reshape(x.shape))
                draws.append(x)
        return torch.stack(means), torch.stack(draws)

    return find
