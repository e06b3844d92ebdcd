"""CIFAR-10 (Krizhevsky 2009): the original binary files, or six lossless WebP sheets with the same pixels.

The two hold the training images in different orders, so their fingerprints differ and their scores agree.
"""

from __future__ import annotations

import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pictures
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.space import Image
from morphogen.data.dataset import Dataset
from morphogen.data.fetch import Remote, find, locate, unpacked
from morphogen.data.named import held_out, idx
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError

__all__ = ["cifar10"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
LICENCE = "none stated; free for research (Krizhevsky 2009)"
ROWS = 10_000
PIXELS = {  # sha256 of the decoded bytes of each sheet
    "train-1": "7bf535022aaf1cfbdd81d30f7f6f783a5c20d6f5a5e3d6351f400b24685993cf",
    "train-2": "ff2880e5286494551f0ffd80bd053a9f5378fc7e28b579ffe09bf600cc47ae35",
    "train-3": "4c740e987652c89697a3d2e8be6f8eb31669b12c41f8a882f5388002a5f55d44",
    "train-4": "cdaeab7fe45e2285ef76f9fb4ee9830876a3ce70914951e307f6a6a9ffe81fcc",
    "train-5": "5aee24870712edceec186520c56f44bff739ed88d761703ec137b00aed899847",
    "test": "1585ba5784d31bf1448b85951157936d566a9dc25f4de2c3a2d0152048f87dc0",
}
LABELS = {
    "train": Remote(
        "cifar10/train-labels-idx1-ubyte.gz", "ec5b6506428326c28148ecfc2ac6555d691b26eb1c7de17c1d77cbe286917d2e", 24726
    ),
    "test": Remote(
        "cifar10/test-labels-idx1-ubyte.gz", "38fc4b49225377a79fbc0f69b7fb2da8d64cc90206679410da385738d1d8eab1", 5086
    ),
}
BINARY = {  # sha256 of the members of the archive
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
ARCHIVE = Remote(
    "cifar10/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170_052_171,
    ("https://www.cs.toronto.edu/~kriz/",),
)
FOLDERS = ("cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10")


@register("data")
def cifar10(*, valid: int = 5_000) -> Dataset:
    """60,000 photographs of ten kinds of things, 32x32 colour (Krizhevsky 2009)."""
    if find("cifar10/train-1.webp"):
        train, train_y, test, test_y = _sheets()
    else:
        train, train_y, test, test_y = _binary()
    parts = held_out(train, train_y, valid) | {"test": (test, test_y)}
    protocol = f"the original test split; valid = the last {valid:,} training examples"
    space = Image(32, 32, 3)
    return dataset_of("cifar10", space, parts, {"valid": valid}, classes=CLASSES, licence=LICENCE, protocol=protocol)


def _sheets() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    train = torch.empty(5 * ROWS, 32, 32, 3, dtype=torch.uint8)
    for number in range(5):
        train[number * ROWS : (number + 1) * ROWS] = torch.from_numpy(_sheet(f"train-{number + 1}"))
    return train, idx(locate(LABELS["train"])), torch.from_numpy(_sheet("test")), idx(locate(LABELS["test"]))


def _sheet(name: str) -> NDArray[np.uint8]:
    """The pixels of a sheet; decoding takes most of a second, so they are kept."""
    return unpacked(PIXELS[name], (ROWS, 32, 32, 3), partial(_decode, f"cifar10/{name}.webp"))


def _decode(name: str) -> NDArray[np.uint8]:
    path = find(name)
    if path is None:
        raise UserError(f"{name} is missing beside the other sheets; copy all six")
    try:
        with Pictures.open(path, formats=["WEBP"]) as sheet:
            grid = np.asarray(sheet).reshape(100, 32, 100, 32, 3)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a sheet of 100 x 100 pictures ({error}); copy it again") from None
    return np.ascontiguousarray(grid.transpose(0, 2, 1, 3, 4)).reshape(ROWS, 32, 32, 3)


def _binary() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    folder = next((f for f in FOLDERS if find(f"{f}/data_batch_1.bin")), None)
    if folder is None:
        contents = _members(locate(ARCHIVE))
    else:
        size = ROWS * 3073
        contents = [locate(Remote(f"{folder}/{name}", sha, size)).read_bytes() for name, sha in BINARY.items()]
    rows = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 3073)
    y = torch.from_numpy(rows[:, 0].copy())
    x = torch.from_numpy(np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)))
    return x[: 5 * ROWS], y[: 5 * ROWS], x[5 * ROWS :], y[5 * ROWS :]


def _members(path: Path) -> list[bytes]:
    """The six files of the archive, which `locate` has checked; nothing is written to disk."""
    with tarfile.open(path, "r:gz") as archive:
        held = {name: archive.extractfile(f"cifar-10-batches-bin/{name}") for name in BINARY}
        return [file.read() for file in held.values() if file is not None]
