"""A frozen model as a codec of pictures: what an archive asks for its learned blocks.

A profile is all that is needed: integers, no floats, no torch. Where torch is at hand it multiplies the matrices, in
float64 that holds integers; the NumPy interpreter gives the same bits, slowly.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from morphogen.codec.bitsback import LN2, Engine, Packer, Piece, Rung
from morphogen.codec.bounds import bounded
from morphogen.codec.integers import Oracle
from morphogen.codec.profile import Profile
from morphogen.codec.sketch import Hope, Sketcher
from morphogen.codec.speech import speech_of
from morphogen.codec.tables import FINE, STEPS, Curve, bells, even_bells
from morphogen.errors import UserError
from morphogen.progress import Tell, unheard

if TYPE_CHECKING:
    from morphogen.opened import OpenRun

__all__ = ["Learned", "learned_of", "learned_of_run"]

Ints = NDArray[np.int64]
Tiles = NDArray[np.uint8]
SIDE, LARGE = 64, 320  # of a tile, about, where a model takes pictures of any size; and at most
PLAIN, NEAR, SKETCH = range(3)  # how a block's pictures are told
NOTCH = 128  # the byte of notch 0
CALIBRATION = 256  # pictures that ranges and grids are found on
FARTHER = 10  # deviations that a prior's grid goes on beyond the farthest mean
CURVES = ("logistic", "normal", "exp", "tanh", "falling")


class Learned:
    """Packs tiles of pictures by a profile."""

    def __init__(self, profile: bytes, *, oracle: bool = False) -> None:
        self.profile, self.digest, self.oracle = profile, hashlib.sha256(profile).digest(), oracle
        self.tell: Tell = unheard  # hears of progress, in numbers of pictures
        self.read = Profile.from_bytes(profile)
        bounded(self.read)

    @cached_property
    def packer(self) -> Packer:
        """The profile's rungs and pieces."""
        return packer_of(self.read, _engine(self.read, self.oracle))

    @cached_property
    def sketcher(self) -> Sketcher:
        """The packer with what is expected of its rungs."""
        curves = {name: _curve(self.read.arrays[f"curve/{name}"]) for name in ("exp", "falling")}
        hopes = tuple(_hope(self.read, rung) for rung in self.read.facts["rungs"])
        return Sketcher(self.packer, hopes, curves["exp"], curves["falling"])

    def tile(self, height: int, width: int, channels: int) -> tuple[int, int] | None:
        """The size of the tiles that a picture is cut into; none where the model cannot say anything of it."""
        return self.tile_of(height, width, channels, SIDE)

    def tile_of(self, height: int, width: int, channels: int, side: int) -> tuple[int, int] | None:
        """The same with tiles of at most about `side`, where the model takes any."""
        facts = self.read.facts
        if channels != facts["space"]["channels"]:
            return None
        if facts["tile"]:
            return int(facts["tile"][0]), int(facts["tile"][1])
        return _even(height, int(facts["unit"]), side), _even(width, int(facts["unit"]), side)

    def _takes(self, height: int, width: int) -> bool:
        facts = self.read.facts
        if facts["tile"]:
            return (height, width) == tuple(facts["tile"])
        unit = int(facts["unit"])
        return max(height, width) <= LARGE and not height % unit and not width % unit

    def encode(self, tiles: Tiles) -> bytes:
        """Tiles, (n, h, w, channels), as bytes: how they are told, a number about it, and what a packer packs."""
        x = _planes(tiles)
        for worth in self._worths:
            if not (x % worth).any() and x.max() // worth < self.levels:
                return bytes([PLAIN, worth]) + self.packer.encode(x // worth, self.tell)
        raise UserError(f"the model knows pictures of {self.levels} levels only")

    def near(self, tiles: Tiles, error: int) -> bytes:
        """Tiles that come back with no level further off than `error`."""
        self.must_be_bytes()
        x, width = _planes(tiles), 2 * error + 1
        middle = np.minimum(x // width * width + error, 255)
        return bytes([NEAR, error]) + self.packer.coarser(width).encode(middle, self.tell)

    def sketch(self, tiles: Tiles, notch: int) -> bytes:
        """Tiles that come back about as they were: `notch` 0 loses as much as the model did in training, NOTCHES more
        twice as much of every latent."""
        self.must_be_bytes()
        return bytes([SKETCH, notch + NOTCH]) + self.sketcher.encode(_planes(tiles), notch)

    def decode(self, data: bytes, shape: tuple[int, int, int, int]) -> Tiles:
        """The tiles again; what cannot be their bytes is refused."""
        n, height, width, channels = shape
        if not self._takes(height, width) or channels != self.read.facts["space"]["channels"]:
            raise UserError(f"a learned block is damaged: its model knows no tiles of {height} x {width} x {channels}")
        if len(data) < 2:
            raise UserError("a learned block is damaged: it is too short")
        told, number, data, of = data[0], data[1], data[2:], (n, channels, height, width)
        if told == PLAIN and number in self._worths:
            x = self.packer.decode(data, of, self.tell) * number
        elif told == NEAR and self.levels == 256 and 0 < number < 128:
            x = self.packer.coarser(2 * number + 1).decode(data, of, self.tell)
        elif told == SKETCH and self.levels == 256:
            x = self.sketcher.decode(data, of, number - NOTCH)
        else:
            raise UserError("a learned block is damaged: it uses an encoding that this version does not support")
        return x.astype(np.uint8).transpose(0, 2, 3, 1)

    def accepts(self, tiles: Tiles, back: Tiles) -> bool:
        """Pictures come back as they were."""
        return np.array_equal(tiles, back)

    def must_be_bytes(self) -> None:
        """Stop where there are too few levels to come back nearly."""
        if self.levels != 256:
            raise UserError(f"pictures of {self.levels} levels are kept as they are; leave out loss and max-error")

    @property
    def levels(self) -> int:
        """How many the model's pictures have."""
        return int(self.read.facts["space"]["levels"])

    @property
    def _worths(self) -> tuple[int, int]:
        """What a level may be worth in files: one, or so much that the last one is white."""
        return 1, 255 // (self.levels - 1)


def learned_of(profile: bytes, oracle: bool = False) -> Learned:
    """The codec of a profile; `oracle`: by NumPy alone."""
    return Learned(profile, oracle=oracle)


def learned_of_run(run: OpenRun) -> Learned:
    """The codec of a trained run: frozen once, and kept beside its weights."""
    from morphogen import disk

    path = run.path / f"profile-{run.weights}.mgp"
    if not path.is_file():
        from morphogen.codec.frozen import profile_of

        disk.write(path, profile_of(run, CALIBRATION).to_bytes())
    return Learned(path.read_bytes())


def packer_of(profile: Profile, engine: Engine) -> Packer:
    """The rungs and pieces that a profile within bounds describes."""
    facts, arrays, graphs = profile.facts, profile.arrays, profile.graphs
    curves = {name: _curve(arrays[f"curve/{name}"]) for name in CURVES}
    rungs = tuple(_rung(rung, curves["falling"], graphs) for rung in facts["rungs"])
    scales = [(s + r.fineness * LN2) * STEPS >> FINE for r in rungs for s in r.scales]
    rows = bells(curves["falling"], min(scales), max(scales) + 1)
    pieces = tuple(
        Piece(p["name"], tuple(p["which"]), speech_of(p["speech"], _bits(graphs, f"say/{p['name']}"), arrays, curves))
        for p in facts["pieces"]
    )
    top = arrays["top"].astype(np.int64) if "top" in arrays else None
    return Packer(
        engine,
        frozenset(graphs),
        rungs,
        pieces,
        rows,
        top,
        facts["patch"],
        facts["unit"],
        facts["cost"],
        facts["draws"],
    )


def _rung(facts: Mapping[str, Any], falling: Curve, graphs: Mapping[str, Any]) -> Rung:
    name = facts["name"]
    prior = even_bells(falling, facts["fineness"], (facts["farthest"] >> FINE) + FARTHER)
    where = (f"guess/{name}", 0) if f"guess/{name}" in graphs else ("look", facts["seen"])
    return Rung(
        name, facts["seen"], facts["depth"], facts["step"], np.array(facts["live"], np.int64), facts["fineness"],
        prior, facts["farthest"], (facts["scales"][0], facts["scales"][1]),
        _bits(graphs, *where), facts["z_bits"],
    )  # fmt: skip


def _hope(profile: Profile, rung: Mapping[str, Any]) -> Hope:
    noise, name = np.array(rung["noise"], np.int64), f"hope/{rung['name']}"
    if name in profile.graphs:
        return Hope(noise, None, _bits(profile.graphs, name))
    return Hope(noise, profile.arrays[name].astype(np.int64))


def _bits(graphs: Mapping[str, Any], graph: str, output: int = 0) -> int:
    return int(graphs[graph].outputs[output].bits)


def _curve(array: NDArray[np.integer]) -> Curve:
    return Curve(array[2:].astype(np.int64), int(array[0]), int(array[1]))


def _engine(profile: Profile, oracle: bool) -> Engine:
    if oracle or importlib.util.find_spec("torch") is None:
        return Oracle(profile.graphs, profile.arrays)
    from morphogen.codec.carried import Carried

    return Carried(profile.graphs, profile.arrays)


def _even(side: int, unit: int, most: int) -> int:
    """The side of equal tiles of at most about `most`."""
    return -(-side // (-(-side // most) * unit)) * unit


def _planes(tiles: Tiles) -> Ints:
    """(n, h, w, channels) as (n, channels, h, w)."""
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2)).astype(np.int64)
