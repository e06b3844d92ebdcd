"""Agreement between views: what is surely said of an example that was changed a little is to be said of it when it was
changed much. Targets are soft and made sharper (Xie et al. 2020, "Unsupervised data augmentation"), and what is said
is first made as even over the classes as the labels are (Berthelot et al. 2020, "ReMixMatch"), so that no class
swallows another. What was guessed of an example before, as spreading.py does it, is weighed in as evidence of its own.

    p(k) ~ q(k|x little changed) (labels' share of k / what is said of k on average) guess(k)^trust

FixMatch (Sohn et al. 2020) is its limit: even = 0, trust = 0, and a heat so small that a target is the likeliest class.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.lesson import Lecture, Lesson
from morphogen.core.schedule import Weight
from morphogen.core.space import Space, Vector

__all__ = ["agreement"]

FAINT = 1e-3  # no guess rules a class out

Share = Annotated[float, Field(ge=0, le=1)]


@register("lessons")
class agreement(Lesson):
    """-sum over k of p(k) log q(k|x much changed) where no y is known; p is what is said of x little changed, made
    sharper by `heat` below 1, and counts where it is `sure`. `even`: how much p is pulled to the shares of the labels;
    `trust`: what a guess weighs beside what is said.

    sure: probability from which a target counts
    heat: temperature of the targets; below 1 sharpens them
    even: how far targets are pulled to the class frequencies of the labels, 0 to 1
    trust: weight of guesses made before training
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
        trust: Annotated[float, Field(ge=0)] = 2.0,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.98,
        weight: Weight = 1.0,
    ) -> None:
        super().__init__(space, labels, weight)
        self.sure, self.heat, self.even, self.trust, self.memory = sure, heat, even, trust, memory
        for name in ("said", "wanted"):
            self.register_buffer(name, torch.full((labels.length,), 1 / labels.length))

    def forward(self, lecture: Lecture, step: int) -> Tensor:
        heard = lecture.heard.to(self.said.dtype)
        with torch.no_grad():
            p = torch.softmax(heard + self.even * (self.wanted / self.said).log() + self.evidence(lecture.guesses), 1)
            if self.training:
                self.remember(heard.exp(), lecture)
        target = torch.softmax(p.clamp_min(1e-12).log() / self.heat, 1)
        return -(target * lecture.said).sum(1) * (p.max(1).values >= self.sure) * ~lecture.known

    def evidence(self, guesses: Tensor | None) -> Tensor:
        """The log of what was guessed of each example, as far as it is trusted: 0 where nothing was."""
        if guesses is None:
            return torch.zeros_like(self.said)
        chances = guesses.to(self.said.dtype)
        return self.trust * chances.clamp_min(FAINT).log() * (chances.sum(1, keepdim=True) > 0)

    def remember(self, chances: Tensor, lecture: Lecture) -> None:
        """What is said of all examples, and how many labels there are of each class, on average."""
        self.said.lerp_(chances.mean(0), 1 - self.memory)
        count = torch.zeros_like(self.wanted).index_add_(0, lecture.y.clamp_min(0), lecture.known.to(self.wanted.dtype))
        share = count / count.sum().clamp_min(1)
        self.wanted.lerp_(torch.where(count.sum() > 0, share, self.wanted), 1 - self.memory)
