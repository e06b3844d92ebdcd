"""q(y|x), alone: a network that names classes, the views through which it learns, and its lessons. With all labels and
`taught` it is a supervised net; with few labels and `agreement`, of the kin of FixMatch (Sohn et al. 2020) and UDA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import ModuleList

from morphogen.core.batch import BLANK, Batch
from morphogen.core.build import Augment, Lesson, Net, register
from morphogen.core.lesson import Lecture
from morphogen.core.lesson import Lesson as Cost
from morphogen.core.model import Model, Turn
from morphogen.core.precision import at_least_single
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError

__all__ = ["classifier"]


@register("models")
class classifier(Model):
    """Says how likely each class is, and learns it from labels and from examples without one.

    `weak` and `strong` are how examples are changed: a little, to hear what is said of them, and much, to learn it.

    weak: augmentation under which targets are made
    strong: augmentation under which they are learned
    lessons: what is learned from: taught (labels), agreement, entropy
    """

    blanks: ClassVar[bool] = True
    labels: Vector

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        net: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        weak: Augment = "none",  # type: ignore[assignment]
        strong: Augment = "none",  # type: ignore[assignment]
        lessons: list[Lesson] = ["taught"],  # type: ignore[list-item]  # noqa: B006  (never written to)
    ) -> None:
        super().__init__()
        if labels is None:
            raise UserError(
                "classes are learned from labels, of two classes at least: give class folders, a table "
                "(data.table=labels.csv), or y beside x in an .npz; of some examples is enough"
            )
        if not lessons:
            raise UserError("a classifier without lessons learns nothing; give model.lessons=['taught'], say")
        self.space, self.labels = space, labels
        self.net: nn.Module = net(space, Vector(labels.length))
        self.weak, self.strong = weak(space), strong(space)
        self.lessons = cast("Sequence[Cost]", ModuleList(lesson(space, labels) for lesson in lessons))

    def classify(self, x: Tensor) -> Tensor:
        """log q(y|x)."""
        said: Tensor = self.net(x, None)
        return torch.log_softmax(at_least_single(said), 1)

    def lecture(self, batch: Batch) -> Lecture:
        """A batch as it is learned from."""
        x, y = batch.x, batch.y
        if y is None:
            y = torch.full((len(x),), BLANK, dtype=torch.int64, device=x.device)
        return Lecture(x, y, self.classify, self.weak, self.strong, batch.guesses, batch.labelled)

    def cost(self, lecture: Lecture, step: int) -> Tensor:
        """What all lessons together cost each example."""
        costs: list[Tensor] = [lesson.weight(step) * lesson(lecture, step) for lesson in self.lessons]
        return sum(costs[1:], start=costs[0])

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        lecture = self.lecture(batch)
        cost = self.cost(lecture, step).mean()
        sure = lecture.said.detach().max(1).values.exp().mean()
        yield Turn("model", cost, log={"sure": sure})

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """Which classes are wrong, and what labels cost; of examples without one, neither."""
        said = self.classify(batch.x)
        return {"error": wrong(said, batch.y), "loss": surprise(said, batch.y)}


def wrong(said: Tensor, y: Tensor | None) -> Tensor:
    """1 where the likeliest class is not y, 0 where it is, NaN where y is not known."""
    known = torch.full_like(said[:, 0], torch.nan)
    return known if y is None else torch.where(y < 0, known, (said.argmax(1) != y).to(said.dtype))


def surprise(said: Tensor, y: Tensor | None) -> Tensor:
    """-log q(y|x), NaN where y is not known."""
    known = torch.full_like(said[:, 0], torch.nan)
    return known if y is None else torch.where(y < 0, known, -said.gather(1, y.clamp_min(0)[:, None]).squeeze(1))
