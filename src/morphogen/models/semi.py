"""M2 of "Semi-supervised learning with deep generative models" (Kingma, Mohamed, Rezende and Welling 2014): a code and
a class make an example; where the class is not known, it is inferred as the code is.

    known y:    L(x, y) = -log p(x|y,z) - log p(y) + KL(q(z|x,y) || p(z)),  z from q(z|x,y)
    unknown y:  U(x) = sum over y of q(y|x) (L(x, y) + log q(y|x))

q(y|x) is a `classifier`, whose lessons are added: with `taught` alone and views that change nothing, it is M2 itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, cast

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from morphogen.core.batch import Batch
from morphogen.core.build import AnyModel, Family, Net, Prior, part, register
from morphogen.core.conditional import Conditional, one_hot
from morphogen.core.distribution import Choice, Distribution, tempered
from morphogen.core.inference import Inference, Latent
from morphogen.core.model import Model, Turn
from morphogen.core.schedule import Weight, schedule
from morphogen.core.space import Space, Vector
from morphogen.errors import UserError
from morphogen.families import natural
from morphogen.models.classifier import classifier as Namer
from morphogen.models.classifier import wrong

__all__ = ["semi"]


@register("models")
class semi(Model):
    """A code and a class, p(x|y,z), inferred by q(y|x) and q(z|x,y); learns from labels and from examples without one.

    A code as `encode` gives it is z and, behind it, how likely each class is.

    classifier: the model of q(y|x)
    weight: weight of the bound beside the classifier's lessons; a number or a schedule
    """

    blanks: ClassVar[bool] = True
    labels: Vector

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        latent: PositiveInt = 50,
        net: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        decoder: Net | None = None,
        posterior: Family = "normal",  # type: ignore[assignment]
        likelihood: Family | None = None,
        prior: Prior = "normal",  # type: ignore[assignment]
        classifier: AnyModel = "classifier",  # type: ignore[assignment]
        weight: Weight = 1.0,
    ) -> None:
        super().__init__()
        namer = classifier(space, labels)
        if not isinstance(namer, Namer):
            raise UserError(f"semi needs a model that names classes; use classifier = classifier, not {classifier.use}")
        self.namer, self.labels = namer, namer.labels
        self.space, self.weight = space, schedule(weight)
        self.style, self.code = Vector(latent), Vector(latent + self.labels.length)
        likelihood = likelihood or part("families", natural(space))
        self.posterior = Conditional(net, posterior, space, self.style, self.labels)
        self.likelihood = Conditional(decoder or net, likelihood, self.style, space, self.labels)
        self.prior = prior(self.style, space)

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels, so that bits mean something."""
        return self.likelihood.family.mass

    def classify(self, x: Tensor) -> Tensor:
        """log q(y|x)."""
        return self.namer.classify(x)

    def costs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """-log p(x|y,z), and KL(q(z|x,y) || p(z)), for every class, (classes, n)."""
        n, kinds = len(x), self.labels.length
        given = one_hot(self.labels, torch.arange(kinds, device=x.device).repeat_interleave(n))
        q = self.posterior(x.expand(kinds, *x.shape), given)
        latent = Latent(q.sample(), q, self.prior(self.posterior))
        said: Distribution = self.likelihood(latent.z, given)
        return -said.log_prob(x), latent.rate

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        lecture = self.namer.lecture(batch)
        distortion, rate = self.costs(batch.x)
        each = (distortion + rate + math.log(self.labels.length)).T
        told = each.gather(1, lecture.y.clamp_min(0)[:, None]).squeeze(1)
        untold = (lecture.said.exp() * (each + lecture.said)).sum(1)
        bound = (lecture.weights * torch.where(lecture.known, told, untold)).mean()
        lessons = self.namer.cost(lecture, step).mean()
        log = {"bound": bound.detach(), "lessons": lessons.detach()}
        yield Turn("model", self.weight(step) * bound + lessons, log=log)

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """U of each example, whether its label is known or not, in parts; and which are named wrongly."""
        said = self.classify(batch.x)
        chance, (distortion, rate) = said.exp(), (cost.T for cost in self.costs(batch.x))
        lost = (chance * distortion).sum(1)
        bits = (chance * (rate + said + math.log(self.labels.length))).sum(1)
        return {"error": wrong(said, batch.y), "distortion": lost, "rate": bits, "loss": lost + bits}

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Inference:
        """What the model says about x, with `samples` draws of its class and code; the class is never told."""
        said = self.classify(x)
        q = Choice(said)
        kind = Latent(q.sample((samples,)), q, Choice(torch.full_like(said, -math.log(self.labels.length))))
        given = kind.z.flatten(0, 1) * math.sqrt(self.labels.length)
        q_z = self.posterior(x.expand(samples, *x.shape), given)
        latent = Latent(q_z.sample(), q_z, self.prior(self.posterior))
        return Inference(x, self.likelihood(latent.z, given), [kind, latent], self)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of q(z|x,y), and y; where y is not known, that which is likeliest."""
        likeliest = self.classify(x).argmax(1)
        y = likeliest if y is None else torch.where(y < 0, likeliest, y)
        q: Distribution = self.posterior(x, one_hot(self.labels, y))
        return torch.cat([q.centre, F.one_hot(y, self.labels.length).to(q.centre.dtype)], 1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the likelihood, of the class that is told, or that the code says."""
        style, kind = z[..., : self.style.length], z[..., self.style.length :]
        if y is not None:
            kind = torch.where((y < 0)[:, None], kind, F.one_hot(y.clamp_min(0), self.labels.length).to(kind.dtype))
        likelihood: Distribution = self.likelihood(style, kind * math.sqrt(self.labels.length))
        return likelihood.centre

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples; where no class is told, all of them in turn."""
        z = tempered(self.prior(self.posterior), n, temperature)
        y = torch.arange(n, device=z.device) % self.labels.length if y is None else y
        return cast("Tensor", self.likelihood(z, one_hot(self.labels, y)).centre)
