"""Style and content apart: what a code says of *how* an example looks, and of *what* it is.

told      a label-conditional model keeps them out of its code (Kingma et al. 2014, "Semi-supervised learning with
          deep generative models"): the label is the content, the code the style
layers    of latents at several scales, the coarse are the content, the fine the style
classes   elsewhere, in a code that separates classes: the content lies in the span of the differences of their
          means; what is uncorrelated with it within classes is the style
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from morphogen.core.space import Vector
from morphogen.directions import within
from morphogen.errors import UserError
from morphogen.examples import find_examples
from morphogen.metrics.separation import area
from morphogen.sides import drawn, known, only
from morphogen.work import cloud, device_of

if TYPE_CHECKING:
    from morphogen.abilities import Autoencodes
    from morphogen.opened import OpenRun

__all__ = ["Exchange", "by_classes", "by_label", "by_layers", "content", "exchange_of", "told_apart"]

WIDEST = 1024

Coded = tuple[Tensor, Tensor | None]  # flat codes and, for a label-conditional model, those
REMEDY = "train conditional-vae on labelled data, or ladder, which part them"


@dataclass(frozen=True)
class Exchange:
    """`(styles, contents)`, a code each, to codes with the style of the one and the content of the other."""

    of: Callable[[Coded, Coded], Coded]
    words: str


def exchange_of(run: OpenRun, model: Autoencodes, n: int, coarse: int | None) -> Exchange:
    """The way that this model allows, or a refusal that names a model that would."""
    if told_apart(model):
        return Exchange(by_label, "the label is the content, the code the style")
    sizes: list[int] | None = getattr(model, "sizes", None)
    if sizes is not None and len(sizes) > 1:
        cut = _cut(sizes, coarse)
        words = f"the {cut} coarsest of {len(sizes)} layers of latents are the content, the others the style"
        return Exchange(by_layers(sum(sizes[:cut])), words)
    seen = find_examples(run.run, None, split="train", label=None, fit=False)
    if seen.data.splits["train"].y is None or len(seen.data.classes) < 2:
        raise UserError(
            f"nothing tells this model's code what is style and what content: its data has no labels; {REMEDY}"
        )
    rows, _ = known(seen)
    few = drawn(only(seen, rows), n)
    lie = cloud(model, few)
    assert lie.labels is not None
    return _tested(lie.codes, lie.labels)


def told_apart(model: Autoencodes) -> bool:
    """Whether a code is decoded in another way for another label: some models only say labels."""
    labels: Vector | None = getattr(model, "labels", None)
    if labels is None:
        return False
    device = device_of(model)
    code = torch.zeros(2, *model.code.shape, device=device)
    one, other = model.decode(code, torch.tensor([0, 1], device=device))
    return not torch.equal(one, other)


def _cut(sizes: list[int], coarse: int | None) -> int:
    """How many layers are coarse: as asked, or the upper half."""
    cut = (len(sizes) + 1) // 2 if coarse is None else coarse
    if not 0 < cut < len(sizes):
        raise UserError(f"coarse = {cut} of {len(sizes)} layers leaves nothing to exchange; give 1 to {len(sizes) - 1}")
    return cut


def by_label(style: Coded, content: Coded) -> Coded:
    """The code of the one, told the label of the other."""
    return style[0], content[1]


def by_layers(cut: int) -> Callable[[Coded, Coded], Coded]:
    """The first `cut` numbers of the one, the rest of the other."""
    return lambda style, content: (torch.cat([content[0][:, :cut], style[0][:, cut:]], 1), None)


def by_classes(part: Tensor) -> Callable[[Coded, Coded], Coded]:
    """What `part` lets through of the one, and of the other all else; of a code and itself, itself."""
    return lambda style, content: (style[0] + (content[0] - style[0]) @ part.to(style[0]).mT, None)


def content(codes: Tensor, labels: Tensor) -> Tensor:
    """The projection on the differences of class means along what is uncorrelated with them within classes:

    P = D (D' S^-1 D)^+ D' S^-1,   D: class means about their mean, S: the covariance within classes
    """
    kinds = labels.bincount().nonzero().flatten()
    means = torch.stack([codes[labels == kind].mean(0) for kind in kinds])
    apart = torch.cat([codes[labels == kind] - mean for kind, mean in zip(kinds, means, strict=True)])
    d = (means - means.mean(0)).double().mT
    seen = torch.linalg.solve(within(apart), d)
    part: Tensor = d @ torch.linalg.pinv(d.mT @ seen, rtol=1e-6, hermitian=True) @ seen.mT
    return part.float()


def _tested(codes: Tensor, labels: Tensor) -> Exchange:
    """The projection, if it tells the class of codes that it has not seen."""
    if codes.shape[1] > WIDEST:
        raise UserError(f"a code of {codes.shape[1]:,} numbers is too wide to find classes in; {REMEDY}")
    half = torch.arange(len(codes)) % 2 == 0
    counts = [labels[side].bincount(minlength=int(labels.max()) + 1) for side in (half, ~half)]
    kinds = ((counts[0] > 0) & (counts[1] > 0)).nonzero().flatten()
    if len(kinds) < 2 or int(half.sum()) < 2 * len(kinds):
        raise UserError(f"too few labelled examples to find what is content in this code; {REMEDY}")
    part = content(codes[half], labels[half])
    means = torch.stack([codes[half & (labels == kind)].mean(0) for kind in kinds]) @ part.mT
    apart = torch.cdist(codes[~half] @ part.mT, means)
    own = torch.stack([torch.where(labels[~half] == kind, 1, 0) for kind in kinds], 1).bool()
    said = area(-apart[own], -apart[~own])
    if said.low <= 0.5:
        raise UserError(
            f"this code does not separate classes (area {said.area:.2f}, {said.low:.2f} to {said.high:.2f}, where 0.5 "
            f"is chance), so style and content cannot be told apart in it; {REMEDY}"
        )
    words = f"the span of class means is the content (separates held-out examples: {said.area:.2f}), the rest the style"
    return Exchange(by_classes(content(codes, labels)), words)
