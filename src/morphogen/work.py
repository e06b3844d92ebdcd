"""Small things that tasks share: where a model is, what it is told, how its codes lie."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from morphogen.core.distribution import Normal
from morphogen.core.model import Decodes, Encodes, Scores
from morphogen.core.space import Vector
from morphogen.errors import UserError
from morphogen.examples import ROWS, Data
from morphogen.values import joined

__all__ = ["Cloud", "cloud", "decode_all", "decode_each", "device_of", "labels_of"]

ACTIVE = 0.01  # Burda et al. 2016: a unit is active where Var_x(E[z|x]) exceeds this


def device_of(model: object) -> torch.device:
    """Where its first tensor lies."""
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            return tensor.device
    return torch.device("cpu")


def labels_of(model: object, label: int | str | None, n: int, device: torch.device) -> Tensor | None:
    """The labels that a model wants to be told; of a model that goes by no labels, none can be asked for."""
    told: Vector | None = getattr(model, "labels", None)
    if told is None:
        if label is not None:
            raise UserError(
                "this model is not label-conditional, so it has no classes to choose from; train conditional-vae"
            )
        return None
    if label is None:
        return torch.arange(n, device=device) % told.length
    return torch.full((n,), int(label), device=device)


@dataclass(frozen=True)
class Cloud:
    """How the codes of some examples lie: one row an example, flat; `order` has the dimension that moves most first."""

    codes: Tensor
    labels: Tensor | None
    mean: Tensor
    scale: Tensor
    order: list[int]
    standard: bool  # whether the prior is a standard normal, so that its quantiles are known
    bound: float | None  # where a bounded posterior ends

    @property
    def active(self) -> list[int]:
        """Dimensions that move with the data, the liveliest first."""
        return [d for d in self.order if float(self.scale[d]) ** 2 > ACTIVE]


def cloud(model: Encodes, data: Data) -> Cloud:
    """Encode examples and look at where their codes lie."""
    device, codes, labels = device_of(model), [], []
    for batch in data.batches(device=device):
        codes.append(model.encode(batch.x, batch.y).flatten(1).float().cpu())
        if batch.y is not None:
            labels.append(batch.y.cpu())
    z = torch.cat(codes)
    scale = z.std(0, correction=0)
    order = scale.argsort(descending=True, stable=True).tolist()
    standard = _standard_prior(model, data, device)
    y = torch.cat(labels) if labels else None
    return Cloud(z, y, z.mean(0), scale, order, standard, _bound(model))


def _standard_prior(model: object, data: Data, device: torch.device) -> bool:
    if not isinstance(model, Scores):
        return False
    one = data.first(1, device)
    prior = model.infer(one.x, one.y).latents[0].p
    if not isinstance(prior, Normal):
        return False
    return not bool(prior.mean.any()) and not bool(prior.log_scale.any())


def _bound(model: object) -> float | None:
    parts = model.modules() if isinstance(model, nn.Module) else ()
    bounds: list[object] = [getattr(part, "bound", None) for part in parts]
    return next((bound for bound in bounds if isinstance(bound, float)), None)


def decode_all(model: Decodes, flat: Tensor, label: int | str | None, rows: int) -> Tensor:
    """Flat codes to examples, a batch at a time, on the CPU."""
    device = device_of(model)
    y = None
    told = getattr(model, "labels", None) is not None and not getattr(model, "blanks", False)
    if told or label is not None:  # a code of a model that knows blanks says the class as well
        y = labels_of(model, 0 if label is None else label, len(flat), device)
    codes = flat.reshape(-1, *model.code.shape).to(device)
    starts = range(0, len(codes), rows)
    return joined([model.decode(codes[i : i + rows], None if y is None else y[i : i + rows]).cpu() for i in starts])


def decode_each(model: Decodes, flat: Tensor, y: Tensor | None) -> Tensor:
    """Flat codes, each with a label of its own where the model is label-conditional, to examples on the CPU."""
    codes = flat.reshape(-1, *model.code.shape).to(device_of(model))
    starts = range(0, len(codes), ROWS)
    return joined([model.decode(codes[i : i + ROWS], None if y is None else y[i : i + ROWS]).cpu() for i in starts])
