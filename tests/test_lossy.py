"""Pictures that come back nearly: within an error that was asked for, or as the model's own decoder has them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from morphogen.codec import blocks, sketch
from morphogen.codec.frozen import profile_of_model
from morphogen.codec.hopes import expected, head
from morphogen.codec.learned import NEAR, PLAIN, SKETCH, Learned
from morphogen.codec.lossy import Lossy
from morphogen.codec.pack import pack
from morphogen.codec.tables import FINE
from morphogen.codec.unpack import unpack
from morphogen.core.build import part
from morphogen.core.space import Image
from morphogen.errors import UserError

LOGISTICS = {"use": "logistics", "mixture": 3}
LADDER = {"use": "ladder", "rungs": [1, 1], "latent": 3, "width": 8}
VAE = {"use": "vae", "latent": 5, "net": {"use": "mlp", "widths": [24]}, "likelihood": "normal-shared"}
KINDS = {
    "ladder": (LADDER | {"pieces": 4, "likelihood": LOGISTICS}, Image(8, 12, 3)),
    "ladder of one piece": (LADDER | {"likelihood": {"use": "normal-shared"}}, Image(8, 8, 1)),
    "vae": (VAE, Image(6, 7, 1)),
}


def smooth(n: int, space: Image, seed: int = 0) -> torch.Tensor:
    """Pictures that a small model can learn: slopes, some of them steep."""
    draw = torch.Generator().manual_seed(seed)
    down, across, base = (torch.rand(n, space.channels, 1, 1, generator=draw) for _ in range(3))
    y, x = torch.arange(space.height).view(-1, 1) / space.height, torch.arange(space.width) / space.width
    return ((base + down * y + across * x) / 3 * 255).round() / 255


def trained(recipe: dict[str, object], space: Image) -> torch.nn.Module:
    """A model that has learned something of `smooth`, so that its latents say it."""
    from morphogen.core.batch import Batch
    from morphogen.core.noise import Noise, source

    torch.manual_seed(0)
    model = part("models", recipe)(space)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        with source(Noise(step, "train")):
            for turn in model.play(Batch(smooth(32, space, step)), step):
                optimiser.zero_grad()
                turn.loss.backward()
                optimiser.step()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, Learned, np.ndarray]:
    recipe, space = KINDS[request.param]
    model = trained(recipe, space)
    learned = Learned(profile_of_model(model, smooth(64, space, 1000)).to_bytes())
    tiles = (smooth(21, space, 2000) * 255).round().permute(0, 2, 3, 1).numpy().astype(np.uint8)
    return model, learned, tiles


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_no_level_is_further_off_than_was_asked(kind) -> None:
    _, learned, tiles = kind
    noisy = np.random.default_rng(0).integers(0, 256, tiles.shape, dtype=np.uint8)  # 0 and 255 among them
    sizes = [len(learned.encode(tiles))]
    for error in (1, 2, 7, 127):
        for each in (tiles, noisy):
            data = learned.near(each, error)
            back = learned.decode(data, each.shape)
            assert data[:2] == bytes([NEAR, error])
            assert apart(back, each) <= error
            assert np.array_equal(learned.decode(learned.near(back, error), each.shape), back)
        sizes.append(len(learned.near(tiles, error)))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 2


def test_a_fine_sketch_is_the_models_own_reconstruction(kind) -> None:
    """Medians of p(x | centre of q): of the model in floats, with grids so fine that rounding does nothing."""
    model, learned, tiles = kind
    x = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    z, rungs = model.encode(x), learned.read.facts["rungs"]
    if len(rungs) == 1:  # of a vae; of a ladder, what a silent channel says is less than what is allowed for here
        z = z * torch.zeros(z.shape[1]).index_fill(0, torch.tensor(rungs[0]["live"]), 1.0)
    mine = (model.decode(z).clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    back = learned.decode(learned.sketch(tiles, -7 * sketch.NOTCHES), tiles.shape)
    away = np.abs(back.astype(int) - mine.astype(int))
    if len(learned.read.facts["pieces"]) == 1:
        assert np.quantile(away, 0.98) <= 2
    else:  # the median of a mixture is not the centre of its likeliest part, and later pieces follow earlier ones
        assert np.median(away) <= 16


def test_more_loss_takes_fewer_bytes(kind) -> None:
    _, learned, tiles = kind
    sizes, errors = [], []
    for notch in range(-32, 33, 16):
        data = learned.sketch(tiles, notch)
        back = learned.decode(data, tiles.shape)
        assert data[0] == SKETCH
        sizes.append(len(data))
        errors.append(float(np.square(back.astype(float) - tiles).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors[0] < errors[-1]


def test_both_implementations_sketch_the_same_bytes(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    _, learned, tiles = kind
    monkeypatch.setattr(sketch, "PIXELS", 8 * tiles.shape[1] * tiles.shape[2])  # three batches
    oracle = Learned(learned.profile, oracle=True)
    for encode in (lambda which: which.sketch(tiles, 3), lambda which: which.near(tiles, 4)):
        data = encode(learned)
        assert encode(oracle) == data
        assert np.array_equal(oracle.decode(data, tiles.shape), learned.decode(data, tiles.shape))


def test_a_hope_that_is_wrong_costs_quality_not_truth(kind) -> None:
    """Pictures unlike any that it learned from: points off the bell are moved to its edge, and decode to the same."""
    _, learned, tiles = kind
    wild = np.random.default_rng(1).integers(0, 2, tiles.shape, dtype=np.uint8) * 255
    data = learned.sketch(wild, -16)
    assert learned.decode(data, wild.shape).shape == wild.shape
    for wrong in (
        b"",
        b"\x02",
        bytes([SKETCH, 128, 0]),
        bytes([SKETCH, 128, 200]) + data[3:],
        bytes([9]) + data[1:],
        data[:-4],
    ):
        with pytest.raises(UserError, match="damaged"):
            learned.decode(wrong, wild.shape)


def test_a_head_learns_what_the_state_knows() -> None:
    """Centres that are linear in the activated state, with a scale that is another of its numbers."""
    draw = torch.Generator().manual_seed(0)
    state = torch.randn(40, 3, 16, 16, generator=draw)
    known = torch.nn.functional.silu(state)
    scale = torch.exp(0.8 * known[:, 2:] - 1.0)
    mean = 2 * known[:, :1] - known[:, 1:2] + 0.5 + scale * torch.randn(scale.shape, generator=draw)
    noise = [round(-3.0 * 2**FINE)]
    centre, log_scale = head(state, mean, noise)(state).chunk(2, 1)
    rounding = math.exp(-3.0) ** 2
    wide = 0.5 * torch.log(scale.square() + rounding)
    assert (centre - (2 * known[:, :1] - known[:, 1:2] + 0.5)).abs().mean() < 0.1
    assert (log_scale - wide).abs().mean() < 0.1
    plain = expected(mean, noise)[:, 0] / 2.0**FINE
    assert plain[0] == pytest.approx(float(mean.mean()), abs=1e-3)
    assert plain[1] == pytest.approx(0.5 * math.log(float(mean.var()) + rounding), abs=1e-2)


def test_lossy_takes_the_way_that_keeps_the_error(kind) -> None:
    _, learned, tiles = kind
    sketched, near = Lossy(learned, 2.0, None), Lossy(learned, 2.0, 1)
    assert sketched.encode(tiles)[0] == SKETCH
    assert near.encode(tiles)[0] == NEAR
    assert near.accepts(tiles, near.decode(near.encode(tiles), tiles.shape))
    assert not near.accepts(tiles, (tiles // 2).astype(np.uint8))
    for loss, error, word in [
        (0.0, None, "loss"),
        (17.0, None, "loss"),
        (float("nan"), None, "loss"),
        (None, 128, "max"),
    ]:
        with pytest.raises(UserError, match=word):
            Lossy(learned, loss, error)


@pytest.mark.parametrize(("loss", "error"), [(None, 5), (1.0, None), (4.0, 9)])
def test_an_archive_is_of_what_comes_back(kind, loss, error, tmp_path: Path, monkeypatch) -> None:
    """Its report says how far that is from what went in, and it packs to the same again."""
    _, learned, tiles = kind
    monkeypatch.setattr(blocks, "NEAR", 0.0)  # deflate would win: so small a file, and so little learned
    file = tmp_path / "x.npy"
    np.save(file, tiles)
    said = pack([file], tmp_path / "x.mgn", Lossy(learned, loss, error), oracle=Learned(learned.profile, oracle=True))
    unpack(str(tmp_path / "x.mgn"), str(tmp_path / "back"), Learned)
    back = np.load(tmp_path / "back" / "x.npy")
    assert said["blocks"]["learned"] == 1
    away = np.abs(back.astype(int) - tiles)
    whole = back.shape[1:3] == tuple(learned.tile_of(*back.shape[1:], 256) or ())
    assert away.max() == said["largest_error"] or not whole
    if whole:
        assert said["psnr_db"] == pytest.approx(10 * math.log10(255**2 / float(np.square(away).mean())), abs=0.01)
    if error:
        assert away.max() <= error


@pytest.mark.parametrize("levels", [2, 17])
def test_pictures_of_few_levels_come_back_as_they_were_stored(levels: int) -> None:
    """Counted from 0, or up to white; what has other levels is for another codec."""
    space = Image(8, 8, 1, levels)
    torch.manual_seed(0)
    model = part("models", LADDER)(space)
    x = torch.randint(0, levels, (30, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    learned = Learned(profile_of_model(model, x.float() / (levels - 1)).to_bytes())
    counted = x.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    for worth in (1, 255 // (levels - 1)):
        data = learned.encode(counted * worth)
        assert data[:2] == bytes([PLAIN, worth])
        assert np.array_equal(learned.decode(data, counted.shape), counted * worth)
        with pytest.raises(UserError, match="damaged"):
            learned.decode(bytes([PLAIN, 77]) + data[2:], counted.shape)
    with pytest.raises(UserError, match="levels only"):
        learned.encode((counted + 3).astype(np.uint8))
    for lossy in (
        lambda: learned.near(counted, 1),
        lambda: learned.sketch(counted, 0),
        lambda: Lossy(learned, 1.0, None),
    ):
        with pytest.raises(UserError, match=f"{levels} levels"):
            lossy()
