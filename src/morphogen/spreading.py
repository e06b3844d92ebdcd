"""Labels of a few examples, spread from neighbour to neighbour among codes (Zhou, Bousquet, Lal, Weston and Schölkopf
2004, "Learning with local and global consistency"); classes are held to the shares that their labels have (Zhu,
Ghahramani and Lafferty 2003, "class mass normalization").

    w_ij = exp(-4 |z_i - z_j|^2 / |z_i - z_far|^2) for the K nearest j of i, of which far is the last
    W = (w + w^T) / 2
    S = D^-1/2 W D^-1/2,  D the sums of rows of W;  F = (I - a S)^-1 Y,  Y one row an example, 0 where it has no label
    p(k|i) ~ s_k F_ik / sum_j F_jk,  s_k the share of the labels that are of class k

Distances are of codes as they are: a number of the code that says nothing hardly moves, and so does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.core.batch import BLANK
from morphogen.core.conjugate import conjugate
from morphogen.core.model import Encodes, Model
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset
from morphogen.errors import UserError
from morphogen.run import Run
from morphogen.work import device_of

__all__ = ["Neighbours", "encoder", "gathered", "neighbours", "spread"]

NEAREST = 7  # neighbours of each
REACH = 0.99  # a: how much of what is said of an example is heard from its neighbours
STEEP = 4.0  # the furthest neighbour weighs exp(-4)
MOST = 60_000  # examples among which labels are spread; the others hear from these
ROWS, ROUNDS, EXACT = 1000, 300, 1e-5


@dataclass(frozen=True)
class Neighbours:
    """Codes of examples, which these are, and how likely each class is of each: (n, code), (n,), and (n, classes) with
    rows that sum to 1, or to 0 where no label can be reached."""

    codes: Tensor
    rows: Tensor
    chances: Tensor

    def say(self, z: Tensor) -> Tensor:
        """log p(y) of each code, as its neighbours have it."""
        weights, which = near(z.flatten(1).to(self.codes.dtype), self.codes, NEAREST)
        heard = (weights[..., None] * self.chances[which]).sum(1)
        return (heard / heard.sum(1, keepdim=True).clamp_min(1e-12)).clamp_min(1e-6).log()

    def tensors(self) -> dict[str, Tensor]:
        """What there is to be kept."""
        return {"codes": self.codes, "rows": self.rows, "chances": self.chances}


def neighbours(codes: Tensor, y: Tensor, classes: int) -> Neighbours:
    """What labels say of all the codes; y is BLANK where there is none."""
    labelled, blank = (y != BLANK).nonzero().flatten(), (y == BLANK).nonzero().flatten()
    room = max(MOST - len(labelled), 0)
    some = blank[:: max(1, -(-len(blank) // max(room, 1)))][:room]
    rows = torch.cat([labelled, some]).sort().values
    codes, y = codes.flatten(1)[rows].float(), y[rows]
    told = F.one_hot(y.clamp_min(0), classes).float() * (y != BLANK)[:, None]
    heard = _solved(_graph(codes), told).clamp_min(0)
    shared = told.sum(0) * heard / heard.sum(0).clamp_min(1e-12)
    return Neighbours(codes, rows, shared / shared.sum(1, keepdim=True).clamp_min(1e-30))


def spread(codes: Tensor, y: Tensor, classes: int) -> Tensor:
    """How likely each class is of every example, (n, classes): certain where y is known, 0 where no label reaches."""
    heard = neighbours(codes, y, classes)
    chances = torch.zeros(len(y), classes)
    chances[heard.rows] = heard.chances
    others = torch.ones(len(y), dtype=torch.bool).index_fill_(0, heard.rows, False).nonzero().flatten()
    if len(others):
        chances[others] = heard.say(codes[others]).exp()
    return torch.where((y != BLANK)[:, None], F.one_hot(y.clamp_min(0), classes), chances)


def near(z: Tensor, codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The weights of the nearest codes of each z, and which they are, nearest first."""
    length, parts = codes.square().sum(1), []
    for some in torch.split(z, ROWS):
        apart = torch.addmm(length[None], some, codes.T, alpha=-2.0)
        least, which = apart.topk(min(count, len(codes)), largest=False)
        parts.append((least + some.square().sum(1, keepdim=True), which))
    apart, which = (torch.cat(part) for part in zip(*parts, strict=True))
    apart = apart.clamp_min(0)
    return torch.exp(-STEEP * apart / apart[:, -1:].clamp_min(1e-12)), which


def _graph(codes: Tensor) -> Tensor:
    """S, sparse."""
    n = len(codes)
    weights, which = near(codes, codes, NEAREST + 1)  # the nearest is the example itself, or its double
    others = which != torch.arange(n, device=codes.device)[:, None]
    of = torch.arange(n, device=codes.device)[:, None].expand_as(which)[others]
    to, weight = which[others], 0.5 * weights[others]
    both = torch.sparse_coo_tensor(
        torch.stack([torch.cat([of, to]), torch.cat([to, of])]), weight.repeat(2), (n, n), check_invariants=False
    ).coalesce()
    (of, to), weight = both.indices(), both.values()
    degree = torch.zeros(n, device=codes.device).index_add_(0, of, weight).clamp_min(1e-12).rsqrt()
    return torch.sparse_coo_tensor(
        both.indices(), weight * degree[of] * degree[to], (n, n), is_coalesced=True, check_invariants=False
    )


def _solved(graph: Tensor, told: Tensor) -> Tensor:
    """(I - a S)^-1 Y, every column for itself."""
    return conjugate(lambda u: u - REACH * torch.sparse.mm(graph, u), told, (0,), rounds=ROUNDS, near=EXACT)


def encoder(run: Run, model: Model) -> Encodes:
    """The run's model, where it makes codes that may say of which class an example is."""
    if not isinstance(model, Encodes):
        raise UserError(f"{type(model).__name__}, the model of {run.path}, encodes nothing that could be looked at")
    if getattr(model, "labels", None) is not None:
        raise UserError(
            f"the model of {run.path} is told the class of what it encodes, so its codes do not say it; train a model "
            "that is told none"
        )
    return model


def gathered(data: Dataset, split: str, see: Callable[[Tensor], Tensor], model: object) -> tuple[Tensor, Tensor]:
    """What is seen of every example of a split, flat, and its label, BLANK where there is none."""
    seen, labels = [], []
    for batch in Batches(data, split, ROWS // 2, device=device_of(model), shuffle=False).sweep(ROWS // 2):
        seen.append(see(batch.x).flatten(1).cpu())
        labels.append(torch.full((len(batch),), BLANK) if batch.y is None else batch.y.cpu())
    return torch.cat(seen), torch.cat(labels)


def kept(tensors: Mapping[str, Tensor], device: torch.device) -> Neighbours:
    """As `tensors` gave them."""
    return Neighbours(**{name: tensors[name].to(device) for name in ("codes", "rows", "chances")})
