"""The soft introspective VAE (Daniel and Tamar 2021, "Soft-IntroVAE"): encoder and decoder play against each other, and
no critic is needed. The encoder gives real examples a high ELBO and made-up ones a low one; the decoder makes examples
whose ELBO is high."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from morphogen.core.batch import Batch
from morphogen.core.build import Family, Net, Prior, part, register
from morphogen.core.conditional import Conditional, must_be_smooth
from morphogen.core.distribution import Distribution, tempered
from morphogen.core.inference import Inference, Latent
from morphogen.core.model import Model, Turn
from morphogen.core.schedule import Weight, schedule
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["introspective"]


@register("models")
class introspective(Model):
    """Encoder: ELBO(x) up, exp(2 ELBO(made)) down. Decoder: ELBO(x) up, ELBO(made) up. Costs are per dimension.

    `distortion` and `rate` weigh the two parts of the ELBO of real examples, `made` the rate of made-up ones, as the
    encoder sees them: so much that it stops caring once they are a few nats from the prior. `game` weighs what either
    hears of made-up examples; from 0 upwards, an autoencoder comes first.

    distortion: weight of the reconstruction error of real examples
    rate: weight of the KL divergence of real examples
    made: weight of the KL divergence of generated examples, for the encoder
    game: weight of the adversarial part; a number or a schedule
    small: weight of the reconstruction error of generated examples, for the decoder
    """

    players: ClassVar[Mapping[str, str]] = {"encoder": "posterior.*", "decoder": "*"}

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        latent: PositiveInt = 32,
        net: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        decoder: Net | None = None,
        likelihood: Family | None = None,
        prior: Prior = "normal",  # type: ignore[assignment]
        distortion: PositiveFloat = 1.0,
        rate: NonNegativeFloat = 1.0,
        made: NonNegativeFloat = 64.0,
        game: Weight = 1.0,
        small: NonNegativeFloat = 1e-8,
    ) -> None:
        super().__init__()
        if space.kind == "tokens":
            raise UserError("what this model makes goes back into its encoder, and tokens cannot; use vae")
        self.space, self.code = space, Vector(latent)
        self.distortion, self.rate, self.made, self.small, self.game = distortion, rate, made, small, schedule(game)
        self.posterior = Conditional(net, part("families", "normal"), space, self.code)
        likelihood = likelihood or part("families", "bernoulli" if space.levels == 2 else "normal-shared")
        self.likelihood = Conditional(decoder or net, likelihood, self.code, space)
        must_be_smooth(self.likelihood, "introspective")
        self.prior = prior(self.code, space)

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels, so that bits mean something."""
        return self.likelihood.family.mass

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Inference:
        """What the model says about x, with `samples` draws of its code."""
        q = self.posterior(x)
        z = q.sample((samples,))
        return Inference(x, self.likelihood(z), [Latent(z, q, self.prior(self.posterior))], self)

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        z = self.prior(self.posterior).sample((len(batch),))
        yield self.encoders_turn(batch.x, z, self.game(step))
        yield self.decoders_turn(batch.x, z, self.game(step))

    def encoders_turn(self, x: Tensor, z: Tensor, game: float = 1.0) -> Turn:
        """Real examples are likely, those that the decoder makes are not."""
        real = self.infer(x)
        with torch.no_grad():
            fakes = (self.decode(z), real.likelihood.centre[0])
        cost = (self.distortion * real.distortion + self.rate * real.rate).mean() / self.space.size
        for fake in fakes:
            seen = self.infer(fake.detach())
            elbo = -(self.distortion * seen.distortion + self.made * seen.rate) / self.space.size
            cost = cost + 0.25 * game * torch.exp(2 * elbo).mean()
        return Turn("encoder", cost, log=real.measures())

    def decoders_turn(self, x: Tensor, z: Tensor, game: float = 1.0) -> Turn:
        """Codes of real examples decode to them; what is made of draws would be taken for real."""
        with torch.no_grad():
            code = self.posterior(x).sample()
        back = self.likelihood(code)
        cost = -self.distortion * back.log_prob(x).mean()
        for fake in (self.decode(z), back.centre):
            q = self.posterior(fake)
            again = q.sample()
            rate = Latent(again, q, self.prior(self.posterior)).rate
            lost = -self.likelihood(again.detach()).log_prob(fake.detach())
            cost = cost + 0.5 * game * (self.rate * rate + self.small * lost).mean()
        return Turn("decoder", cost / self.space.size)

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What each datum costs, in parts."""
        return self.infer(batch.x).costs()

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the posterior."""
        q: Distribution = self.posterior(x)
        return q.centre

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the likelihood."""
        likelihood: Distribution = self.likelihood(z)
        return likelihood.centre

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples."""
        return self.decode(tempered(self.prior(self.posterior), n, temperature))
