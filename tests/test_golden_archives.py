"""Archives that were written once must open for ever, to the same bits, by either implementation.

A format that changed on purpose before anybody relies on it: run this file with MORPHOGEN_GOLDEN=write in the
environment, and they are written anew. After a release an archive is only ever added.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from morphogen.codec import blocks
from morphogen.codec.frozen import profile_of_model
from morphogen.codec.learned import Learned
from morphogen.codec.lossy import Lossy
from morphogen.codec.pack import pack
from morphogen.codec.unpack import unpack
from morphogen.core.batch import Batch
from morphogen.core.build import part
from morphogen.core.noise import Noise, source
from morphogen.core.space import Image

HOME = Path(__file__).parent / "golden" / "archives"
SAID = HOME / "sha256.json"
WRITE = os.environ.get("MORPHOGEN_GOLDEN") == "write"
LADDER = {"use": "ladder", "rungs": [1, 1], "latent": 2, "width": 8}
LOGISTICS = {"use": "logistics", "mixture": 2}
KINDS = {
    "exact": (LADDER | {"pieces": 4, "likelihood": LOGISTICS}, Image(8, 8, 3), None, None),
    "near": (LADDER | {"pieces": 2, "likelihood": LOGISTICS}, Image(8, 8, 1), None, 3),
    "sketch": (LADDER | {"likelihood": {"use": "normal-fixed", "scale": 0.1}}, Image(8, 8, 3), 1.5, None),
    "two-levels": (LADDER | {"pieces": 4}, Image(8, 8, 1, 2), None, None),
    "dense": (
        {"use": "vae", "latent": 3, "net": {"use": "mlp", "widths": [12]}, "likelihood": "normal-shared"},
        Image(6, 5, 1),
        None,
        None,
    ),
}


def pictures(space: Image) -> np.ndarray:
    """Slopes, (n, h, w, channels), of whole numbers only."""
    n, y, x, c = np.ogrid[:40, : space.height, : space.width, : space.channels]
    return ((5 * n + 3 * y + n % 7 * x + 11 * c) * (space.levels - 1) // 320).astype(np.uint8)


def trained(recipe: dict[str, object], space: Image, x: torch.Tensor) -> torch.nn.Module:
    """A model that has seen them."""
    torch.manual_seed(0)
    model = part("models", recipe)(space)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(150):
        with source(Noise(step, "train")):
            for turn in model.play(Batch(x), step):
                optimiser.zero_grad()
                turn.loss.backward()
                optimiser.step()
    return model.eval().requires_grad_(False)


def written(kind: str) -> str:
    """The archive of a kind, written anew; sha256 of what comes out of it."""
    recipe, space, loss, error = KINDS[kind]
    x = pictures(space)
    seen = torch.from_numpy(x).permute(0, 3, 1, 2) / (space.levels - 1)
    learned = Learned(profile_of_model(trained(recipe, space, seen), seen).to_bytes())
    codec = learned if loss is error is None else Lossy(learned, loss, error)
    file = HOME / f"{kind}.npy"
    np.save(file, x)
    said = pack([file], HOME / f"{kind}.mgn", codec, force=True)
    file.unlink()
    assert said["blocks"]["learned"] == 1
    unpack(str(HOME / f"{kind}.mgn"), str(HOME), Learned, force=True)
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    return sha


@pytest.fixture(scope="module", autouse=True)
def _anew() -> None:
    if WRITE:
        HOME.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "NEAR", 0.0)  # deflate, which would win, is not asked
            SAID.write_text(json.dumps({kind: written(kind) for kind in KINDS}, indent=1) + "\n")


@pytest.mark.parametrize("oracle", [False, True], ids=["torch", "numpy"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_old_archive_opens(kind: str, oracle: bool, tmp_path: Path) -> None:
    unpack(str(HOME / f"{kind}.mgn"), str(tmp_path), lambda profile: Learned(profile, oracle=oracle))
    file = tmp_path / f"{kind}.npy"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == json.loads(SAID.read_text())[kind]
    _, space, loss, error = KINDS[kind]
    away = np.abs(np.load(file).astype(int) - pictures(space))
    if loss is None:
        assert away.max() <= (error or 0)
