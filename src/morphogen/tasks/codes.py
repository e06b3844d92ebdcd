"""Codes: examples to codes, and codes to examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morphogen.tasks.task import Count, task

if TYPE_CHECKING:
    from torch import Tensor as Codes

    from morphogen.core.model import Decodes, Encodes
    from morphogen.examples import Data
    from morphogen.values import Values

__all__ = ["decode", "encode"]


@task(exact=True)
def encode(model: Encodes, data: Data, n: Count | None = None) -> Values:
    """The codes (latent means) of examples, with their labels and names: x, y and names in an .npz, or .npy or .csv.

    data: a data set by name, or files; default: the run's own test examples
    n: only the first N examples

    morphogen encode last -o codes.npz
    morphogen encode runs/vae-digits ./scans -o codes.csv
    """
    import torch

    from morphogen.core.space import Vector
    from morphogen.values import Values, joined
    from morphogen.work import device_of

    data = data.limited(n)
    codes, labels = [], []
    for batch in data.batches(device=device_of(model)):
        codes.append(model.encode(batch.x, batch.y).cpu())
        if batch.y is not None:
            labels.append(batch.y.cpu())
    z = joined(codes)
    names = data.names or [f"{data.data.name}/{data.split}/{number}" for number in range(len(z))]
    space = getattr(model, "code", None) or Vector(z[0].numel())
    return Values(z, space, labels=torch.cat(labels) if labels else None, names=names)


@task(exact=True)
def decode(model: Decodes, codes: Codes, *, label: str | None = None) -> Values:
    """Examples decoded from codes, as `encode` writes them.

    codes: .npz, .npy or .csv files with one code in each row
    label: class of the results, for a label-conditional model

    morphogen decode last codes.npz -o back.png
    morphogen decode runs/conditional-vae-digits codes.npy --label 7 -o sevens.png
    """
    from morphogen.examples import ROWS
    from morphogen.values import Values
    from morphogen.work import decode_all

    return Values(decode_all(model, codes.flatten(1), label, ROWS), model.space)
