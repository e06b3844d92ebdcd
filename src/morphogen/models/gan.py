"""The generative adversarial network (Goodfellow et al. 2014): prior x generator x critic x game. DCGAN, WGAN-GP, the
conditional GAN, InfoGAN and their kin are recipes; so is R3GAN (Huang et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import ModuleList

from morphogen.core import game as rules
from morphogen.core.batch import Batch
from morphogen.core.build import Augment, Family, Game, Guide, Habit, Net, Penalty, Prior, part, register
from morphogen.core.conditional import Conditional, must_be_smooth, one_hot
from morphogen.core.critic import Critic, held
from morphogen.core.distribution import Distribution, tempered
from morphogen.core.game import Bout
from morphogen.core.model import Model, Turn
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError
from morphogen.models.inversion import descend

__all__ = ["gan"]

PICTURE = 10.0  # how the distance of pictures weighs beside that of codes: a pixel's variance is about a tenth
TRIES = 8  # draws of the prior from which a code is sought, where no encoder guesses one


@register("models")
class gan(Model):
    """A generator makes examples of noise, a critic tells them from real ones, and each learns from the other.

    `steps`: turns of the critic to one of the generator. `encoder`: a net that learns to guess the code of what the
    generator makes, from which `encode` starts; without one it starts from draws of the prior.

    habits: regularisers of the generator, e.g. pathlength
    guides: what generator and critic learn beside the game: auxiliary (ACGAN), information (InfoGAN)
    steps: steps of the critic for each step of the generator
    labelled: whether generator and critic are conditioned on labels
    encoder: net that encodes examples, trained beside the game; none: no codes of examples
    descent: gradient steps that refine a code when an example is encoded
    """

    players: ClassVar[Mapping[str, str]] = {
        "critic": "critic.*", "encoder": "encoder.*", "generator": "*",
    }  # fmt: skip

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
        game: Game = "r3",  # type: ignore[assignment]
        penalties: list[Penalty] = ["r1", "r2"],  # type: ignore[list-item]  # noqa: B006  (never written to)
        habits: list[Habit] = [],  # noqa: B006
        augment: Augment = "none",  # type: ignore[assignment]
        guides: list[Guide] = [],  # noqa: B006
        steps: PositiveInt = 1,
        labelled: bool = False,
        encoder: Net | None = None,
        descent: NonNegativeInt = 200,
    ) -> None:
        super().__init__()
        if labelled and labels is None:
            raise UserError(
                "a labelled model needs data with labels: two or more class folders, or y beside x in an .npz"
            )
        self.space, self.code, self.labels = space, Vector(latent), labels if labelled else None
        self.steps, self.descent = steps, descent
        self.generator = Conditional(net, family, self.code, space, self.labels)
        must_be_smooth(self.generator, "gan")
        self.prior = prior(self.code, space)
        asked = [guide(features, self.code, self.labels) for guide in guides]
        self.critic = Critic(critic or net, space, features, self.labels, guides=asked)
        self.game: rules.Game = game()
        self.penalties = cast("Sequence[rules.Penalty]", ModuleList(penalty(space) for penalty in penalties))
        for penalty in self.penalties:
            penalty.fit(self.critic)
        self.habits = cast("Sequence[rules.Habit]", ModuleList(habit(space) for habit in habits))
        self.augment: rules.Augment = augment(space)
        self.encoder: Conditional | None = None
        if encoder is not None:
            self.encoder = Conditional(encoder, part("families", "point"), space, self.code, self.labels)

    def make(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Examples of codes; `y` as the networks take it."""
        made: Distribution = self.generator(z, y)
        return made.centre

    def ask(self, x: Tensor, y: Tensor | None) -> Tensor:
        """The critic's score of examples, through its glasses."""
        return self.critic(self.augment(x), y)  # type: ignore[no-any-return]

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        y, turn = one_hot(self.labels, batch.y), (step + 1) % self.steps == 0
        z = self.prior(self.generator).sample((len(batch),))
        with torch.set_grad_enabled(turn):
            fake = self.make(z, y)
        yield self.critics_turn(batch.x, fake.detach(), z, y, step)
        if turn:
            yield self.generators_turn(batch.x, fake, z, y, step)
        if self.encoder is not None:
            yield self.encoders_turn(self.encoder, batch.x, fake.detach(), z, y)

    def critics_turn(self, x: Tensor, fake: Tensor, z: Tensor, y: Tensor | None, step: int) -> Turn:
        """Telling real from made up, within the bounds of the penalties."""
        due = [penalty for penalty in self.penalties if penalty.due(step)]
        slopes = any(penalty.slopes for penalty in due)
        x, fake = x.detach().requires_grad_(slopes), fake.requires_grad_(slopes)
        seen = [self.critic.features(self.augment(shown)) for shown in (x, fake)]
        said_real, said_fake = (self.critic.judge(features, y) for features in seen)
        bout = Bout(self.ask, x, fake, y, said_real, said_fake)
        costs = [self.game.critic(said_real, said_fake)]
        costs += [penalty.owed(step, bout) for penalty in due]
        for guide in self.critic.guides:
            asked = (guide.real(seen[0], y), guide.fake(seen[1], y, z))
            costs += [cost for cost in asked if cost is not None]
        log = {
            "critic/right": self.game.right(said_real, said_fake).detach(),
            "critic/real": said_real.detach().mean(),
            "critic/fake": said_fake.detach().mean(),
        }
        return Turn("critic", _mean(costs), log=log | dict(self.augment.learn(said_real, said_fake)))

    def generators_turn(self, x: Tensor, fake: Tensor, z: Tensor, y: Tensor | None, step: int) -> Turn:
        """Being taken for real."""
        with held(self.critic):
            features = self.critic.features(self.augment(fake))
            said = self.critic.judge(features, y)
            with torch.no_grad():
                real = self.ask(x, y) if self.game.pairs else said
            costs = [self.game.generator(real, said)]
            costs += [cost for guide in self.critic.guides if (cost := guide.fake(features, y, z)) is not None]
        costs += [habit.owed(step, self.generator, z, y) for habit in self.habits if habit.due(step)]
        varied = (_apart(fake.detach()) / _apart(x)).clamp_max(100)  # of pictures that are all alike: any number
        return Turn("generator", _mean(costs), log={"diversity": varied})

    def encoders_turn(self, encoder: Conditional, x: Tensor, fake: Tensor, z: Tensor, y: Tensor | None) -> Turn:
        """Guessing the code of what was made, and a code that makes what is real."""
        lost = (encoder(fake, y).centre - z).square().mean(1)
        self.generator.eval()  # so that batch norm, if there is one, neither counts these codes nor depends on them
        apart = (self.make(encoder(x, y).centre, y) - x).square().flatten(1).mean(1)
        self.generator.train()
        return Turn("encoder", _mean([lost, PICTURE * apart]))

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What the critic says of examples that it has not seen, and of made-up ones: nearly the same of both, where it
        has learned its own by heart."""
        y = one_hot(self.labels, batch.y)
        fake = self.make(self.prior(self.generator).sample((len(batch),)), y)
        return {"critic/real": self.critic(batch.x, y), "critic/fake": self.critic(fake, y)}

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The code whose picture is nearest: guessed by the encoder or drawn, then mended by descent."""
        given = one_hot(self.labels, y)
        starts: Tensor
        if self.encoder is not None:
            starts = self.encoder(x, given).centre[None]
        else:
            starts = self.prior(self.generator).sample((TRIES, 1)).expand(-1, len(x), -1)
        if not self.descent or not len(x):
            return starts[0]

        def made(z: Tensor) -> Tensor:  # of as many codes for each x as are tried
            return self.make(z, None if given is None else given.repeat(len(z) // len(x), 1))

        return descend(made, x, starts, steps=self.descent)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The example of a code."""
        return self.make(z, one_hot(self.labels, y))

    def directions(self) -> tuple[Tensor, Tensor]:
        """A code to start from, or one for each row, and the steps that a guide gave a meaning; without such a guide
        those that change most in what the generator makes first of it, the strongest first (Shen and Zhou 2021,
        "Closed-form factorization of latent semantics in GANs"). The start is drawn: the middle of many numbers is a
        place where no code of the prior lies."""
        start = self.prior(self.generator).sample(())
        for guide in self.critic.guides:
            if (told := guide.directions(start)) is not None:
                return told
        layers = (m for m in self.generator.modules() if isinstance(m, nn.Linear) and m.in_features >= self.code.length)
        first = next(layers).weight[:, : self.code.length]
        ways: Tensor = torch.linalg.svd(first.float(), full_matrices=False).Vh
        return start, ways

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples; a conditional model without given labels goes through them in turn."""
        z = tempered(self.prior(self.generator), n, temperature)
        if self.labels is not None and y is None:
            y = torch.arange(n, device=z.device) % self.labels.length
        return self.decode(z, y)


def _mean(costs: Sequence[Tensor]) -> Tensor:
    return sum(costs[1:], start=costs[0]).mean()


def _apart(x: Tensor) -> Tensor:
    """How far examples are from their neighbours in the batch, on average: nothing where all are the same."""
    return (x - x.roll(1, 0)).square().mean().clamp_min(1e-12)
