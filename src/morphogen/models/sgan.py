"""A critic that names classes, of which one is "made up" (Salimans et al. 2016, "Improved techniques for training
GANs"; Odena 2016, "Semi-supervised learning with generative adversarial networks").

    Z(x) = sum over k of exp l_k(x);  p(real) = Z / (Z + 1),  p(k | real) = exp l_k / Z

The generator matches what the critic sees: the mean of its features over real examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, cast

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from morphogen.core.batch import BLANK, Batch
from morphogen.core.build import Augment, Family, Net, Prior, register
from morphogen.core.conditional import Conditional, must_be_smooth
from morphogen.core.critic import held
from morphogen.core.distribution import tempered
from morphogen.core.game import Augment as Glasses
from morphogen.core.model import Model, Turn
from morphogen.core.precision import at_least_single
from morphogen.core.schedule import Weight, schedule
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError
from morphogen.models.classifier import surprise, wrong

__all__ = ["sgan"]


@register("models")
class sgan(Model):
    """A generator and a critic that names classes, learned from few labels; examples without one must be of some class.

    `taught`: how a labelled example weighs; `features`: numbers in which real and made-up examples are compared.

    taught: weight of the labelled examples' loss; a number or a schedule
    """

    players: ClassVar[Mapping[str, str]] = {"critic": "critic.*", "generator": "*"}
    blanks: ClassVar[bool] = True
    labels: Vector

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        latent: PositiveInt = 64,
        net: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        critic: Net | None = None,
        features: PositiveInt = 128,
        family: Family = "squashed",  # type: ignore[assignment]
        prior: Prior = "normal",  # type: ignore[assignment]
        augment: Augment = "none",  # type: ignore[assignment]
        taught: Weight = 1.0,
    ) -> None:
        super().__init__()
        if labels is None:
            raise UserError("sgan names classes: give data with labels, of some examples at least, of two classes")
        self.space, self.code, self.labels, self.taught = space, Vector(latent), labels, schedule(taught)
        self.generator = Conditional(net, family, self.code, space)
        must_be_smooth(self.generator, "sgan")
        self.prior = prior(self.code, space)
        seen, said = (critic or net)(space, Vector(features)), nn.Linear(features, labels.length)
        self.critic = nn.ModuleDict({"seen": seen, "said": said})
        self.augment: Glasses = augment(space)

    def see(self, x: Tensor) -> Tensor:
        """The critic's features of examples."""
        return F.leaky_relu(cast("Tensor", self.critic["seen"](x, None)), 0.2)

    def weigh(self, features: Tensor) -> Tensor:
        """l_k of what was seen."""
        said: Tensor = self.critic["said"](features)
        return at_least_single(said)

    def classify(self, x: Tensor) -> Tensor:
        """log p(k | x, real)."""
        return torch.log_softmax(self.weigh(self.see(x)), 1)

    def make(self, n: int) -> Tensor:
        """Examples of draws of the prior."""
        return self.decode(self.prior(self.generator).sample((n,)))

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        fake = self.make(len(batch))
        yield self.critics_turn(batch, fake.detach(), step)
        with held(self.critic):
            apart = (self.see(self.augment(batch.x)).mean(0).detach() - self.see(self.augment(fake)).mean(0)).square()
        yield Turn("generator", apart.mean())

    def critics_turn(self, batch: Batch, fake: Tensor, step: int) -> Turn:
        """Naming what has a label, and telling real from made up: -log Z/(Z + 1) and -log 1/(Z + 1)."""
        real, made = (self.weigh(self.see(self.augment(x))) for x in (batch.x, fake))
        told = F.softplus(-real.logsumexp(1)) + F.softplus(made.logsumexp(1))
        y = torch.full((len(real),), BLANK, device=real.device) if batch.y is None else batch.y
        named = surprise(torch.log_softmax(real, 1), y).nan_to_num(0.0)
        log = {"critic/real": real.detach().logsumexp(1).mean(), "critic/fake": made.detach().logsumexp(1).mean()}
        heard = self.augment.learn(real.logsumexp(1), made.logsumexp(1))
        return Turn("critic", (told + self.taught(step) * named).mean(), log=log | dict(heard))

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """Which classes are wrong, and what labels cost; of examples without one, neither."""
        said = self.classify(batch.x)
        return {"error": wrong(said, batch.y), "loss": surprise(said, batch.y)}

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The example of a code, which knows no class."""
        return cast("Tensor", self.generator(z).centre)

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples, of any class."""
        return self.decode(tempered(self.prior(self.generator), n, temperature))
