"""log p(x) by importance sampling (Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders"), with what
belongs beside it: the ELBO split in distortion and rate, active units, an interval, the protocol.

    log p(x) ~ log 1/S sum_s p(x, z_s) / q(z_s|x),   z_s ~ q(z|x): a lower bound in expectation, tighter as S grows.

Noise is drawn by place: by the datum's number in the set and by the number of the sample. So neither the size of the
caller's batches nor the memory that scoring may use changes a score, and a datum scores the same in any longer set.

Where one weight rules, or one datum the mean, the score says so: the first is too low, the interval of the second too
narrow. What q misses altogether no weight shows: `annealed.py` can start elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from morphogen.core.batch import Batch
from morphogen.core.inference import Inference
from morphogen.core.model import Scores
from morphogen.core.noise import Noise, source
from morphogen.core.space import Space
from morphogen.errors import Failure, UserError

__all__ = ["Likelihood", "at_rest", "blocks", "interval", "log_likelihood"]

BLOCK, GROUP = 50, 20  # the places that noise is drawn for at once: data x samples. Part of the protocol: they fix z
RULED, MANY, ALONE = 2.0, 0.05, 0.2  # effective samples of a datum; share of data; share of the variance
ACTIVE = 0.01  # Burda et al. 2016: a unit is active where Var_x(E[z|x]) exceeds this


@dataclass(frozen=True)
class Likelihood:
    """What a model says of each datum, in nats (float64, one number per datum), and how that was found."""

    log_p: Tensor
    elbo: Tensor
    distortion: Tensor
    rate: Tensor
    effective: Tensor  # samples that the weights of a datum are worth: (sum w)^2 / sum w^2 (Kong 1992)
    variance: Tensor  # Var_x(E[z|x]) of each unit of the code
    space: Space
    mass: bool  # whether the model gives probabilities to the data's own levels; a density does not
    samples: int
    seed: int

    @property
    def active(self) -> int:
        """Units of the code that move with the data."""
        return int((self.variance > ACTIVE).sum())

    @property
    def bits_per_dim(self) -> float | None:
        """-log p(x) in bits for each element of the data; None for a density, which has no bits."""
        return -self.log_p.mean().item() / (self.space.size * math.log(2)) if self.mass else None

    @property
    def warning(self) -> str:
        """What should not be taken at its word."""
        said = []
        ruled = (self.effective < RULED).double().mean().item()
        if self.samples >= GROUP and ruled > MANY:
            said.append(
                f"for {ruled:.0%} of the data one weight rules (fewer than {RULED:g} of {self.samples} samples count): "
                "log_p is too low there; give more samples, and see whether it rises"
            )
        apart = (self.log_p - self.log_p.mean()).square()
        if len(apart) >= GROUP and apart.max() > ALONE * apart.sum() > 0:
            said.append(
                f"one example of {len(apart)} carries {(apart.max() / apart.sum()).item():.0%} of the variance of log "
                "p, so that the interval is too narrow; look at that example, or score more of them"
            )
        return "; ".join(said)

    def facts(self) -> dict[str, Any]:
        """Every number with its protocol, as a plain dictionary."""
        said: dict[str, Any] = {
            "log_p": self.log_p.mean().item(),
            "interval": list(interval(self.log_p, seed=self.seed)),
            "elbo": self.elbo.mean().item(),
            "distortion": self.distortion.mean().item(),
            "rate": self.rate.mean().item(),
            "effective_samples": self.effective.median().item(),
            "active_units": self.active,
            "units": len(self.variance),
            "protocol": {
                "estimator": "importance-weighted bound, z ~ q(z|x)",
                "unit": "nats per datum",
                "samples": self.samples,
                "seed": self.seed,
                "n": len(self.log_p),
                "interval": "95 % percentile bootstrap of the mean, 2000 draws",
            },
        }
        said |= {"warning": warning} if (warning := self.warning) else {}
        if self.mass:
            return said | {"bits_per_dim": self.bits_per_dim}
        if self.space.levels:
            why = f"the likelihood is none over the data's {self.space.levels} levels, so it has no bits"
        else:
            why = "the data is of real numbers: a density, which changes with their unit and has no bits"
        return said | {"note": why}


def log_likelihood(
    model: Scores,
    batches: Iterable[Batch],
    samples: int = 500,
    *,
    seed: int = 0,
    rows: int = BLOCK * GROUP,
    tell: Callable[[int], object] = lambda count: None,
) -> Likelihood:
    """log p(x) of each datum from `samples` draws, of which at most `rows` (and at least 20) are decoded at once.

    `tell` hears how many draws were made, as they are."""
    if samples < 1 or rows < 1:
        raise UserError(f"samples and rows must be at least 1, not {samples} and {rows}")
    said: list[Tensor] = []
    spread = _Spread()
    with torch.inference_mode(), at_rest(model):
        for place, block in enumerate(blocks(batches, BLOCK)):
            for share in block.shares(max(rows // GROUP, 1)):
                said.append(
                    _score(model, share, samples, Noise(seed, "score", place, share.start, BLOCK), spread, tell)
                )
    if not said:
        raise UserError("there is nothing to score: the data is empty")
    log_p, distortion, rate, effective = torch.cat(said, 1).unbind(0)
    for name, values in {"log p": log_p, "distortion": distortion, "rate": rate}.items():
        bad = torch.nonzero(~torch.isfinite(values)).flatten()
        if len(bad):
            raise Failure(
                f"{name} is not finite for {len(bad)} of {len(values)} data (the first, from 0, is {int(bad[0])}): "
                "the weights or the data hold NaN, or overflow; look at the run's log, or score an earlier state"
            )
    elbo, variance = -(distortion + rate), spread.variance
    return Likelihood(log_p, elbo, distortion, rate, effective, variance, model.space, model.mass, samples, seed)


def blocks(batches: Iterable[Batch], rows: int) -> Iterator[Batch]:
    """The same data in batches of `rows` (the last may be shorter), whatever they came in."""
    held: list[Batch] = []
    for batch in batches:
        held.append(batch)
        while (count := sum(map(len, held))) >= rows:
            whole = _joined(held)
            yield Batch(whole.x[:rows], None if whole.y is None else whole.y[:rows])
            held = [Batch(whole.x[rows:], None if whole.y is None else whole.y[rows:])] if count > rows else []
    if held:
        yield _joined(held)


def _joined(held: list[Batch]) -> Batch:
    if len(held) == 1:
        return Batch(held[0].x, held[0].y)
    labels = [b.y for b in held if b.y is not None]
    return Batch(torch.cat([b.x for b in held]), torch.cat(labels) if labels else None)


def _score(
    model: Scores, batch: Batch, samples: int, noise: Noise, spread: _Spread, tell: Callable[[int], object]
) -> Tensor:
    """(log p, distortion, rate, effective samples) of each datum, (4, batch): streaming logs of summed exponentials, in
    float64."""
    total = squares = distortion = rate = torch.zeros(0)
    with source(noise):
        for done in range(0, samples, GROUP):
            count = min(GROUP, samples - done)
            inference = model.infer(batch.x, batch.y, count)
            weights = inference.log_weight.cpu().double()  # MPS knows no float64
            weight, square = torch.logsumexp(weights, 0), torch.logsumexp(2 * weights, 0)
            tell(count * len(batch))
            worse = inference.distortion.cpu().double().sum(0)
            dearer = inference.rate.cpu().double().expand(count, -1).sum(0)
            if done == 0:
                spread.add(_centres(inference, len(batch)))
                total, squares, distortion, rate = weight, square, worse, dearer
            else:
                total, squares = torch.logaddexp(total, weight), torch.logaddexp(squares, square)
                distortion, rate = distortion + worse, rate + dearer
    effective = torch.exp(2 * total - squares)
    return torch.stack([total - math.log(samples), distortion / samples, rate / samples, effective])


def _centres(inference: Inference, rows: int) -> Tensor:
    """E[z|x] of every unit, (batch, units)."""
    centres = [latent.q.centre.cpu().double().flatten(-latent.q.event) for latent in inference.latents]
    return torch.cat([centre.reshape(-1, rows, centre.shape[-1]).mean(0) for centre in centres], 1)


class _Spread:
    """Mean and variance as the data goes by (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0, torch.zeros(()), torch.zeros(())

    def add(self, x: Tensor) -> None:
        n, mean = len(x), x.mean(0)
        shift, total = mean - self.mean, self.count + n
        self.square = self.square + (x - mean).square().sum(0) + shift.square() * (self.count * n / total)
        self.mean, self.count = self.mean + shift * (n / total), total

    @property
    def variance(self) -> Tensor:
        return self.square / self.count


def interval(values: Tensor, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Where the mean of `values` lies: the percentile bootstrap (Efron 1979), seeded, in bounded memory.

    >>> interval(torch.tensor([1.0, 1.0, 1.0]))
    (1.0, 1.0)
    """
    values = values.double().cpu()
    generator = Noise(seed, "bootstrap").generator(values.device)
    at_once = max(2**20 // len(values), 1)
    means = [
        values[torch.randint(len(values), (min(at_once, draws - done), len(values)), generator=generator)].mean(1)
        for done in range(0, draws, at_once)
    ]
    tail = (1 - level) / 2
    low, high = torch.quantile(torch.cat(means), torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


@contextmanager
def at_rest(model: object) -> Iterator[None]:
    """The model as it is used, not as it is trained."""
    training = isinstance(model, nn.Module) and model.training
    if isinstance(model, nn.Module):
        model.eval()
    try:
        yield
    finally:
        if isinstance(model, nn.Module):
            model.train(training)
