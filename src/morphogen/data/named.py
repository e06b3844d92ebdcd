"""Sets known by name, in MNIST's own file format or embedded: digits, mnist, fashion-mnist."""

from __future__ import annotations

import gzip
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from morphogen.core.build import register
from morphogen.core.space import Image
from morphogen.data.dataset import Dataset
from morphogen.data.fetch import Remote, locate, unpacked
from morphogen.data.split import by_hash, row_hashes
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError

__all__ = ["digits", "fashion_mnist", "held_out", "idx", "mnist"]

PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")

MNIST = (
    ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9912422),
    ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28881),
    ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1648877),
    ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542),
)
MNIST_PIXELS = (  # sha256 of the pixels, train and test
    "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
)
MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FASHION = (
    ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26421880),
    ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29515),
    ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4422102),
    ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148),
)
FASHION_PIXELS = (  # sha256 of the pixels, train and test
    "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
)
FASHION_MIRRORS = ("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",)
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DIGITS = tuple("0123456789")


@register("data")
def digits(*, valid: float = 0.1, test: float = 0.1) -> Dataset:
    """1,797 handwritten digits, 8x8, 17 levels of grey: embedded, nothing to fetch (Alpaydin and Kaynak, UCI)."""
    with files("morphogen.data").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as held:
        x, y = torch.from_numpy(held["x"])[..., None], torch.from_numpy(held["y"])
    splits, how = by_hash(row_hashes(x.numpy()), valid, test)
    parts: dict[str, tuple[Tensor, Tensor | None]] = {name: (x[rows], y[rows]) for name, rows in splits.items()}
    options = {"valid": valid, "test": test}
    space = Image(8, 8, 1, levels=17)
    return dataset_of("digits", space, parts, options, classes=DIGITS, licence="CC BY 4.0", protocol=how)


@register("data")
def mnist(*, valid: int = 10_000) -> Dataset:
    """70,000 handwritten digits, 28x28 grey (LeCun, Cortes, Burges)."""
    return _idx_set("mnist", MNIST, MNIST_MIRRORS, MNIST_PIXELS, valid, DIGITS, "CC BY-SA 3.0")


@register("data", "fashion-mnist")
def fashion_mnist(*, valid: int = 10_000) -> Dataset:
    """70,000 pictures of clothes, 28x28 grey, in MNIST's format (Xiao, Rasul, Vollgraf, arXiv 1708.07747)."""
    return _idx_set("fashion-mnist", FASHION, FASHION_MIRRORS, FASHION_PIXELS, valid, CLOTHES, "MIT")


def _idx_set(
    name: str,
    known: tuple[tuple[str, int], ...],
    mirrors: tuple[str, ...],
    pixels: tuple[str, str],
    valid: int,
    classes: tuple[str, ...],
    licence: str,
) -> Dataset:
    remotes = [
        Remote(f"{name}/{part}-ubyte.gz", sha256, size, mirrors)
        for part, (sha256, size) in zip(PARTS, known, strict=True)
    ]
    train = _pictures(remotes[0], pixels[0], 60_000)
    test = _pictures(remotes[2], pixels[1], 10_000)
    train_y, test_y = idx(locate(remotes[1])), idx(locate(remotes[3]))
    parts = held_out(train[..., None], train_y, valid) | {"test": (test[..., None], test_y)}
    protocol = f"the original test split; valid = the last {valid:,} training examples"
    space = Image(28, 28)
    return dataset_of(name, space, parts, {"valid": valid}, classes=classes, licence=licence, protocol=protocol)


def _pictures(remote: Remote, sha256: str, count: int) -> Tensor:
    values = unpacked(sha256, (count, 28, 28), lambda: idx(locate(remote)).numpy())
    return torch.from_numpy(values)


def held_out(x: Tensor, y: Tensor, valid: int) -> dict[str, tuple[Tensor, Tensor | None]]:
    """The last `valid` training examples put aside."""
    if not 0 <= valid < len(x):
        raise UserError(f"valid = {valid} does not leave any of the {len(x):,} training examples")
    first = len(x) - valid
    return {"train": (x[:first], y[:first]), "valid": (x[first:], y[first:])}


def idx(path: Path) -> Tensor:
    """An idx file of bytes, gzipped (the format is described at yann.lecun.com/exdb/mnist)."""
    try:
        content = bytearray(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a whole gzip file ({error}); fetch it again") from None
    rank = content[3] if len(content) > 4 else 0
    shape = np.frombuffer(bytes(content[4 : 4 + 4 * rank]), ">u4").astype(np.int64)
    begin = 4 + 4 * rank
    if bytes(content[:3]) != b"\0\0\x08" or len(shape) != rank or int(shape.prod()) != len(content) - begin:
        raise UserError(f"{path} is not an idx file of bytes; fetch it again")
    return torch.frombuffer(content, dtype=torch.uint8, offset=begin).view(*shape.tolist())
