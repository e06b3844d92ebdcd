"""Inference learned by the game itself (Donahue, Krähenbühl and Darrell 2017, "Adversarial feature learning"; Dumoulin
et al. 2017, "Adversarially learned inference"): a critic sees pairs of an example and a code, and must say which of the
two was made of the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

from pydantic import PositiveInt
from torch import Tensor
from torch.nn import ModuleList

from morphogen.core import game as rules
from morphogen.core.batch import Batch
from morphogen.core.build import Family, Game, Net, Penalty, Prior, register
from morphogen.core.conditional import Conditional, must_be_smooth
from morphogen.core.critic import Critic, held
from morphogen.core.distribution import Distribution, tempered
from morphogen.core.game import Bout
from morphogen.core.model import Model, Turn
from morphogen.core.space import Space, Vector

__all__ = ["bigan"]


@register("models")
class bigan(Model):
    """An encoder and a generator on one side, a critic of pairs (example, code) on the other."""

    players: ClassVar[Mapping[str, str]] = {"critic": "critic.*", "model": "*"}

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
        posterior: Family = "normal",  # type: ignore[assignment]
        prior: Prior = "normal",  # type: ignore[assignment]
        game: Game = "nonsaturating",  # type: ignore[assignment]
        penalties: list[Penalty] = ["r1"],  # type: ignore[list-item]  # noqa: B006  (never written to)
    ) -> None:
        super().__init__()
        self.space, self.code = space, Vector(latent)
        self.generator = Conditional(net, family, self.code, space)
        must_be_smooth(self.generator, "bigan")
        self.posterior = Conditional(net, posterior, space, self.code)
        self.prior = prior(self.code, space)
        self.critic = Critic(critic or net, space, features, beside=self.code)
        self.game: rules.Game = game()
        self.penalties = cast("Sequence[rules.Penalty]", ModuleList(penalty(space) for penalty in penalties))
        for penalty in self.penalties:
            penalty.fit(self.critic)

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        z = self.prior(self.posterior).sample((len(batch),))
        made, code = self.decode(z), self.posterior(batch.x).sample()
        yield self.critics_turn(batch.x, code.detach(), made.detach(), z, step)
        yield self.models_turn(batch.x, code, made, z)

    def critics_turn(self, x: Tensor, code: Tensor, made: Tensor, z: Tensor, step: int) -> Turn:
        """Telling an example with its code from a code with its example."""
        due = [penalty for penalty in self.penalties if penalty.due(step)]
        slopes = any(penalty.slopes for penalty in due)
        x, made = x.detach().requires_grad_(slopes), made.requires_grad_(slopes)
        said_real, said_fake = self.critic(x, beside=code), self.critic(made, beside=z)

        def ask(between: Tensor, _: Tensor | None) -> Tensor:  # between a real and a made-up example, with either code
            score: Tensor = self.critic(between, beside=code)
            return score

        bout = Bout(ask, x, made, None, said_real, said_fake)
        cost = self.game.critic(said_real, said_fake).mean()
        for penalty in due:
            cost = cost + penalty.owed(step, bout).mean()
        return Turn("critic", cost, log={"critic/right": self.game.right(said_real, said_fake).detach()})

    def models_turn(self, x: Tensor, code: Tensor, made: Tensor, z: Tensor) -> Turn:
        """The same game with the sides exchanged: either would be taken for the other."""
        with held(self.critic):
            real, fake = self.critic(x, beside=code), self.critic(made, beside=z)
        return Turn("model", self.game.critic(fake, real).mean())

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """How far an example is from what is made of its code."""
        apart = (self.decode(self.encode(batch.x)) - batch.x).square().flatten(1).mean(1)
        return {"reconstruction": apart}

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the posterior."""
        q: Distribution = self.posterior(x)
        return q.centre

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The example of a code."""
        made: Distribution = self.generator(z)
        return made.centre

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples."""
        return self.decode(tempered(self.prior(self.posterior), n, temperature))
