"""The likelihood less what the example's own simplicity explains (Serrà et al. 2020, "Input complexity and
out-of-distribution detection with likelihood-based generative models"): -log p(x) minus the bits that a general
compressor needs. A plain grey picture is likely under any model; under deflate it is likelier still. Only levels have
bits."""

from __future__ import annotations

import math
import zlib
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.oddity import Look, Oddity
from morphogen.errors import UserError
from morphogen.oddities.likelihood import surprise

__all__ = ["complexity"]


@register("oddities")
class complexity(Oddity):
    """-log p(x) minus the nats of the example under deflate, of itself or of its differences."""

    low: ClassVar[float] = 0.1
    words = "the model finds it unlikely for so simple an example"
    words_low = "the model finds it likely for so intricate an example"

    def see(self, look: Look) -> Tensor:
        if not look.space.levels:
            raise UserError("real numbers have no bits to compare a likelihood with; use typicality")
        stored = look.space.write(look.x.cpu()).contiguous().numpy()
        stored = stored.astype(np.min_scalar_type(look.space.levels - 1))
        flat = np.ascontiguousarray(stored).reshape(len(stored), -1)
        apart = np.diff(flat, axis=1, prepend=flat[:, :1])
        nats = [8 * math.log(2) * min(_bytes(plain), _bytes(steps)) for plain, steps in zip(flat, apart, strict=True)]
        return (surprise(look).cpu() - torch.tensor(nats))[:, None]


def _bytes(row: np.ndarray) -> int:
    return len(zlib.compress(row.tobytes(), 9))
