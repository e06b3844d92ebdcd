"""What a model says about x: its likelihood p(x|z), and for each latent z, q(z|x) and p(z).

Rate and distortion are always apart, in nats a datum; with S samples, tensors are (S, batch).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from morphogen.core.distribution import Distribution, Factorised, sum_event
from morphogen.errors import UserError

__all__ = ["Inference", "Latent"]


@dataclass
class Latent:
    """A hidden variable as inferred: the draw z, the posterior q that it came from, the prior p."""

    z: Tensor
    q: Distribution
    p: Distribution

    @cached_property
    def rate_each(self) -> Tensor:
        """KL(q || p) of each element: in closed form where there is one, by the draw otherwise."""
        closed = self.q.kl_each(self.p)
        if closed is not None:
            return closed
        if not (isinstance(self.q, Factorised) and isinstance(self.p, Factorised)):
            raise UserError(
                "this posterior and prior have no rate per dimension; use a normal prior, or the rate as a whole"
            )
        return self.q.log_each(self.z) - self.p.log_each(self.z)

    @cached_property
    def log_ratio(self) -> Tensor:
        """log p(z) - log q(z|x) at the draw, one number per datum and sample."""
        if not self.q.has_density:
            raise UserError(
                "an autoencoder whose code is a point has no rate and no likelihood; "
                "give it a posterior, e.g. model.posterior=normal and a rate among its terms"
            )
        if not self.p.has_density:
            raise UserError("this prior can only be drawn from, and a rate needs its density; use prior=normal")
        return self.p.log_prob(self.z) - self.q.log_prob(self.z)

    @cached_property
    def rate(self) -> Tensor:
        """KL(q || p), one number per datum, without the noise of the draw where that is possible."""
        closed = self.q.kl_each(self.p)
        return -self.log_ratio if closed is None else sum_event(closed, self.q.event)


@dataclass
class Inference:
    """p(x|z) and the latents. `model` is who said it, for terms that weigh its parameters."""

    x: Tensor
    likelihood: Distribution
    latents: list[Latent]
    model: nn.Module

    @cached_property
    def distortion(self) -> Tensor:
        """-log p(x|z)."""
        return -self.likelihood.log_prob(self.x)

    @cached_property
    def rate(self) -> Tensor:
        """KL of all latents together."""
        first, *rest = [latent.rate for latent in self.latents]
        return sum(rest, start=first)

    @cached_property
    def log_weight(self) -> Tensor:
        """log p(x, z) - log q(z|x): the importance weight of each draw, whose mean of exponentials is p(x)."""
        return sum((latent.log_ratio for latent in self.latents), start=-self.distortion)

    @property
    def has_rate(self) -> bool:
        """Whether the code is a distribution rather than a point."""
        return all(latent.q.has_density for latent in self.latents)

    def costs(self) -> dict[str, Tensor]:
        """Distortion, rate and their sum, minus the ELBO, of each datum, whatever terms weigh; of a point no rate."""
        distortion = self.distortion.mean(0)
        if not self.has_rate:
            return {"distortion": distortion, "loss": distortion}
        rate = self.rate if self.rate.dim() < 2 else self.rate.mean(0)
        return {"distortion": distortion, "rate": rate, "loss": distortion + rate}

    def measures(self) -> dict[str, Tensor]:
        """Distortion and rate as one number each, for the log."""
        said = {"distortion": self.distortion.detach().mean()}
        return said | ({"rate": self.rate.detach().mean()} if self.has_rate else {})
