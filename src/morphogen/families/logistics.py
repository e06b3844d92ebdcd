"""A mixture of discretised logistics for data of many ordered levels (Salimans, Karpathy, Chen and Kingma 2017,
"PixelCNN++"): each level gets the probability of its bin, colours of one pixel share their mixture component, and each
colour's mean moves with the colours before it. For any space: a site is a pixel, a moment of sound, a column."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from morphogen.core import noise
from morphogen.core.build import register
from morphogen.core.conditional import Family
from morphogen.core.distribution import Distribution
from morphogen.core.space import Space
from morphogen.errors import UserError

__all__ = ["Logistics", "logistics"]

VARIANCE, QUANTILES = math.pi**2 / 3, 6  # of a standard logistic variable; how many stand for one
LATER, KIN = -2.5, 1.5  # log scale of a later colour about the one before it, and what tanh makes their link of 0.9


class Logistics(Distribution):
    """log p(x) of levels scaled to [0, 1]; parameters are (*batch, mixture, depth, *sites), `shape` is a datum's."""

    def __init__(
        self,
        logits: Tensor,
        mean: Tensor,
        log_scale: Tensor,
        link: Tensor,
        levels: int,
        shape: tuple[int, ...],
        sites: int,
    ) -> None:
        self.logits, self.mean, self.log_scale, self.link = logits, mean, log_scale, link
        self.levels, self.shape, self.event, self.sites = levels, shape, len(shape), sites

    def log_prob(self, x: Tensor) -> Tensor:
        return self._log_sites(x, None)

    def log_seen(self, x: Tensor, seen: Tensor) -> Tensor:
        """Of a pixel that is seen in part: given its other colours as they stand in x."""
        return self._log_sites(x, self._split(seen))

    def _log_sites(self, x: Tensor, seen: Tensor | None) -> Tensor:
        x = 2 * self._split(x) - 1
        half = 1 / (self.levels - 1)
        inverse = torch.exp(-self.log_scale)
        away, wide = inverse * (x - self._means(x)), inverse * half
        # sigmoid(u) - sigmoid(l) without cancellation, u, l = away +- wide: log is -softplus(-u) - softplus(l)
        # + log(1 - exp(l - u)); the bins at both ends reach to infinity, where one of the first two is left alone
        above, below = (x > half - 1).to(x.dtype), (x < 1 - half).to(x.dtype)
        inside = (above * below) * torch.log(-torch.expm1(-2 * wide))
        log_p = inside - below * F.softplus(-away - wide) - above * F.softplus(away - wide)
        log_p = log_p if seen is None else log_p * seen
        depth_axis = -self.sites - 1
        each = torch.logsumexp(log_p.sum(depth_axis) + torch.log_softmax(self.logits, depth_axis), depth_axis)
        return each.flatten(-self.sites).sum(-1)

    def _split(self, x: Tensor) -> Tensor:
        """A datum as (1, depth, *sites)."""
        axis = self.mean.dim() - self.sites - 1
        depth, sites = self.mean.shape[axis], self.mean.shape[axis + 1 :]
        return x.contiguous().reshape(*x.shape[: x.dim() - self.event], 1, depth, *sites)

    def _means(self, x: Tensor) -> Tensor:
        """Means given the colours before: m_j + sum_{i<j} link_ji x_i."""
        axis = -self.sites - 1
        depth = self.mean.shape[axis]
        if depth == 1:
            return self.mean
        links, colours = iter(self.link.unbind(axis)), x.unbind(axis)
        means: list[Tensor] = []
        for mean in self.mean.unbind(axis):  # in pieces, whose gradients are put together again in one go
            for colour in colours[: len(means)]:
                mean = mean + next(links) * colour
            means.append(mean)
        return torch.stack(torch.broadcast_tensors(*means), axis)  # type: ignore[no-untyped-call]

    def _draw(self, pick: Tensor, offset: Tensor) -> Tensor:
        """Colours in turn, from the picked component; `offset` is standard logistic noise, or zero for the mean."""
        axis = -self.sites - 1
        mean, scale, link = (self._pick(t, pick) for t in (self.mean, torch.exp(self.log_scale), self.link))
        top = self.levels - 1
        levels: list[Tensor] = []  # of the colours before, 0 .. top: the next one's mean moves with what is in the data
        row = 0
        for j in range(mean.shape[axis]):
            value = mean.select(axis, j) + scale.select(axis, j) * offset.select(axis, j)
            for i in range(j):
                value = value + link.select(axis, row) * (levels[i] * (2 / top) - 1)
                row += 1
            levels.append(((value.clamp(-1, 1) + 1) * 0.5 * top).round())
        level = torch.stack(levels, axis) / top
        return level.reshape(*level.shape[: level.dim() - self.sites - 1], *self.shape)

    def _pick(self, numbers: Tensor, pick: Tensor) -> Tensor:
        """Of (*batch, mixture, count, *sites) the picked component: (*batch, count, *sites)."""
        lead, sites = pick.shape[: pick.dim() - self.sites], pick.shape[pick.dim() - self.sites :]
        numbers = numbers.expand(*lead, *numbers.shape[-self.sites - 2 :])
        index = pick.reshape(*lead, 1, 1, *sites).expand(*lead, 1, numbers.shape[-self.sites - 1], *sites)
        return numbers.gather(-self.sites - 2, index).squeeze(-self.sites - 2)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        axis = -self.sites - 1
        size = (*shape, *self.logits.shape)
        u = noise.uniform(size, event=self.sites + 1, like=self.logits).clamp(1e-7, 1 - 1e-7)
        pick = (self.logits - torch.log(-torch.log(u))).argmax(axis)
        size = (*shape, *self.mean.shape[: axis - 1], *self.mean.shape[axis:])
        v = noise.uniform(size, event=self.sites + 1, like=self.mean).clamp(1e-5, 1 - 1e-5)
        return self._draw(pick, torch.log(v) - torch.log1p(-v))

    def moments(self) -> tuple[Tensor, Tensor]:
        """By a few quantiles of each component, since the ends of the range gather what lies beyond them."""
        axis = -self.sites - 1
        links = iter(self.link.unbind(axis))
        means: list[Tensor] = []
        variances: list[Tensor] = []
        for mean, log_scale in zip(self.mean.unbind(axis), self.log_scale.unbind(axis), strict=True):
            wide = torch.exp(2 * log_scale)
            for m, v in list(zip(means, variances, strict=True)):
                link = next(links)
                mean, wide = mean + link * m, wide + link.square() * v * VARIANCE**-1
            offset = _quantiles(mean).reshape(-1, *[1] * mean.dim())
            points = (mean + wide.sqrt() * offset).clamp(-1, 1)
            means.append(points.mean(0))
            variances.append((points - means[-1]).square().mean(0))
        weight = torch.softmax(self.logits, axis).unsqueeze(axis)
        each, varied = (torch.stack(t, axis) for t in (means, variances))
        mean = (weight * each).sum(axis - 1)
        variance = (weight * (varied + (each - mean.unsqueeze(axis - 1)).square())).sum(axis - 1)
        lead = mean.shape[: mean.dim() - self.sites - 1]
        return (mean.reshape(*lead, *self.shape) + 1) / 2, variance.reshape(*lead, *self.shape) / 4

    @property
    def centre(self) -> Tensor:
        """The mean of the likeliest component."""
        axis = -self.sites - 1
        size = (*self.mean.shape[: axis - 1], *self.mean.shape[axis:])
        return self._draw(self.logits.argmax(axis), self.mean.new_zeros(()).expand(size))


def _quantiles(like: Tensor) -> Tensor:
    """Standard logistic numbers, as many below as above, with the variance that they should have together."""
    u = (torch.arange(QUANTILES, device=like.device, dtype=like.dtype) + 0.5) / QUANTILES
    points = torch.log(u) - torch.log1p(-u)
    return points * (VARIANCE / points.square().mean()).sqrt()


@register("families")
class logistics(Family):
    """A mixture of discretised logistics at every site: for pictures and sound of many levels.

    mixture: logistics in each mixture
    """

    start: Tensor

    def __init__(self, space: Space, /, *, mixture: PositiveInt = 5) -> None:
        if space.levels < 3:
            raise UserError(
                f"logistics needs data of three or more ordered levels, this {space.kind} has {space.levels}; "
                "use bernoulli for two levels, normal for real numbers"
            )
        super().__init__(space, numbers=1)
        self.mixture, self.depth = mixture, space.depth
        self.links = self.depth * (self.depth - 1) // 2
        self.register_buffer("start", self._start(), persistent=False)
        self.out = space.features(mixture * (1 + 2 * self.depth + self.links))

    @property
    def mass(self) -> bool:
        return True

    def _start(self) -> Tensor:
        """What a net that says nothing means: first colours anywhere, each later one close to the one before it."""
        k, c = self.mixture, self.depth
        logits, mean, log_scale = torch.zeros(k, 1), torch.zeros(k, c), torch.full((k, c), LATER)
        mean[:, 0] = (torch.arange(k) + 0.5) * 2 / k - 1
        log_scale[:, 0] = math.log(1 / k)
        link = [KIN if i == j - 1 else 0.0 for j in range(1, c) for i in range(j)]
        numbers = torch.cat([logits, mean, log_scale, torch.tensor([link] * k).reshape(k, self.links)], 1)
        return numbers.reshape(*numbers.shape, *[1] * len(self.space.sites))

    def forward(self, said: Tensor) -> Logistics:
        k, c, sites = self.mixture, self.depth, self.space.sites
        # laid out site by site, like the data: of two layouts in one sum, the slower one wins
        said = said.contiguous().reshape(*said.shape[: said.dim() - len(self.out.shape)], k, -1, *sites) + self.start
        axis = -len(sites) - 1
        logits, mean, log_scale, link = torch.split(said, [1, c, c, self.links], axis)
        return Logistics(
            logits.squeeze(axis),
            mean,
            log_scale.clamp(-7.0, 5.0),
            torch.tanh(link),
            self.space.levels,
            self.space.shape,
            len(sites),
        )
