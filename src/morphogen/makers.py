"""New examples of a class from labelled ones, each way one idea. All say what they were made of: rows of the labelled
examples and their weights.

    samples   drawn by a label-conditional model: p(x | class)
    mix       between the codes of two of one class, with a Beta weight (DeVries and Taylor 2017, "Dataset augmentation
              in feature space"; Zhang et al. 2018, "mixup", for the weight)
    jitter    decoded draws from q(z | x), at a temperature (the setting of Chadebec et al. 2022, "Data augmentation in
              high dimensional low sample size setting using a geometry-based VAE")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from morphogen.core import noise
from morphogen.core.model import Samples, Scores
from morphogen.core.noise import Noise
from morphogen.errors import UserError, did_you_mean
from morphogen.examples import ROWS, Data
from morphogen.sides import known, only
from morphogen.values import joined
from morphogen.work import decode_each, device_of

if TYPE_CHECKING:
    from morphogen.abilities import Autoencodes

__all__ = ["MAKERS", "Labelled", "Made", "Maker", "jitter", "mix", "samples"]


@dataclass(frozen=True)
class Made:
    """Examples as a model says them, on the CPU; `sources` are rows of the given examples, -1 where there is none."""

    x: Tensor
    y: Tensor
    sources: Tensor
    weights: Tensor

    def rows(self, chosen: Tensor) -> Made:
        """Some of them."""
        return Made(self.x[chosen], self.y[chosen], self.sources[chosen], self.weights[chosen])

    def __len__(self) -> int:
        return len(self.x)

    @staticmethod
    def joined(parts: list[Made]) -> Made:
        """All of them."""
        fields = zip(*((p.x, p.y, p.sources, p.weights) for p in parts), strict=True)
        return Made(*(torch.cat(field) for field in fields))


@dataclass(frozen=True)
class Labelled:
    """The examples whose class is known, and how a model calls those classes."""

    data: Data
    rows: Tensor  # of the data that was given
    y: Tensor
    told: Tensor | None  # the model's number of each class, for a label-conditional one

    @staticmethod
    def of(data: Data, model: object) -> Labelled:
        """Of given data, for a model; a set of one class has nothing to be told apart."""
        rows, y = known(data)
        kinds = y.bincount().nonzero().flatten()
        if len(kinds) < 2:
            raise UserError(
                f"{data.data.name} ({data.split}) has labels of one class only, and there is nothing to tell apart; "
                "give a set of two classes or more"
            )
        return Labelled(only(data, rows), rows, y, _told(data, model))

    @cached_property
    def of_class(self) -> dict[int, Tensor]:
        """The places of each class that there is, by its number."""
        return {int(kind): (self.y == kind).nonzero().flatten() for kind in self.y.bincount().nonzero().flatten()}

    def names(self, places: Tensor) -> Tensor | None:
        """What the model has to be told of examples at these places."""
        return self.label(self.y[places])

    def label(self, y: Tensor) -> Tensor | None:
        """What the model has to be told of these classes."""
        return None if self.told is None else self.told[y]

    def all(self) -> Tensor:
        """All of them, as a model reads them."""
        return self.read(torch.arange(len(self.y)))

    def read(self, places: Tensor) -> Tensor:
        """The examples at these places, as a model reads them."""
        part = self.data.data.splits[self.data.split]
        x = self.data.data.space.read(part.x.gather(places))
        return x if self.data.data.view is None else self.data.data.view(x)


def _told(data: Data, model: object) -> Tensor | None:
    labels: Any = getattr(model, "labels", None)
    if labels is None:
        return None
    known_names, mine = [str(name) for name in labels.columns], [str(name) for name in data.data.classes]
    for name in mine:
        if name not in known_names:
            raise UserError(
                f"the label-conditional model knows no class {name!r} of {data.data.name}; "
                f"{did_you_mean(name, known_names)}"
            )
    return torch.tensor([known_names.index(name) for name in mine])


Maker = Callable[["Autoencodes", Labelled, Tensor, Noise, float], Made]
"""(model, labelled examples, the class of each that is wanted, what to draw from, how boldly)"""


def samples(model: Autoencodes, given: Labelled, wanted: Tensor, draw: Noise, boldness: float) -> Made:
    """Drawn from the model's own idea of each class; `boldness` is the temperature."""
    y = given.label(wanted)
    if y is None or not isinstance(model, Samples):
        raise UserError(
            "samples of a class need a label-conditional model, and this one is not; give --by mix or --by "
            "jitter, or train conditional-vae"
        )
    pieces, device = [], device_of(model)
    for start, some in zip(range(0, len(wanted), ROWS), torch.split(y, ROWS), strict=True):
        with noise.source(Noise(draw.seed, f"{draw.stream}/samples", draw.step * 1000 + start // ROWS)):
            pieces.append(model.sample(len(some), some.to(device), boldness).cpu())
    nobody = torch.full((len(wanted), 1), -1)
    return Made(joined(pieces), wanted, nobody, torch.zeros(len(wanted), 1))


def mix(model: Autoencodes, given: Labelled, wanted: Tensor, draw: Noise, boldness: float) -> Made:
    """Between two of a class, weights from Beta(boldness, boldness): 1 is anywhere between, 0 at one of them."""
    if boldness <= 0:
        raise UserError(f"mix draws weights from Beta(b, b) and b = boldness must be above 0, not {boldness:g}")
    for kind, mine in given.of_class.items():
        if len(mine) < 2:
            raise UserError(
                f"a mix is of two of a class, and {str(given.data.data.classes[kind])!r} has one labelled example; "
                "give --by jitter, or label another"
            )
    places = torch.stack([_drawn(given, wanted, draw), _drawn(given, wanted, draw)], 1)
    for kind, mine in given.of_class.items():  # two that differ
        same = (wanted == kind) & (places[:, 0] == places[:, 1])
        order = {int(place): number for number, place in enumerate(mine)}
        for row in same.nonzero().flatten().tolist():
            places[row, 1] = mine[(order[int(places[row, 0])] + 1) % len(mine)]
    chance = np.random.default_rng(draw.generator(torch.device("cpu")).initial_seed())
    share = torch.from_numpy(chance.beta(boldness, boldness, len(wanted))).float()
    weights = torch.stack([share, 1 - share], 1)
    used, where = places.flatten().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    codes = _codes(model, given, used)[where].reshape(len(wanted), 2, -1)
    x = decode_each(model, (weights[:, :, None] * codes).sum(1), _on(model, given.label(wanted)))
    return Made(x, wanted, given.rows[places], weights)


def jitter(model: Autoencodes, given: Labelled, wanted: Tensor, draw: Noise, boldness: float) -> Made:
    """Draws from the posterior of single examples; `boldness` is the temperature, and at 0 it is the reconstruction."""
    places, pieces = _drawn(given, wanted, draw), []
    for number, some in enumerate(torch.split(places, ROWS)):
        x, y = given.read(some).to(device_of(model)), _on(model, given.names(some))
        z = model.encode(x, y).flatten(1)
        with noise.source(Noise(draw.seed, f"{draw.stream}/jitter", draw.step * 1000 + number)):
            pieces.append(decode_each(model, z + boldness * _doubt(model, x, y).reshape(z.shape).to(z), y))
    return Made(joined(pieces), wanted, given.rows[places][:, None], torch.ones(len(wanted), 1))


MAKERS: dict[str, Maker] = {"samples": samples, "mix": mix, "jitter": jitter}


def _doubt(model: Autoencodes, x: Tensor, y: Tensor | None) -> Tensor:
    """A draw of how far the code may be from its centre: of each layer, given the ones above as drawn."""
    if not isinstance(model, Scores) or not (inference := model.infer(x, y)).has_rate:
        raise UserError(
            f"jitter draws from q(z | x), which this {type(model).__name__} does not know; give --by mix, or "
            "train a vae"
        )
    return torch.cat([(latent.z - latent.q.centre).reshape(len(x), -1) for latent in inference.latents], 1)


def _drawn(given: Labelled, wanted: Tensor, draw: Noise) -> Tensor:
    """A place of each wanted class."""
    at = torch.rand(len(wanted), generator=draw.generator(torch.device("cpu")))
    return torch.stack([_at(given.of_class[int(kind)], float(u)) for kind, u in zip(wanted, at, strict=True)])


def _at(places: Tensor, u: float) -> Tensor:
    return places[min(int(u * len(places)), len(places) - 1)]


def _codes(model: Autoencodes, given: Labelled, places: Tensor) -> Tensor:
    pieces = []
    for some in torch.split(places, ROWS):
        x = given.read(some).to(device_of(model))
        pieces.append(model.encode(x, _on(model, given.names(some))).flatten(1).cpu())
    return joined(pieces)


def _on(model: object, y: Tensor | None) -> Tensor | None:
    return None if y is None else y.to(device_of(model))
