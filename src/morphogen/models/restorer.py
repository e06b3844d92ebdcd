"""A conditional variational autoencoder p(x | y) that is trained to undo damage (Sohn, Lee and Yan 2015,
"Learning structured output representation using deep conditional generative models"): one net, blind, for all of it.

What is left of x, laid out at full size with its gaps filled, and a map of how much is known of each element go through
a U-Net; at its bottom stands a code z, whose prior is learned of y too. The net tells every element a small mixture of
discretised logistics about that first guess, and draws come from codes of that prior. With the middle of the code it is
taught to say the mean of x by squared error, since neither the likeliest mixture nor one code's has the nearest mean.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.batch import Batch
from morphogen.core.build import register
from morphogen.core.damage import Damage, missing
from morphogen.core.distribution import Normal
from morphogen.core.given import mended
from morphogen.core.inference import Inference, Latent
from morphogen.core.model import Model, Turn
from morphogen.core.precision import at_least_single
from morphogen.core.schedule import Weight, schedule
from morphogen.core.space import Image, Space, Vector
from morphogen.core.worded import one_of, shown
from morphogen.errors import UserError
from morphogen.families.logistics import Logistics
from morphogen.nets.blocks import Activation, activation, conv
from morphogen.nets.unet import UNet

__all__ = ["restorer"]

NUMBERS = 3  # of each part of a mixture: how often, where, how wide
WIDE, APART = -2.0, 0.1  # log scale of every part at first, and how far they lie from the guess
FARTHEST, SCALES = 6.0, (-4.0, 1.0)  # of the code
EXACT = 1e-9  # a damage whose noise has less variance than this leaves x bound to y


@register("models")
class restorer(Model):
    """Undoes the `damages` that it was shown, one drawn for each batch; those that do not fit the data are left out.

    `width`: channels at the finest of `scales`, doubled below; `latent`: numbers of the code at each site of its
    bottom; `near`: how much the squared error of the mean weighs beside the likelihood, for a deviation of 0.05.

    damages: damages to train on, one drawn for each batch, e.g. noise=0.2 or mask=half
    scales: sizes of the U-Net, each half of the one above
    latent: latent channels at the coarsest size
    near: weight of the squared error of the mean beside the likelihood
    rate: weight of the KL divergence; a number or a schedule
    """

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        damages: list[str] = ["mask=any", "mask=0.75", "noise=0, to=0.5"],  # noqa: B006  (never written to)
        width: PositiveInt = 48,
        scales: PositiveInt = 2,
        blocks: PositiveInt = 2,
        latent: PositiveInt = 4,
        mixture: PositiveInt = 3,
        near: NonNegativeFloat = 1.0,
        rate: Weight = 1.0,
        act: Activation = "silu",
    ) -> None:
        super().__init__()
        if not isinstance(space, Image) or space.levels < 2:
            raise UserError(
                f"restorer is trained on pictures of levels, and this is a {space.kind} of {space.levels}; use model = "
                "vae, whose posterior restores any data"
            )
        self.space, self.mixture, self.near, self.rate = space, mixture, near, schedule(rate)
        self.damages = shown(damages, space)
        widths = [width * min(2**i, 2) for i in range(scales)]
        self.net = UNet(2 * space.channels, space.channels * mixture * NUMBERS, widths, blocks, act)
        below, sharp = widths[-1], self.net.unit
        self.look = nn.Sequential(conv(space.channels * sharp**2, below, gain=1.0), activation(act))
        self.prior = _quiet(below, 2 * latent, act)
        self.posterior = _quiet(2 * below, 2 * latent, act)
        self.take = conv(latent, below, 1, gain=0.5)
        at_first = torch.zeros(mixture, NUMBERS)
        at_first[:, 1] = APART * torch.linspace(-1, 1, mixture) if mixture > 1 else 0
        at_first[:, 2] = WIDE
        self.register_buffer("at_first", at_first.reshape(1, 1, mixture, NUMBERS, 1, 1), persistent=False)
        self.at_first: Tensor

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels."""
        return True

    def see(self, y: Tensor, damage: Damage) -> tuple[Tensor, list[Tensor]]:
        """The first guess, and what the net sees of it at each scale."""
        guess, known = damage.guess(y), damage.known(y)
        return guess, self.net.descend(torch.cat([2 * guess - 1, known], 1))

    def tell(self, guess: Tensor, seen: list[Tensor], z: Tensor) -> Logistics:
        """p(x | y, z): a mixture about the guess for every element by itself."""
        n, c, height, width = guess.shape
        said = self.net.ascend(seen, lambda h: h + self.take(z.to(h.dtype)), (height, width))
        said = at_least_single(said).reshape(n, c, self.mixture, NUMBERS, height, width) + self.at_first
        logits, mean, log_scale = (t.transpose(1, 2) for t in said.unbind(3))
        mean = mean + (2 * guess - 1).unsqueeze(1)
        flat = (n, self.mixture, 1, c * height, width)
        link = mean.new_zeros(n, self.mixture, 0, c * height, width)
        logits, mean, log_scale = (t.reshape(flat) for t in (logits, mean, log_scale))
        shape = (1, c * height, width)
        scale = log_scale.clamp(-7.0, 2.0)
        return Logistics(logits.squeeze(2), mean, scale, link, self.space.levels, shape, 2)

    def guessed(self, seen: list[Tensor]) -> Normal:
        """p(z | y)."""
        return _code(self.prior(seen[-1]))

    def inferred(self, seen: list[Tensor], x: Tensor) -> Normal:
        """q(z | x, y)."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.net.unit, 0, -height % self.net.unit), mode="replicate")
        told = self.look(F.pixel_unshuffle(2 * x - 1, self.net.unit).contiguous(memory_format=torch.channels_last))
        return _code(self.posterior(torch.cat([seen[-1], told], 1)))

    def undo(self, x: Tensor) -> tuple[Inference, Tensor]:
        """What it says of x when it has seen it damaged, and the mean of that."""
        damage = one_of(self.damages, x)
        guess, seen = self.see(damage(x), damage)
        q, prior = self.inferred(seen, x), self.guessed(seen)
        z = q.sample()
        p = self.tell(guess, seen, z)
        latent = Latent(z[None], Normal(q.mean[None], q.log_scale[None], 3), prior)
        flat = x.reshape(len(x), 1, -1, x.shape[-1])
        return Inference(flat, p, [latent], self), self.nearest(guess, seen, prior)

    def nearest(self, guess: Tensor, seen: list[Tensor], prior: Normal) -> Tensor:
        """What it says of the middle of the code, which is taught to be the mean of x."""
        return expected(self.tell(guess, seen, prior.mean)).reshape(guess.shape)

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        inference, mean = self.undo(batch.x)
        apart = (mean - batch.x).square().flatten(1).sum(1)
        cost = inference.distortion + self.near * apart / (2 * 0.05**2) + self.rate(step) * inference.rate
        yield Turn("model", cost.mean(), log=inference.measures() | {"error": apart.mean().detach() / self.space.size})

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What each datum costs, in parts, and the squared error of the mean."""
        inference, mean = self.undo(batch.x)
        distortion, rate = inference.distortion, inference.rate.reshape(-1)
        error = (mean - batch.x).square().flatten(1).mean(1)
        return {"distortion": distortion, "rate": rate, "error": error, "loss": distortion + rate}

    def restore(self, y: Tensor, damage: Damage, samples: int) -> tuple[Tensor, Tensor]:
        """The mean, and draws; what y leaves no doubt of is kept."""
        guess, seen = self.see(y, damage)
        prior = self.guessed(seen)
        mean = self.nearest(guess, seen, prior)
        draws = mean.new_empty(samples, *mean.shape)
        for place in range(samples):  # a code for each: draws that shared one would be too near to one another
            p = self.tell(guess, seen, prior.sample())
            draws[place] = self._bound(p.sample().reshape(mean.shape), p, y, damage)
        return self._bound(mean, p, y, damage)[None], draws

    def _bound(self, x: Tensor, p: Logistics, y: Tensor, damage: Damage) -> Tensor:
        """x as what is seen without noise says it must be."""
        if damage.hides:
            return torch.where(missing(y), x, y)
        if bool((damage.moments(x, torch.zeros_like(x))[1] > EXACT).any()):
            return x
        variance = p.moments()[1].reshape(x.shape)
        return mended(damage, x, damage.turn(x), variance, y)


def expected(p: Logistics) -> Tensor:
    """The mean of mixtures whose parts end at +-1: of one it is -1 + s (softplus((m + 1)/s) - softplus((m - 1)/s))."""
    s = torch.exp(p.log_scale)
    each = s * (F.softplus((p.mean + 1) / s) - F.softplus((p.mean - 1) / s)) - 1
    weight = torch.softmax(p.logits, -3).unsqueeze(-3)
    return ((weight * each).sum(-4) + 1) / 2


def _quiet(inp: int, out: int, act: Activation) -> nn.Sequential:
    """A code's mean and log scale, which at first are those of a standard normal."""
    last = conv(inp // 2, out, 1)
    nn.init.zeros_(last.weight)
    return nn.Sequential(activation(act), conv(inp, inp // 2), activation(act), last)


def _code(said: Tensor) -> Normal:
    mean, log_scale = at_least_single(said).chunk(2, 1)
    return Normal(mean.clamp(-FARTHEST, FARTHEST), log_scale.clamp(*SCALES), 3)
