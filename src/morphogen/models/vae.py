"""The variational autoencoder (Kingma and Welling 2014; Rezende, Mohamed and Wierstra 2014): prior x posterior x
likelihood x terms. A plain autoencoder, the beta-VAE, IWAE, the label-conditional VAE and their kin are recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn import ModuleList

from morphogen.core.batch import Batch
from morphogen.core.build import Augment, Family, Net, Prior, Term, part, register
from morphogen.core.conditional import Conditional, one_hot
from morphogen.core.distribution import Distribution, tempered
from morphogen.core.inference import Inference, Latent
from morphogen.core.model import Model, Turn
from morphogen.core.schedule import Count, schedule
from morphogen.core.space import Space, Vector
from morphogen.core.term import Term as Cost
from morphogen.core.worded import one_of, shown
from morphogen.errors import UserError
from morphogen.families import natural

__all__ = ["vae"]


@register("models")
class vae(Model):
    """A code with a prior, a posterior that infers it, a likelihood that decodes it, terms that say what is wanted.

    `damages`: the posterior sees examples through one of these, drawn for each batch, while the likelihood says what
    they were (Im, Ahn, Memisevic and Bengio 2017, "Denoising criterion for variational auto-encoding framework").

    samples: draws of the code for each example; a number or a schedule
    labelled: whether the model is conditioned on labels
    augment: how training examples are changed before they are encoded; none: not at all
    damages: damages that the encoder sees and the decoder undoes (denoising), e.g. noise=0.2
    """

    players: ClassVar[Mapping[str, str]] = {"critic": "terms.*.critic.*", "model": "*"}  # a duel brings a critic

    def __init__(
        self,
        space: Space,
        labels: Vector | None = None,
        /,
        *,
        latent: PositiveInt = 32,
        net: Net = "mlp",  # type: ignore[assignment]  # a default may be a name, as in a recipe
        decoder: Net | None = None,
        posterior: Family = "normal",  # type: ignore[assignment]
        likelihood: Family | None = None,
        prior: Prior = "normal",  # type: ignore[assignment]
        terms: list[Term] = ["distortion", "rate"],  # type: ignore[list-item]  # noqa: B006  (never written to)
        samples: Count = 1,
        labelled: bool = False,
        augment: Augment | None = None,
        damages: list[str] = [],  # noqa: B006
    ) -> None:
        super().__init__()
        self.damages = shown(damages, space) if damages else ()
        if labelled and labels is None:
            raise UserError(
                "a labelled model needs data with labels: two or more class folders, or y beside x in an .npz"
            )
        self.space, self.code, self.samples = space, Vector(latent), schedule(samples)
        self.labels = labels if labelled else None
        likelihood = likelihood or part("families", natural(space))
        self.posterior = Conditional(net, posterior, space, self.code, self.labels)
        self.likelihood = Conditional(decoder or net, likelihood, self.code, space, self.labels)
        self.prior = prior(self.code, space)
        self.augment = augment(space) if augment else None
        self.terms = cast("Sequence[Cost]", ModuleList(term(space) for term in terms))
        for term in self.terms:
            term.join(self)

    def condition(self, y: Tensor | None) -> Tensor | None:
        """Labels as the networks take them."""
        return one_hot(self.labels, y)

    @property
    def mass(self) -> bool:
        """Whether it gives probabilities to the data's own levels, so that bits mean something."""
        return self.likelihood.family.mass

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1, seen: Tensor | None = None) -> Inference:
        """What the model says about x, with `samples` draws of its code; of x as it was `seen`, where that differs."""
        given = self.condition(y)
        q = self.posterior(x if seen is None else seen, given)
        z = q.sample((samples,))
        return Inference(x, self.likelihood(z, given), [Latent(z, q, self.prior(self.posterior))], self)

    def seen(self, x: Tensor) -> Tensor:
        """x as the posterior sees it in training."""
        if not self.damages:
            return x
        damage = one_of(self.damages, x)
        return damage.guess(damage(x))

    def play(self, batch: Batch, step: int) -> Iterator[Turn]:
        x = batch.x if self.augment is None else self.augment(batch.x)
        inference = self.infer(x, batch.y, int(self.samples(step)), self.seen(x))
        for term in self.terms:
            yield from term.rehearse(inference, step)
        costs = [term.weight(step) * term(inference, step).mean() for term in self.terms]
        yield Turn("model", sum(costs[1:], start=costs[0]), log=inference.measures())

    def review(self, batch: Batch) -> dict[str, Tensor]:
        """What each datum costs, in parts."""
        return self.infer(batch.x, batch.y, seen=self.seen(batch.x)).costs()

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the posterior."""
        q: Distribution = self.posterior(x, self.condition(y))
        return q.centre

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The centre of the likelihood."""
        return self.spoken(z, y).centre

    def spoken(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z)."""
        likelihood: Distribution = self.likelihood(z, self.condition(y))
        return likelihood

    def sample(self, n: int, y: Tensor | None = None, temperature: float = 1.0) -> Tensor:
        """New examples; a conditional model without given labels goes through them in turn."""
        z = tempered(self.prior(self.posterior), n, temperature)
        if self.labels is not None and y is None:
            y = torch.arange(n, device=z.device) % self.labels.length
        said = self.spoken(z, y)
        return said.sample() if self.likelihood.family.drawn else said.centre
