"""The coder: stacks of symbols, integer tables, likelihoods as intervals, and pictures that come back bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from morphogen.codec.ans import LOW, Stack, supply
from morphogen.codec.bitsback import schedule
from morphogen.codec.carried import Carried
from morphogen.codec.frozen import profile_of_model, standard_tables
from morphogen.codec.learned import CURVES, Learned, packer_of
from morphogen.codec.pack import pack
from morphogen.codec.profile import Profile
from morphogen.codec.speech import Blend, speech_of
from morphogen.codec.tables import BITS, FINE, PARTS, STEPS, Curve, bells, curve, even_bells
from morphogen.codec.unpack import unpack
from morphogen.core.build import part
from morphogen.core.space import Image
from morphogen.errors import UserError

WHOLE = 1 << BITS
TABLES = standard_tables()
SHAPES = {name: Curve(a[2:], int(a[0]), int(a[1])) for name, a in ((n, TABLES[f"curve/{n}"]) for n in CURVES)}


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def filled(draw: np.random.Generator, lanes: int = 1) -> Stack:
    stack = Stack()
    stack.push_even(draw.integers(0, 1 << LOW, 5000), LOW)
    stack.resize(lanes)
    return stack


def same(one: Stack, other: Stack) -> bool:
    return np.array_equal(one.lanes, other.lanes) and np.array_equal(one.room[: one.count], other.room[: other.count])


# The stack


@pytest.mark.parametrize("lanes", [1, 2, 8, 64])
@pytest.mark.parametrize("count", [1, 5, 64, 65, 1000])
def test_what_is_pushed_is_popped_in_order(lanes: int, count: int, draw: np.random.Generator) -> None:
    stack, before = filled(draw, lanes), filled(np.random.default_rng(0), lanes)
    freq = draw.integers(1, 1000, count)
    start = draw.integers(0, WHOLE - 1000, count)
    stack.push(start, freq, BITS)
    seen = np.zeros(count, bool)

    def find(slot: np.ndarray, where: slice) -> tuple[np.ndarray, np.ndarray]:
        seen[where] = (slot >= start[where]) & (slot < start[where] + freq[where])
        return start[where], freq[where]

    stack.pop(count, BITS, find)
    assert seen.all()
    assert same(stack, before)


def test_a_symbol_costs_its_information(draw: np.random.Generator) -> None:
    stack = filled(draw, 16)
    before, freq = stack.bits, draw.integers(1, WHOLE, 20_000)
    stack.push(np.zeros_like(freq), freq, BITS)
    theory = float((BITS - np.log2(freq)).sum())
    assert stack.bits - before == pytest.approx(theory, rel=2e-3)


def test_lanes_come_and_go_without_a_bit_lost(draw: np.random.Generator) -> None:
    stack, before = filled(draw), filled(np.random.default_rng(0))
    stack.resize(256)
    assert len(stack.lanes) == 256
    assert ((stack.lanes >= 1 << LOW) & (stack.lanes > 0)).all()
    assert before.bits - 5 * 256 < stack.bits < before.bits, "how long a state is takes five bits, which come back"
    stack.resize(1)
    assert same(stack, before)


def test_draws_below_the_bottom_must_be_given_back() -> None:
    stack = Stack()
    drawn = stack.pop_even(100, 20)
    assert stack.taken > 0
    data = stack.to_bytes()
    other = Stack.from_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        other.check_end()
    other.push_even(drawn, 20)
    other.check_end()
    with pytest.raises(UserError, match="ends before"):
        Stack.from_bytes(data).pop_even(1000, 20)


def test_masks_undo_themselves_and_even_out_what_is_drawn(draw: np.random.Generator) -> None:
    stack = filled(draw, 64)
    stack.push(np.zeros(6400, np.int64), np.full(6400, 1 << 18), BITS)  # all bits of the next draws are small
    before = (stack.lanes.copy(), stack.room[: stack.count].copy())
    plain = stack.lanes & (WHOLE - 1)
    stack.scramble()
    drawn = stack.pop_even(64, BITS)
    stack.unscramble()
    assert plain.max() < 1 << 18
    assert drawn.mean() == pytest.approx(WHOLE / 2, rel=0.2)
    stack.masked = True
    stack.push_even(drawn, BITS)
    stack.scramble()
    stack.unscramble()
    assert np.array_equal(stack.lanes, before[0])
    assert np.array_equal(stack.room[: stack.count], before[1])


def test_the_supply_is_the_same_wherever_it_is_read() -> None:
    assert np.array_equal(supply(0, 10)[4:], supply(4, 6))
    assert supply(0, 3).tolist() == [0xE220A839, 0x6E789E6A, 0x06C45D18]  # splitmix64 of seed 0, upper halves


@pytest.mark.parametrize("data", [b"", b"short", bytes(12), bytes(13), b"\xff" * 16])
def test_bytes_that_are_no_stack_are_refused(data: bytes) -> None:
    with pytest.raises(UserError, match="damaged"):
        Stack.from_bytes(data)


# Tables


def test_a_curve_is_near_its_function_and_as_monotone() -> None:
    logistic = curve(lambda u: 1 / (1 + np.exp(-u)), -17, 17, bits=11, step=5, unit=28)
    x = np.arange(-20 << 11, 20 << 11)
    said = logistic(x) / 2.0**28
    assert np.abs(said - 1 / (1 + np.exp(-x / 2.0**11))).max() < 1e-5
    assert (np.diff(said) >= 0).all()


def test_bells_are_normals_on_a_grid() -> None:
    rows = bells(SHAPES["falling"], -STEPS, 2 * STEPS)
    ends = rows.starts[1:] - 1
    assert (rows.edges[rows.starts[:-1]] == 0).all()
    assert (rows.edges[ends] == WHOLE).all()
    for scale, centre in ((0.5, 3.25), (1.0, -1.5), (4.0, 0.0625)):
        row, first = rows.row(np.array([round(centre * PARTS)]), np.array([round(math.log(scale) * STEPS)]))
        count = int(rows.starts[row[0] + 1] - rows.starts[row[0]] - 1)
        start, freq = rows.at(np.repeat(row, count), np.arange(count))
        grid = first[0] + np.arange(count)
        p = np.exp(-0.5 * ((grid - centre) / scale) ** 2)
        assert np.abs(freq / WHOLE - p / p.sum()).max() < 0.02 * (p / p.sum()).max()
        assert (freq >= 1).all()
        assert np.array_equal(rows.find(np.repeat(row, count), start), np.arange(count))
        assert np.array_equal(rows.find(np.repeat(row, count), start + freq - 1), np.arange(count))
    assert rows.at(np.array([0]), np.array([10_000]))[1].tolist() == [0]


def test_the_prior_is_a_standard_normal() -> None:
    edges, first = even_bells(SHAPES["falling"], 1, 8)
    grid = (first + np.arange(len(edges) - 1)) / 2
    p = np.diff(edges) / WHOLE
    assert edges[0] == 0
    assert edges[-1] == WHOLE
    assert (p * grid).sum() == pytest.approx(0, abs=1e-3)
    assert (p * grid**2).sum() == pytest.approx(1, abs=1e-3)


# Likelihoods


def told(family: object, space: Image, bits: int = 14) -> Blend:
    from morphogen.codec.rungs import Told, _speech

    known = Told()
    facts = _speech(family, space, known, "p")  # type: ignore[arg-type]
    speech = speech_of(facts, bits, known.arrays, SHAPES)
    return speech  # type: ignore[return-value]


class Cost(Stack):
    """Counts the information of what is pushed."""

    total = 0.0

    def push(self, start: np.ndarray, freq: np.ndarray, bits: object) -> None:
        assert (freq > 0).all()
        assert (start + freq <= WHOLE).all()
        self.total += float((BITS - np.log2(freq)).sum())


FAMILIES = [
    ("logistics", {"mixture": 5}, Image(4, 4, 1, 256)),
    ("logistics", {"mixture": 3}, Image(4, 4, 3, 256)),
    ("logistics", {"mixture": 2}, Image(3, 3, 2, 100)),
    ("bernoulli", {}, Image(4, 4, 1, 2)),
    ("normal", {}, Image(4, 4, 3, 256)),
    ("normal-shared", {"scale": 0.1}, Image(4, 4, 1, 256)),
]


@pytest.mark.parametrize(("name", "more", "space"), FAMILIES)
def test_pixels_cost_what_the_family_says_and_come_back(
    name: str, more: dict[str, object], space: Image, draw: np.random.Generator
) -> None:
    family = part("families", {"use": name} | more)(space)
    speech, top = told(family, space), space.levels - 1
    said = torch.from_numpy(draw.normal(0, 0.7, (50, *family.out.shape))).float()
    x = (family(said).sample() * top).round().clamp(0, top).to(torch.int64)
    whole = np.rint(said.double().numpy() * 2**14).astype(np.int64)
    cost = Cost()
    speech.push(cost, whole, x.numpy())
    said = torch.from_numpy(whole / 2.0**14).float()
    if family.mass:
        theory = -family(said).log_prob(x.float() / top).sum().item() / math.log(2)
        assert cost.total == pytest.approx(theory, rel=3e-3)
    stack, before = filled(np.random.default_rng(1), 16), filled(np.random.default_rng(1), 16)
    speech.push(stack, whole, x.numpy())
    assert np.array_equal(speech.pop(stack, whole), x.numpy())
    assert same(stack, before)


@pytest.mark.parametrize("name", ["normal-shared", "normal-fixed"])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_density_costs_its_integral_over_a_level(name: str, depth: int, draw: np.random.Generator) -> None:
    """A family that tells means only has one scale, whatever the means are."""
    space = Image(4, 4, depth, 256)
    family = part("families", {"use": name, "scale": 0.05})(space)
    said = torch.from_numpy(draw.uniform(0.3, 0.7, (50, *family.out.shape))).float()
    x = (family(said).sample() * 255).round().clamp(0, 255)
    cost = Cost()
    told(family, space).push(cost, np.rint(said.double().numpy() * 2**14).astype(np.int64), x.long().numpy())
    density = -family(said).log_prob(x / 255).sum().item() + x.numel() * math.log(255)
    assert cost.total == pytest.approx(density / math.log(2), rel=5e-3)


def test_every_level_has_an_interval_and_they_fill_the_whole(draw: np.random.Generator) -> None:
    """Whatever a decoder says, even nonsense: 256 intervals without gaps, none of them empty."""
    space = Image(1, 1, 1, 256)
    speech = told(part("families", {"use": "logistics", "mixture": 4})(space), space)
    for scale in (1, 1 << 14, 1 << 18, 1 << 23):
        said = np.clip(draw.integers(-scale, scale + 1, (1, 12, 1, 1)), -(1 << 23), 1 << 23)
        edges = []

        class Noted(Stack):
            def push(self, start: np.ndarray, freq: np.ndarray, bits: object) -> None:
                edges.append((int(start[0]), int(freq[0])))  # noqa: B023

        for level in range(256):
            speech.push(Noted(), said, np.full((1, 1, 1, 1), level))
        assert edges[0][0] == 0
        assert all(f >= 1 for _, f in edges)
        assert all(a + f == b for (a, f), (b, _) in itertools.pairwise(edges))
        assert sum(edges[-1]) == WHOLE


# Pictures


def model_of(name: str, space: Image, **more: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = part("models", {"use": name} | more)(space, None)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    return model.eval()


LOGISTICS = {"use": "logistics", "mixture": 3}
MODELS = [
    ("ladder", Image(8, 8, 1), {"rungs": [1, 1], "latent": 2, "width": 8, "pieces": 4, "likelihood": LOGISTICS}),
    ("ladder", Image(8, 12, 3), {"rungs": [0, 1], "latent": 3, "width": 8, "act": "relu", "likelihood": LOGISTICS}),
    ("ladder", Image(8, 8, 1, 2), {"rungs": [2], "latent": 2, "width": 8, "pieces": 2, "likelihood": "bernoulli"}),
    ("vae", Image(6, 6, 1), {"latent": 5, "net": {"use": "mlp", "widths": [16]}, "likelihood": LOGISTICS}),
    ("vae", Image(8, 8, 3), {"latent": 4, "net": {"use": "conv", "width": 4, "limit": 8}, "likelihood": "normal"}),
    (
        "vae",
        Image(8, 8, 1, 2),
        {"latent": 4, "net": {"use": "resnet", "width": 4, "limit": 8}, "likelihood": "bernoulli"},
    ),
]


@pytest.mark.parametrize(("name", "space", "more"), MODELS)
def test_pictures_come_back_bit_for_bit(name: str, space: Image, more: dict[str, object]) -> None:
    model, top = model_of(name, space, **more), space.levels - 1
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(0, space.levels, (70, *space.shape), generator=draw)
    profile = profile_of_model(model, x[:32].float() / top).to_bytes()
    tiles = x.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    fast, slow = Learned(profile), Learned(profile, oracle=True)
    for n in (1, 3, 70):
        data = fast.encode(tiles[:n])
        assert np.array_equal(fast.decode(data, tiles[:n].shape), tiles[:n])
    few = fast.encode(tiles[:5])
    assert slow.encode(tiles[:5]) == few, "NumPy alone writes the same bytes"
    assert np.array_equal(slow.decode(few, tiles[:5].shape), tiles[:5])
    assert Learned(profile).digest == fast.digest


def test_a_picture_costs_what_the_bound_says() -> None:
    space = Image(8, 8, 1)
    model = model_of("ladder", space, rungs=[1, 1], latent=2, width=8, pieces=2, likelihood=LOGISTICS)
    with torch.no_grad():
        x = model.sample(600)
    profile = profile_of_model(model, x[:64])
    learned = Learned(profile.to_bytes())
    tiles = (x * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    bits = 8 * len(learned.encode(tiles))
    with torch.no_grad():
        review = torch.cat([model.review(batch)["loss"] for batch in _batches(x)])
    theory = float(review.sum()) / math.log(2)
    draws = profile.facts["draws"] * 64 / 1000
    assert bits == pytest.approx(theory, rel=5e-3, abs=2 * draws + 96)


def _batches(x: torch.Tensor) -> list[object]:
    from morphogen.core.batch import Batch

    return [Batch(part) for part in x.split(100)]


def test_a_fully_convolutional_model_takes_other_sizes() -> None:
    model = model_of("ladder", Image(8, 8, 1), rungs=[1, 1], latent=2, width=8, likelihood=LOGISTICS)
    x = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    learned = Learned(profile_of_model(model, (x * 255).round() / 255).to_bytes())
    assert learned.tile(8, 8, 1) == (8, 8)
    assert learned.tile(5, 70, 1) == (8, 36)
    assert learned.tile(8, 8, 3) is None
    tiles = np.random.default_rng(0).integers(0, 256, (3, 12, 20, 1), dtype=np.uint8)
    assert np.array_equal(learned.decode(learned.encode(tiles), tiles.shape), tiles)


def test_nearly_all_damage_is_seen() -> None:
    """A flipped bit of a level that was told plainly may pass: the archive's checksums are for that."""
    model = model_of("vae", Image(6, 6, 1), latent=3, net={"use": "mlp", "widths": [8]}, likelihood=LOGISTICS)
    x = torch.randint(0, 256, (20, 1, 6, 6), generator=torch.Generator().manual_seed(4))
    learned = Learned(profile_of_model(model, x.float() / 255).to_bytes())
    tiles = x.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    data, passed = bytearray(learned.encode(tiles)), []
    for bit in range(0, 8 * len(data), 8 * len(data) // 40):
        data[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(UserError):
            learned.decode(bytes(data), tiles.shape)
            passed.append(bit)
        data[bit // 8] ^= 1 << bit % 8
    assert len(passed) <= 4
    for length in (0, 4, 12, len(data) - 4, len(data) - 1):
        with pytest.raises(UserError, match="damaged"):
            learned.decode(bytes(data[:length]), tiles.shape)
    with pytest.raises(UserError, match="damaged"):
        learned.decode(bytes(data), (21, 6, 6, 1))
    with pytest.raises(UserError, match="damaged"):
        learned.decode(bytes(data), (20, 6, 7, 1))


@pytest.mark.parametrize("n", [1, 2, 17, 300, 5000])
def test_batches_cover_all_pictures(n: int) -> None:
    done = 0
    for start, count, lanes in schedule(n, 900_000, 500_000):
        assert start == done
        assert 1 <= count <= 64
        assert lanes & (lanes - 1) == 0
        done += count
    assert done == n


@pytest.mark.parametrize(
    ("name", "more", "word"),
    [
        ("vae", {"prior": {"use": "mixture", "components": 3}}, "prior = normal"),
        ("vae", {"posterior": "point", "terms": ["distortion"]}, "posterior = normal"),
        ("gan", {}, "ladder"),
        ("vae", {"likelihood": "bernoulli"}, "logistics"),
        ("vae", {"likelihood": {"use": "normal-shared", "squash": True}}, "logistics"),
    ],
)
def test_models_that_cannot_compress_say_what_would(name: str, more: dict[str, object], word: str) -> None:
    model = model_of(name, Image(6, 6, 1), **({"net": {"use": "mlp", "widths": [8]}} | more))
    with pytest.raises(UserError, match=word):
        profile_of_model(model, torch.rand(8, 1, 6, 6))


@pytest.fixture(scope="module")
def small() -> Profile:
    model = model_of("ladder", Image(8, 8, 1), rungs=[1, 1], latent=2, width=8, likelihood=LOGISTICS)
    return profile_of_model(model, torch.rand(16, 1, 8, 8))


@pytest.mark.parametrize("gone", ["rungs", "pieces", "patch", "cost", "space", "tile"])
def test_a_profile_that_lacks_something_is_refused(gone: str, small: Profile) -> None:
    broken = Profile({k: v for k, v in small.facts.items() if k != gone}, small.graphs, small.arrays)
    with pytest.raises(UserError, match="damaged"):
        Learned(broken.to_bytes())


def places(said: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every leaf of a tree of lists and objects."""
    if isinstance(said, (dict, list)):
        for key in said if isinstance(said, dict) else range(len(said)):
            yield from places(said[key], (*path, key))
    else:
        yield path


def changed(facts: dict[str, object], place: tuple[str | int, ...], value: object) -> dict[str, object]:
    """Facts with another value in a place."""
    again = json.loads(json.dumps(facts))
    of = again
    for key in place[:-1]:
        of = of[key]
    of[place[-1]] = value
    return again


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_profile_may_say_anything_and_asks_for_little(small: Profile, every: int) -> None:
    """Every fact, changed to what it must not be: refused, or harmless to build tables from and to decode with."""
    wrongs = [
        None,
        True,
        -1,
        0,
        1,
        2,
        9,
        64,
        255,
        70_000,
        -600_000,
        1 << 21,
        1 << 40,
        1 << 62,
        "",
        "blend",
        [],
        [1 << 40],
        {},
    ]
    tiles, refused = np.zeros((3, 8, 8, 1), np.uint8), 0
    data = Learned(small.to_bytes()).encode(tiles)
    tracemalloc.start()
    for number, (place, wrong) in enumerate((p, w) for p in places(small.facts) for w in wrongs):
        if number % every:  # some of all, and other wrongs at each place
            continue
        facts = changed(small.facts, place, wrong)
        began = time.process_time()
        try:
            learned = Learned(Profile(facts, small.graphs, small.arrays).to_bytes())
        except UserError:
            refused += 1
            continue
        with contextlib.suppress(UserError, ValueError, ArithmeticError, LookupError):  # as blocks.py does, and more
            learned.decode(data, tiles.shape)
        assert time.process_time() - began < 20, (place, wrong)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 450 / every
    assert peak < 256 << 20


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("falling", [-(1 << 50), 10, 1, 2, 3]),  # an integral over 2^50 places
        ("normal", [-(1 << 50), 5, 1, 2, 3]),
        ("exp", [0, 40, 1, 2, 3]),
        ("exp", [-2, 0, 0, 0, 0, 0]),  # shares of nothing
        ("logistic", [-2, 0, 3, 2, 1, 0]),
        ("tanh", [-2, 0]),
    ],
)
def test_curves_that_ask_for_too_much_are_refused(name: str, array: list[int], small: Profile) -> None:
    arrays = dict(small.arrays) | {f"curve/{name}": np.array(array, np.int64)}
    with pytest.raises(UserError, match=f"curve {name}"):
        Learned(Profile(small.facts, small.graphs, arrays).to_bytes())


def test_a_bell_has_the_mean_and_scale_of_its_posterior(small: Profile) -> None:
    packer = Learned(small.to_bytes()).packer
    for rung in packer.rungs:
        mean = np.linspace(-3, 3, 50)
        for scale in (-rung.fineness * math.log(2), 0.3):  # as narrow as the grid, and wider
            fine = [np.rint(v * 2.0**FINE).astype(np.int64) for v in (mean, np.full(50, scale))]
            rows, first = packer._bell(rung, *fine)
            for row, start, wanted in zip(rows, first, mean, strict=True):
                place = np.arange(packer.bells.width(row))
                p = packer.bells.at(np.full(len(place), row), place)[1] / WHOLE
                z = (start + place) / 2.0**rung.fineness
                assert float(p @ z) == pytest.approx(wanted, abs=2.0**-rung.fineness / PARTS)
                wide = float(p @ (z - p @ z) ** 2) ** 0.5
                assert wide == pytest.approx(math.exp(scale), rel=0.05)


def blocks_compared(count: int, seed: int) -> None:
    """Blocks of one to three pictures, written by one implementation and read by the other, exactly and nearly."""
    model = model_of("vae", Image(6, 5, 1), latent=3, net={"use": "mlp", "widths": [12]}, likelihood=LOGISTICS)
    profile = profile_of_model(model, torch.rand(64, 1, 6, 5)).to_bytes()
    fast, slow = Learned(profile), Learned(profile, oracle=True)
    draw = np.random.default_rng(seed)
    for number in range(count):
        width = int(draw.integers(1, 257))
        tiles = draw.integers(0, width, (1 + number % 3, 6, 5, 1), dtype=np.uint16).astype(np.uint8)
        data = fast.near(tiles, 3) if number % 4 == 3 else fast.encode(tiles)
        back = slow.decode(data, tiles.shape)
        assert np.abs(back.astype(int) - tiles).max() <= (3 if number % 4 == 3 else 0), (seed, number)


def test_blocks_of_one_implementation_are_read_by_the_other() -> None:
    blocks_compared(200, 0)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_thousand_blocks(part: int) -> None:
    blocks_compared(10_000, 1 + part)


# Sabotage


class Sabotaged:
    """Encodes by a model in which something is wrong, and is read by the one that is right."""

    def __init__(self, right: Learned, seed: int) -> None:
        self.right, self.profile, self.digest = right, right.profile, right.digest
        self.tile, self.decode, self.accepts = right.tile, right.decode, right.accepts
        rng, read = np.random.default_rng(seed), right.read
        self.way = ("number", "order", "plan", "grid")[seed % 4] if seed % 8 > 3 else "number"
        facts, arrays = json.loads(json.dumps(read.facts)), dict(read.arrays)
        if self.way == "plan":
            facts["cost"] = facts["cost"] * int(rng.integers(3, 40))
        if self.way == "grid":
            facts["rungs"][0]["scales"][0] += int(rng.integers(1 << 12, 1 << 16))
            facts["rungs"][0]["fineness"] += 1
        if self.way == "number":  # of a weight, a table, a curve
            name = str(rng.choice(sorted(name for name in arrays if not name.startswith("hope"))))
            array = arrays[name].astype(np.int64)
            place = int(rng.integers(array.size))
            array.reshape(-1)[place] += int(rng.choice([-1, 1])) << int(rng.integers(0, 6))
            arrays[name] = array
        self.wrong = packer_of(Profile(facts, read.graphs, arrays), Carried(read.graphs, arrays))

    def encode(self, tiles: np.ndarray) -> bytes:
        x = tiles[::-1] if self.way == "order" else tiles
        return bytes([0, 1]) + self.wrong.encode(x.transpose(0, 3, 1, 2).astype(np.int64))


def sabotaged(folder: Path, profile: Profile, seeds: range) -> int:
    """How many of them the archive noticed; every one comes back bit for bit."""
    right = Learned(profile.to_bytes())
    draw = np.random.default_rng(0)
    x = (draw.integers(0, 9, (40, 8, 8)) + 20 * np.arange(40)[:, None, None] % 200).astype(np.uint8)
    np.save(folder / "x.npy", x)
    noticed = 0
    for seed in seeds:
        try:
            wrong = Sabotaged(right, seed)
        except UserError:  # the proof, or a limit, noticed
            noticed += 1
            continue
        said = pack([folder / "x.npy"], folder / "x.mgn", wrong, force=True)  # type: ignore[arg-type]
        noticed += bool(said["fallbacks"])
        unpack(str(folder / "x.mgn"), str(folder / "back"), Learned, force=True)
        assert np.array_equal(np.load(folder / "back" / "x.npy"), x), (seed, wrong.way)
    return noticed


def test_sabotaged_models_end_in_deflate_or_in_the_right_picture(small: Profile, tmp_path: Path) -> None:
    """A number that no picture depends on may be wrong unnoticed; order, plan and grid may not."""
    assert sabotaged(tmp_path, small, range(32)) >= 16


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_thousand_sabotaged_models(small: Profile, tmp_path: Path) -> None:
    assert sabotaged(tmp_path, small, range(1000)) >= 500
