"""M1 + M2 (Kingma, Mohamed, Rezende and Welling 2014): a model of examples, and upon draws of its codes another model.

The lower one learns as if it were alone, and no gradient of the upper one reaches it. In the paper it is a VAE that was
trained before: `model.until=0` and `train.start=RUN` take one from a run; otherwise it learns along, `until` a step.

A code that says nothing of examples is noise to the upper one. Kingma's program drops those whose centre has a standard
deviation of less than 0.1 over examples; here `codes` says how many stay, and which they are is seen in what the lower
model makes and reads again, so that it does not depend on a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Protocol, cast, runtime_checkable

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import AnyModel, register
from morphogen.core.model import Classifies, Decodes, Encodes, Model, Samples, Scores, Turn, teams
from morphogen.core.noise import Noise
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["stacked"]

TRIED = 1000  # examples by which codes are chosen, as many as Kingma's program looks at


class Plays(Protocol):
    """Learns by itself."""

    def play(self, batch: Batch, step: int) -> Iterator[Turn]: ...

    def review(self, batch: Batch) -> dict[str, Tensor]: ...


@runtime_checkable
class Lower(Encodes, Decodes, Samples, Scores, Plays, Protocol):
    """What stands below: it says how the code of an example is distributed, decodes it, and draws."""


@runtime_checkable
class Upper(Encodes, Decodes, Samples, Classifies, Plays, Protocol):
    """What stands above: it names classes of codes."""

    labels: Vector


@register("models")
class stacked(Model):
    """A model upon the codes of another: the lower sees examples, the upper draws of the lower's codes, and labels.

    lower: the model of examples
    upper: the model of the lower one's codes, and of labels
    until: step up to which the lower model is trained; none: both to the end
    codes: how many of the lower's codes the upper model sees, those that say most; none: all
    """

    players: ClassVar[Mapping[str, str]] = {"lower": "lower.*", "upper": "*"}
    blanks: ClassVar[bool] = True
    labels: Vector

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        lower: AnyModel = "vae",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        upper: AnyModel = "semi",  # type: ignore[assignment]
        until: NonNegativeInt | None = None,
        codes: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.space, self.until = space, until
        below = lower(space, None)
        if not isinstance(below, Lower):
            raise UserError(f"model.lower = {lower.use} does not score, encode and decode examples; give vae, say")
        shown = below.code if codes is None else _fewer(below.code, codes, until)
        above = upper(shown, labels)
        if not isinstance(above, Upper):
            raise UserError(f"model.upper = {upper.use} does not name classes, encode and decode; give semi")
        _alone(below, "lower")
        _alone(above, "upper")
        self.lower, self.upper = below, above
        self.labels, self.code = above.labels, above.code
        self.kept: Tensor | None
        self.register_buffer("kept", None if codes is None else torch.arange(codes))

    @torch.no_grad()
    def choose(self) -> None:
        """Keep the codes whose centres vary most over what the lower model makes."""
        if self.kept is not None:
            lower = cast("Model", self.lower)
            training, _ = lower.training, lower.eval()
            with noise.source(Noise(0, "codes that say something")):
                spread = self.lower.encode(self.lower.sample(TRIED)).std(0)
            self.kept.copy_(spread.topk(len(self.kept)).indices.sort().values)
            lower.train(training)

    def shown(self, codes: Tensor) -> Tensor:
        """Of the lower's codes, those that the upper model sees."""
        return codes if self.kept is None else codes[:, self.kept]

    def whole(self, shown: Tensor) -> Tensor:
        """Codes for the lower model: where the upper one says nothing, the middle of the prior."""
        if self.kept is None:
            return shown
        codes = shown.new_zeros(len(shown), *self.lower.code.shape)
        codes[:, self.kept] = shown
        return codes

    def draws(self, x: Tensor) -> Tensor:
        """A draw of each example's code from the lower posterior."""
        with torch.no_grad():
            return self.shown(self.lower.infer(x).latents[0].z[0])

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        if step == 0:
            self.choose()
        if self.until is None or step < self.until:
            for turn in self.lower.play(batch, step):
                yield replace(turn, player="lower")
        codes = replace(batch, x=self.draws(batch.x))
        for turn in self.upper.play(codes, step):
            yield replace(turn, player="upper")

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What the upper model says of the middle of each code; the cost of the lower, apart."""
        codes = replace(batch, x=self.shown(self.lower.encode(batch.x)))
        return {"lower": self.lower.review(batch)["loss"]} | self.upper.review(codes)

    def classify(self, x: Tensor) -> Tensor:
        """log q(y| the middle of the code of x)."""
        return self.upper.classify(self.shown(self.lower.encode(x)))

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The code of the code."""
        return self.upper.encode(self.shown(self.lower.encode(x)), y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The example of the code of the code."""
        return self.lower.decode(self.whole(self.upper.decode(z, y)))

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples; where no class is told, all of them in turn."""
        return self.lower.decode(self.whole(self.upper.sample(n, y, temperature)))


def _fewer(code: Space, codes: int, until: int | None) -> Vector:
    """A space of so many of the codes."""
    if until != 0:
        raise UserError(
            "model.codes chooses among those of a model that was trained before; set until=0 and train.start"
        )
    if not isinstance(code, Vector) or codes > code.length:
        raise UserError(f"model.codes = {codes}, and the lower model has a code of {tuple(code.shape)}; give fewer")
    return Vector(codes)


def _alone(model: Lower | Upper, place: str) -> None:
    """Refuse a model of several players: whose turn is whose could not be told."""
    if isinstance(model, Model) and len(teams(model)) > 1:
        raise UserError(f"model.{place} has several players; give one that plays alone, without a critic")
