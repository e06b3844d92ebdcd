"""What pictures should cost by their model's bound, and what they do cost in an archive.

Bits-back coding spends -ELBO bits on a picture (Townsend, Bird and Barber 2019). An archive spends more: integers in
place of floats, tables in place of densities, the first draws of each block, its headers; once, the model itself.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from morphogen.codec.learned import learned_of_run
from morphogen.codec.pack import pack

if TYPE_CHECKING:
    from morphogen.examples import Data
    from morphogen.opened import OpenRun

__all__ = ["costs"]


def costs(run: OpenRun, data: Data, elbo: float) -> dict[str, Any]:
    """Bits for each number of the examples: by theory, of which `elbo` is the mean in nats, and in an archive."""
    theory = -elbo / (run.space.size * math.log(2))
    stored = torch.cat([run.space.write(batch.x) for batch in data.batches()]).numpy()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "examples.npy"
        np.save(file, stored)
        said = pack([file], Path(folder) / "examples.mgn", learned_of_run(run))
    coded = said["bits_per_dimension"]
    return {
        "theory": theory,
        "archive": coded,
        "more": coded / theory - 1 if theory > 0 else None,
        "archive_bytes": said["bytes_of_the_archive"] - said["bytes_of_the_model"],
        "model_bytes": said["bytes_of_the_model"],
        "blocks": said["blocks"],
        "fallbacks": said["fallbacks"],
    }
