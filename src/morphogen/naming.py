"""Who names classes for a run: its model itself, a probe of its codes, neighbours among them, or clusters of its prior.

A probe is a logistic regression on codes, fitted to the run's own labelled training examples ("linear probes", Alain
and Bengio 2016). It is kept beside the weights, and so is the temperature that makes probabilities honest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor

from morphogen.core.batch import BLANK
from morphogen.core.distribution import Mixture
from morphogen.core.model import Classifies, Encodes, Model
from morphogen.data.dataset import Dataset
from morphogen.data.find import open_data
from morphogen.data.labels import known
from morphogen.errors import UserError
from morphogen.metrics.classes import temperature
from morphogen.run import Run
from morphogen.spreading import encoder, gathered, neighbours
from morphogen.spreading import kept as as_kept
from morphogen.work import device_of

__all__ = ["By", "Namer", "namer_of"]

By = Literal["model", "probe", "neighbours", "clusters"]
MOST, CLOSENESS = 50_000, 1.0  # examples for a probe, and its inverse penalty
FEWEST = 10  # labelled validation examples from which a temperature is fitted


@dataclass(frozen=True)
class Namer:
    """Says log probabilities of `classes`, in `how` a way; `heat` is what they are divided by, None where not known."""

    say: Callable[[Tensor], Tensor]
    classes: tuple[str, ...]
    how: str
    heat: float | None = None
    clusters: bool = False

    @property
    def calibrated(self) -> str:
        """What is to be known of the probabilities."""
        if self.clusters:
            return "of clusters, as the prior says them"
        if self.heat is None:
            return f"as they are said: fewer than {FEWEST} labelled validation examples to calibrate them by"
        return f"calibrated on labelled validation examples, temperature {self.heat:.3f}"

    def __call__(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.say(x).double() / (self.heat or 1.0), 1).cpu()


def namer_of(run: Run, model: Model, by: str | None) -> Namer:
    """Whoever was asked for, or the first who can: the model, a probe where the run has labels, clusters."""
    by = by or _usual(run, model)
    if by == "clusters":
        return _clusters(model)
    if run.labels is None:
        raise UserError(
            f"the data of {run.path} has no labels of two classes or more, so it knows no classes; train on class "
            "folders, with a table (data.table=labels.csv) or y beside x, or train mixture-vae and ask for clusters"
        )
    if by == "model" and not isinstance(model, Classifies):
        raise UserError(f"the model of {run.path} does not name classes itself; give --by probe, or train few-labels")
    make, how = SAYS[by]
    say = make(run, model)
    return Namer(say, tuple(run.labels.columns), how, _heat(run, model, say, by))


def _usual(run: Run, model: Model) -> str:
    if isinstance(model, Classifies):
        return "model"
    return "clusters" if run.labels is None and _mixture(model) is not None else "probe"


def _own(run: Run) -> Dataset:
    """The run's own data, as it was when it was trained."""
    data = open_data(run.recipe["data"])
    if data.fingerprint != run.facts["fingerprint"]:
        raise UserError(
            f"the data of {run.path} has changed since it was trained, and its labels are wanted; restore it"
        )
    return replace(data, space=run.space)


def _labelled(run: Run, split: str) -> Dataset | None:
    """The labelled examples of a split of the run's own data, of very many the first; None where there are none."""
    data = _own(run)
    part = data.splits.get(split)
    if part is None or part.y is None or not bool((part.y != BLANK).any()):
        return None
    return replace(data, splits={split: known(part).first(MOST)})


def _heat(run: Run, model: Model, say: Callable[[Tensor], Tensor], by: str) -> float | None:
    """The temperature, fitted to labelled validation examples and kept; None where there are too few of them."""
    if (kept := run.kept(f"temperature_{by}")) is not None:
        return float(kept[0]["heat"])
    data = _labelled(run, "valid")
    if data is None or len(data.splits["valid"]) < FEWEST:
        return None
    said, y = gathered(data, "valid", say, model)
    heat = temperature(torch.log_softmax(said.double(), 1), y)
    run.keep(f"temperature_{by}", {"heat": torch.tensor(heat)}, {"of": len(y)})
    return heat


def _probe(run: Run, said: Model) -> Callable[[Tensor], Tensor]:
    model = encoder(run, said)
    kept = run.kept("probe")
    tensors = kept[0] if kept else _fitted(run, model)
    device = device_of(model)
    centre, scale, weight, bias = (tensors[k].to(device) for k in ("centre", "scale", "weight", "bias"))

    def say(x: Tensor) -> Tensor:
        return ((model.encode(x).flatten(1).double() - centre) / scale) @ weight.T + bias

    return say


def _neighbours(run: Run, said: Model) -> Callable[[Tensor], Tensor]:
    model = encoder(run, said)
    kept = run.kept("neighbours")
    heard = as_kept(kept[0] if kept else _spread(run, model), device_of(model))
    return lambda x: heard.say(model.encode(x))


def _spread(run: Run, model: Encodes) -> dict[str, Tensor]:
    assert run.labels is not None
    codes, y = gathered(_own(run), "train", model.encode, model)
    if not bool((y != BLANK).any()):
        raise UserError(f"no training example of {run.path} has a label, so there is none to be spread")
    tensors = neighbours(codes, y, run.labels.length).tensors()
    run.keep("neighbours", tensors, {"labels": int((y != BLANK).sum())})
    return tensors


def _fitted(run: Run, model: Encodes) -> dict[str, Tensor]:
    from sklearn.linear_model import LogisticRegression

    data = _labelled(run, "train")
    if data is None:
        raise UserError(f"no training example of {run.path} has a label, so no probe can be fitted")
    codes, y = gathered(data, "train", model.encode, model)
    codes = codes.double()
    centre, scale = codes.mean(0), codes.std(0, correction=0).clamp_min(1e-6)
    seen = torch.tensor(sorted(set(y.tolist())))
    if len(seen) < 2:
        raise UserError(f"the labelled training examples of {run.path} are all of one class; label some of another")
    fitted = LogisticRegression(C=CLOSENESS, max_iter=1000).fit(((codes - centre) / scale).numpy(), y.numpy())
    count = run.labels.length if run.labels is not None else len(seen)
    weight, bias = torch.zeros(count, codes.shape[1], dtype=torch.float64), torch.full((count,), -30.0).double()
    rows, starts = torch.from_numpy(fitted.coef_), torch.from_numpy(fitted.intercept_)
    if len(seen) == 2:  # one row says how much likelier the second is
        rows, starts = torch.cat([0 * rows, rows]), torch.cat([0 * starts, starts])
    weight[seen], bias[seen] = rows.double(), starts.double()
    tensors = {"centre": centre, "scale": scale, "weight": weight, "bias": bias}
    run.keep("probe", tensors, {"of": len(y)})
    return tensors


SAYS: dict[str, tuple[Callable[[Run, Model], Callable[[Tensor], Tensor]], str]] = {
    "model": (lambda _, model: cast("Classifies", model).classify, "the model itself"),
    "probe": (_probe, "a linear probe of its codes"),
    "neighbours": (_neighbours, "labels spread among the codes of its training examples"),
}


def _mixture(model: Model) -> Mixture | None:
    make, posterior = getattr(model, "prior", None), getattr(model, "posterior", None)
    prior = make(posterior) if callable(make) and posterior is not None else None
    return prior if isinstance(prior, Mixture) else None


def _clusters(model: Model) -> Namer:
    prior = _mixture(model)
    if prior is None or not isinstance(model, Encodes):
        raise UserError("this model has no mixture prior, whose components are the clusters; train mixture-vae")
    count = len(prior.log_weight)

    def say(x: Tensor) -> Tensor:
        """log p(k|z) at the centre of the code of x."""
        z = model.encode(x)
        each = prior.parts.log_prob(z[:, None])
        return torch.log_softmax(each + prior.log_weight, 1)

    return Namer(
        say, tuple(f"cluster {k}" for k in range(count)), "the clusters of its prior, which know no classes", None, True
    )
