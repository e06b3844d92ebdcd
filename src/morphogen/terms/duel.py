"""A game as a term: what a critic says of pictures or of codes becomes a cost (Larsen et al. 2016, "Autoencoding beyond
pixels using a learned similarity metric"; Makhzani et al. 2016, "Adversarial autoencoders")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.nn import ModuleList

from morphogen.core import game as rules
from morphogen.core import noise
from morphogen.core.build import Augment, Game, Net, Penalty, register
from morphogen.core.conditional import must_be_smooth
from morphogen.core.critic import Critic, held
from morphogen.core.game import Bout
from morphogen.core.inference import Inference
from morphogen.core.model import Model, Turn
from morphogen.core.precision import at_least_single
from morphogen.core.schedule import Weight
from morphogen.core.space import Space
from morphogen.core.term import Term
from morphogen.errors import UserError

__all__ = ["Duel", "duel", "latent_duel"]


class Duel(Term):
    """A critic trains itself before the model moves; what it then says is a cost."""

    critic: Critic
    game: rules.Game
    penalties: Sequence[rules.Penalty]

    def judge_by(self, critic: Critic, game: Game, penalties: Sequence[Penalty], space: Space) -> None:
        """Take a critic, by these rules."""
        self.critic, self.game = critic, game()
        self.penalties = cast("Sequence[rules.Penalty]", ModuleList(penalty(space) for penalty in penalties))
        for penalty in self.penalties:
            penalty.fit(critic)

    def seen(self, x: Tensor) -> Tensor:
        """Examples as the critic sees them."""
        return x

    def ask(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The critic's score."""
        score: Tensor = self.critic(self.seen(x))
        return score

    def bout(self, real: Tensor, fake: Tensor, step: int) -> Turn:
        """The critic's own turn."""
        due = [penalty for penalty in self.penalties if penalty.due(step)]
        slopes = any(penalty.slopes for penalty in due)
        real, fake = (at_least_single(x.detach()).requires_grad_(slopes) for x in (real, fake))
        bout = Bout(self.ask, real, fake, None, self.ask(real), self.ask(fake))
        cost = self.game.critic(bout.said_real, bout.said_fake).mean()
        for penalty in due:
            cost = cost + penalty.owed(step, bout).mean()
        right = self.game.right(bout.said_real, bout.said_fake).detach()
        return Turn("critic", cost, log={"critic/right": right} | dict(self.heard(bout)))

    def heard(self, bout: Bout) -> Mapping[str, Tensor]:
        """What is learned of what the critic said, beside its own turn."""
        return {}

    def cost(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the model pays for what the critic says of its work."""
        with held(self.critic):
            said = self.ask(fake)
            with torch.no_grad():
                against = self.ask(real) if self.game.pairs else said
            return self.game.generator(against, said)


@register("terms")
class duel(Duel):
    """A critic of examples: half of what it is shown is reconstructed, half drawn from the prior. `similarity` weighs
    the squared distance between its features of an example and of the reconstruction, the learned similarity.

    similarity: weight of the reconstruction error in the critic's features
    """

    def __init__(
        self,
        space: Space,
        /,
        *,
        critic: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        features: PositiveInt = 128,
        game: Game = "nonsaturating",  # type: ignore[assignment]
        penalties: list[Penalty] = ["r1"],  # type: ignore[list-item]  # noqa: B006  (never written to)
        augment: Augment = "none",  # type: ignore[assignment]
        similarity: NonNegativeFloat = 1.0,
        weight: Weight = 1.0,
    ) -> None:
        if space.kind == "tokens":
            raise UserError("a duel learns through examples, and tokens have no values between them; use latent-duel")
        super().__init__(space, weight)
        self.judge_by(Critic(critic, space, features), game, penalties, space)
        self.augment: rules.Augment = augment(space)
        self.similarity = similarity

    def join(self, model: Model) -> None:
        if getattr(model, "labels", None) is not None:
            raise UserError("the critic of a duel takes no labels: set model.labelled=false, or use a conditional gan")
        must_be_smooth(cast("Any", model).likelihood, "duel")

    def seen(self, x: Tensor) -> Tensor:
        said: Tensor = self.augment(x)
        return said

    def heard(self, bout: Bout) -> Mapping[str, Tensor]:
        return self.augment.learn(bout.said_real, bout.said_fake)

    def rehearse(self, inference: Inference, step: int) -> Iterator[Turn]:
        yield self.bout(inference.x, self.made(inference), step)

    def made(self, inference: Inference) -> Tensor:
        """What the decoder makes of codes, or of draws from the prior, as a coin falls; as in the paper, the encoder
        does not learn from what the critic says of it."""
        latent = inference.latents[0]
        drawn = latent.p.sample((len(inference.x),))
        coin = noise.uniform((len(drawn), 1), event=1, like=drawn) < 0.5
        z = torch.where(coin, latent.z[0].detach(), drawn)
        said: Tensor = cast("Any", inference.model).likelihood(z).centre
        return said

    def forward(self, inference: Inference, step: int) -> Tensor:
        cost = self.cost(inference.x, self.made(inference))
        if not self.similarity:
            return cost
        with torch.no_grad():
            features = self.critic.features(inference.x)
        with held(self.critic):
            apart = at_least_single(self.critic.features(inference.likelihood.centre[0]) - features).square().sum(1)
        return cost + self.similarity * apart


@register("terms", "latent-duel")
class latent_duel(Duel):
    """A critic of codes, to which draws of the prior are real and codes of examples made up: in place of a rate."""

    def __init__(
        self,
        space: Space,
        /,
        *,
        critic: Net = "mlp",  # type: ignore[assignment]
        features: PositiveInt = 64,
        game: Game = "nonsaturating",  # type: ignore[assignment]
        penalties: list[Penalty] = ["r1"],  # type: ignore[list-item]  # noqa: B006
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(space, weight)
        self.made_of = (critic, features, game, penalties)

    def join(self, model: Model) -> None:
        critic, features, game, penalties = self.made_of
        code: Space = cast("Any", model).code
        self.judge_by(Critic(critic, code, features), game, penalties, code)

    def rehearse(self, inference: Inference, step: int) -> Iterator[Turn]:
        yield self.bout(*self.codes(inference), step)

    def forward(self, inference: Inference, step: int) -> Tensor:
        return self.cost(*self.codes(inference))

    def codes(self, inference: Inference) -> tuple[Tensor, Tensor]:
        """Draws of the prior, and codes of the batch."""
        latent = inference.latents[0]
        return latent.p.sample((len(inference.x),)), latent.z[0]
