"""Agreement (Sohn et al. 2020, "FixMatch"; Xie et al. 2020, "Unsupervised data augmentation"): what is surely said of
an example that was changed a little is to be said of it when it was changed much. What is said is first made as even
over the classes as the labels are (Berthelot et al. 2020, "ReMixMatch"), so that no class swallows another. A guess at
the class, as spreading.py makes it, is weighed in as evidence (Lawrence and Schölkopf 2001, "Estimating a kernel Fisher
discriminant in the presence of label noise").

    p(k) ~ q(k|x little changed) (labels' share of k / what is said of k on average) p(guess|k)
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core.batch import BLANK, guess
from morphogen.core.build import register
from morphogen.core.lesson import Lecture, Lesson
from morphogen.core.schedule import Weight
from morphogen.core.space import Space, Vector

__all__ = ["agreement"]

Share = Annotated[float, Field(ge=0, le=1)]


@register("lessons")
class agreement(Lesson):
    """-sum over k of p(k) log q(k|x much changed) where no y is known; p is what is said of x little changed, made
    sharper by `heat` below 1, and counts where it is `sure`. `even`: how much p is pulled to the shares of the labels;
    `doubt`: the chance of a guess to be wrong, with each other class alike.
    """

    said: Tensor
    wanted: Tensor

    def __init__(
        self,
        space: Space,
        labels: Vector,
        /,
        *,
        sure: Annotated[float, Field(ge=0, lt=1)] = 0.95,
        heat: Annotated[float, Field(gt=0, le=1)] = 0.5,
        even: Share = 1.0,
        doubt: Annotated[float, Field(gt=0, lt=1)] = 0.2,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.98,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(space, labels, weight)
        self.sure, self.heat, self.even, self.doubt, self.memory = sure, heat, even, doubt, memory
        for name in ("said", "wanted"):
            self.register_buffer(name, torch.full((labels.length,), 1 / labels.length))

    def forward(self, lecture: Lecture, step: int) -> Tensor:
        heard = lecture.heard.to(self.said.dtype)
        with torch.no_grad():
            p = torch.softmax(heard + self.even * (self.wanted / self.said).log() + self.evidence(lecture.y), 1)
            if self.training:
                self.remember(heard.exp(), lecture)
        target = torch.softmax(p.clamp_min(1e-12).log() / self.heat, 1)
        return -(target * lecture.said).sum(1) * (p.max(1).values >= self.sure) * ~lecture.known

    def evidence(self, guesses: Tensor) -> Tensor:
        """log p(guess | class), (n, classes): 0 where there is no guess."""
        chance = self.said.new_full((len(guesses), len(self.said)), self.doubt / (len(self.said) - 1))
        chance.scatter_(1, guess(guesses).clamp_min(0)[:, None], 1 - self.doubt)
        return chance.log() * (guesses < BLANK)[:, None]

    def remember(self, chances: Tensor, lecture: Lecture) -> None:
        """What is said of all examples, and how many labels there are of each class, on average."""
        self.said.lerp_(chances.mean(0), 1 - self.memory)
        count = torch.zeros_like(self.wanted).index_add_(0, lecture.y.clamp_min(0), lecture.known.to(self.wanted.dtype))
        share = count / count.sum().clamp_min(1)
        self.wanted.lerp_(torch.where(count.sum() > 0, share, self.wanted), 1 - self.memory)
