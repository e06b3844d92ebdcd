"""Damages, and what is known of an example after one: closed forms, coverage that is what it says, the border."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import names, part
from morphogen.core.conditional import Family
from morphogen.core.damage import Damage, chain, missing
from morphogen.core.distribution import Normal
from morphogen.core.filling import filled
from morphogen.core.given import mended, posterior
from morphogen.core.inference import Inference, Latent
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Sound, Tokens, Vector
from morphogen.core.worded import read_damage
from morphogen.damages.noise import learn_sigma
from morphogen.errors import UserError
from morphogen.metrics.closeness import coverage, psnr, ssim
from morphogen.restoration import Restored, gibbs, refined, restore_batch, summed, weighed
from morphogen.tiling import large_space, restore_tiles

SPACE = Image(8, 8, 3)
CHAINS = ["mask=half", "mask=0.5", "mask=box", "mask=any", "noise=0.2", "poisson=20", "salt=0.2", "blur=1", "shrink=2",
          "grey",
          "quantise=30", "shrink=2 + noise=0.1", "blur, sigma=0.7 + noise=0.1", "mask=top + noise=0.1",
          "grey + shrink=4 + noise=0.05", "noise=0.1 + mask=0.3"]  # fmt: skip


@pytest.fixture(autouse=True)
def _drawn():
    with noise.source(Noise(0)):
        yield


def made(said, space=SPACE):
    return chain(space, read_damage(said))


def pictures(n=4, space=SPACE):
    return torch.rand(n, *space.shape, generator=torch.Generator().manual_seed(1))


# Damages


def test_the_list_of_damages_is_whole():
    said = {p.use for line in CHAINS for p in read_damage(line)}
    assert said == {n for n in names("damages") if part("damages", n).make.__module__.startswith("morphogen.")}


@pytest.mark.parametrize("said", CHAINS)
def test_a_damage_keeps_its_word(said):
    damage, x = made(said), pictures()
    y = damage(x)
    assert y.shape == (4, *damage.left.shape)
    guess, known = damage.guess(y), damage.known(y)
    assert guess.shape == known.shape == x.shape
    assert torch.isfinite(guess).all()
    assert 0 <= known.min() <= known.max() <= 1 + 1e-5
    log_p = damage.log_each(x, torch.full_like(x, 0.01), y)
    assert log_p.shape == y.shape
    assert torch.isfinite(log_p).all()
    assert (log_p[missing(y)] == 0).all()
    assert made(damage.told())(x).shape == y.shape, "what is told can be said again"
    with noise.source(Noise(3, total=4)):
        whole = damage(x)
    with noise.source(Noise(3, start=1, total=4)):
        assert torch.allclose(damage(x[1:3]), whole[1:3], atol=1e-6, equal_nan=True), "no row knows of the others"


@pytest.mark.parametrize("said", [c for c in CHAINS if "salt" not in c and "mask" not in c and "quantise" not in c])
def test_the_moments_are_those_of_what_is_drawn(said):
    damage = made(said)
    mean, deviation = 0.3 + 0.7 * pictures(1), 0.1
    x = mean + deviation * noise.normal((10_000, *SPACE.shape), event=3, like=mean)
    y = damage(x).double()
    wanted, variance = damage.moments(mean, torch.full_like(mean, deviation**2))
    assert torch.allclose(y.mean(0), wanted[0].double(), atol=0.01)
    inside = (..., slice(3, -3), slice(3, -3)) if "blur" in said else ...  # a border that goes on is one element twice
    assert torch.allclose(y.var(0)[inside], variance[0].double()[inside], rtol=0.15, atol=1e-4)


def test_a_step_is_linear():
    for said in CHAINS:
        damage, a, b = made(said), pictures(2), pictures(4)[2:]
        whole = damage.turn(a + 2 * b)
        assert torch.allclose(whole, damage.turn(a) + 2 * damage.turn(b), atol=1e-5), said


@pytest.mark.parametrize("said", ["noise=0.1", "shrink=2 + noise=0.1", "blur=1 + noise=0.1", "grey + noise=0.05",
                                  "mask=half + noise=0.1", "blur, sigma=0.7 + mask=box + noise=0.2"])  # fmt: skip
def test_what_normals_say_together_is_exact(said):
    """Against the textbook: m + V A' (A V A' + R)^-1 (y - A m), with A as a matrix."""
    space = Image(6, 6, 3)
    damage = made(said, space)
    mean = pictures(1, space)
    variance = 0.02 + 0.1 * torch.rand(mean.shape, generator=torch.Generator().manual_seed(2))
    y = damage(mean + variance.sqrt() * noise.normal(mean.shape, event=3, like=mean))
    basis = torch.eye(space.size).reshape(-1, *space.shape)
    rows = ~missing(y).flatten()
    a = damage.turn(basis).reshape(space.size, -1).T.double()[rows]
    r = damage.moments(mean, torch.zeros_like(mean))[1].flatten().double()[rows]
    v, m = variance.flatten().double(), mean.flatten().double()
    gain = v[:, None] * a.T @ torch.linalg.inv(a * v @ a.T + torch.diag(r))
    wanted = m + gain @ (y.flatten().double()[rows] - a @ m)
    said_ = mended(damage, mean, damage.turn(mean), variance, y).flatten().double()
    assert torch.allclose(said_, wanted, atol=2e-3)


def test_the_strength_of_noise_is_learned_from_the_picture():
    x = torch.linspace(0, 1, 32).expand(3, 1, 32, 32)
    for sigma in (0.05, 0.2):
        y = x + sigma * noise.normal(x.shape, event=3, like=x)
        assert torch.allclose(learn_sigma(y, Image(32, 32)), torch.full((3,), sigma), rtol=0.2)
        y[..., :16] = float("nan")
        damage = made("noise + mask=left", Image(32, 32)).learned(y)
        assert damage.told() == damage.told()
        assert torch.allclose(damage.links[0].sigma.flatten(), torch.full((3,), sigma), rtol=0.3)
    with pytest.raises(UserError, match=r"noise=0\.1"):
        made("noise", Vector(5)).learned(torch.zeros(1, 5))
    with pytest.raises(UserError, match="beneath other damages"):
        made("noise + shrink=2").learned(torch.zeros(1, 3, 4, 4))
    with pytest.raises(UserError, match="too little"):
        made("noise").learned(torch.full((1, 3, 8, 8), float("nan")))


def fill(y, space):
    return filled(y, missing(y), space)


def test_gaps_are_filled_from_around_them():
    y = torch.full((1, 1, 5, 5), 0.3)
    y[..., 1:4, 1:4] = float("nan")
    assert torch.allclose(fill(y, Image(5, 5)), torch.full_like(y, 0.3))
    assert torch.equal(fill(torch.full((1, 1, 5, 5), math.nan), Image(5, 5)), torch.full((1, 1, 5, 5), 0.5))
    assert fill(torch.tensor([[1.0, math.nan]]), Vector(2)).tolist() == [[1.0, 0.0]]
    assert fill(torch.tensor([[1, -1]]), Tokens(2, 3)).tolist() == [[1, 0]]


def test_narrow_gaps_are_smooth_and_what_is_seen_stays():
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(30.0), indexing="ij")
    x = (0.5 + 0.4 * torch.sin(rows / 4) * torch.cos(columns / 5)).expand(2, 1, 24, 30)
    gone = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < 0.7
    y = x.masked_fill(gone, float("nan"))
    found = fill(y, Image(24, 30))
    assert torch.equal(found[~gone], x[~gone])
    assert float((found - x).square().mean().sqrt()) < 0.02, "means of neighbours alone are at 0.035"
    assert float(found.amin()) >= float(x[~gone].amin())
    assert float(found.amax()) <= float(x[~gone].amax())


BAD = {
    "": "which damage",
    "nois=0.2": "did you mean 'noise'",
    "noise=-1": "sigma = -1",
    "noise=nan": "sigma",
    "noise=much": "sigma = 'much'",
    "noise=0.1 + ": "there is no damage",
    "noise, strength=3": "takes no 'strength'",
    "noise, 3": "says no value",
    "grey=3": "grey takes no value",
    "mask=1.5": "from 0 to 1",
    "mask=nowhere.png": "no such picture",
    "mask=true": "what",
    "salt=0": "share = 0",
    "salt=1": "share = 1",
    "poisson=0": "peak = 0",
    "poisson=1e-30": "peak",
    "blur=0": "sigma = 0",
    "blur=1e9": "leaves nothing",
    "mask=/dev/zero": "no such picture",
    "mask=.": "no such picture",
    "noise=1e400": "sigma",
    "shrink=1e9": "does not divide",
    "+".join(["noise=0.1"] * 17): "17 damages",
    "blur, kernel=[[1]": "kernel",
    "shrink=3": "does not divide 8 x 8; use one of 2, 4, 8",
    "shrink=1": "factor = 1",
    "quantise=0": "quality = 0",
    "grey + grey": "three channels",
}


@pytest.mark.parametrize("said", BAD)
def test_a_wrong_damage_is_told(said):
    with pytest.raises(UserError, match=BAD[said].replace("[", r"\[")):
        made(said)


def test_a_mask_that_hides_nothing_is_told(tmp_path):
    from PIL import Image as Pictures

    clear = np.zeros((8, 8, 4), np.uint8)  # the hole is transparent, and nowhere white
    clear[2:4, 2:4, 3] = 255
    Pictures.fromarray(clear).save(tmp_path / "hole.png")
    with pytest.raises(UserError, match="hides nothing: paint what is missing white"):
        made(f"mask={tmp_path / 'hole.png'}")
    whole = pictures()
    with pytest.raises(UserError, match="nothing is missing in what was given"):
        made("mask=given").read(whole)
    whole[0, 0, 0, 0] = float("nan")
    assert made("mask=given").read(whole) is whole


def test_damages_of_pictures_are_refused_elsewhere():
    for said in ("blur", "shrink=2", "grey", "quantise"):
        with pytest.raises(UserError, match="picture"):
            made(said, Vector(4))
    for said in ("noise=0.1", "salt", "poisson"):
        with pytest.raises(UserError, match="mask"):
            made(said, Tokens(6, 5))
    with pytest.raises(UserError, match="below 0"):
        made("poisson", Sound(8))
    assert missing(made("mask=half", Tokens(6, 5))(torch.ones(2, 6, dtype=torch.int64))).sum() == 6


# Likelihoods


@pytest.mark.parametrize("family", ["bernoulli", "logistics", "categorical", "laplace", "normal", "normal-shared"])
def test_a_likelihood_knows_its_moments(family):
    space = Image(2, 2, 3, 2 if family == "bernoulli" else 16)
    made_: Family = part("families", family)(space).requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    p = made_(0.5 * torch.randn(1, *made_.out.shape, generator=generator))
    x = p.sample((40_000,))
    mean, variance = p.moments()
    assert torch.allclose(x.mean(0), mean, atol=0.03 + 0.03 * float(variance.max()))
    assert torch.allclose(x.var(0), variance, rtol=0.15, atol=2e-3)
    seen = torch.ones_like(x[0], dtype=torch.bool)
    assert torch.allclose(p.log_seen(x[0], seen), p.log_prob(x[0]), rtol=1e-5)
    assert torch.allclose(p.log_seen(x[0], ~seen), torch.zeros(1), atol=1e-5)


def test_a_ladder_draws_what_is_missing_beside_what_is_seen():
    torch.manual_seed(0)
    space = Image(6, 6)
    model = part("models", {"use": "ladder", "rungs": [1, 1], "latent": 2, "width": 8, "pieces": 4})(space)
    x = (pictures(3, space) * 255).round() / 255
    with torch.no_grad():
        p = model.infer(x).likelihood
        seen = made("mask=half", space)(x).isfinite()
        draw = p.complete(x, seen)[0]
        assert torch.equal(draw[seen], x[seen])
        everything = torch.ones_like(seen)
        assert torch.allclose(p.log_seen(x, everything), p.log_prob(x), rtol=1e-5)
        assert torch.equal(p.complete(x, everything)[0], x)


# Posteriors


class Plane(nn.Module):
    """x = W z + b + noise: a latent model whose every posterior is known."""

    def __init__(self, space, scale=0.1):
        super().__init__()
        self.space, self.code, self.scale = space, Vector(2), scale
        self.w = 0.5 * torch.randn(space.size, 2, generator=torch.Generator().manual_seed(5))

    def spoken(self, z, y=None):
        mean = (z @ self.w.T).reshape(-1, *self.space.shape)
        return Normal(mean, torch.full_like(mean, math.log(self.scale)), len(self.space.shape))

    def decode(self, z, y=None):
        return self.spoken(z).centre

    def encode(self, x, y=None):
        return self._q(x).mean

    def _q(self, x):
        precision = torch.eye(2) + self.w.T @ self.w / self.scale**2
        mean = torch.linalg.solve(precision, self.w.T @ x.reshape(len(x), -1).T / self.scale**2).T
        deviation = torch.linalg.inv(precision).diagonal().sqrt()
        return Normal(mean, deviation.log().expand_as(mean), 1)

    @property
    def mass(self):
        return False

    def infer(self, x, y=None, samples=1):
        q = self._q(x)
        z = q.sample((samples,))
        zero = torch.zeros(())
        p = self.spoken(z.flatten(0, 1))
        p = Normal(p.mean.unflatten(0, z.shape[:2]), p.log_scale.unflatten(0, z.shape[:2]), p.event)
        return Inference(x, p, [Latent(z, q, Normal(zero, zero, 1))], self)


def exact(model, damage, y):
    """E[x|y] of a plane, for one y."""
    basis = torch.eye(model.space.size).reshape(-1, *model.space.shape)
    rows = ~missing(y).flatten()
    a = damage.turn(basis).reshape(model.space.size, -1).T[rows]
    v = model.w @ model.w.T + model.scale**2 * torch.eye(model.space.size)
    r = damage.moments(torch.zeros(1, *model.space.shape), torch.zeros(1, *model.space.shape))[1].flatten()[rows]
    gain = v @ a.T @ torch.linalg.inv(a @ v @ a.T + torch.diag(r) + 1e-6 * torch.eye(len(a)))
    mean = (gain @ y.flatten()[rows]).reshape(model.space.shape)
    return mean, (v - gain @ a @ v).diagonal().clamp_min(0).sqrt().reshape(model.space.shape)


def test_draws_are_as_wide_as_what_is_left_to_doubt():
    """A normal of variance v, seen with noise of variance r: its posterior has the variance v r / (v + r)."""
    n, v, r = 4000, 0.04, 0.01
    p = Normal(torch.full((n, 3), 0.3), torch.full((n, 3), 0.5 * math.log(v)), 1)
    y = torch.full((n, 3), 0.5)
    with noise.source(Noise(0, "draws")):
        mean, draw = posterior(p, y, made("noise=0.1", Vector(3)))
    assert torch.allclose(mean, torch.full_like(mean, 0.3 + 0.2 * v / (v + r)), atol=1e-3)
    assert float(draw.var()) == pytest.approx(v * r / (v + r), rel=0.05)


CHAIN, WEIGHTS = gibbs(burn=100), weighed()


@pytest.mark.parametrize("said", ["mask=half", "noise=0.3", "mask=0.5 + noise=0.2"])
@pytest.mark.parametrize("space", [Vector(6), Image(4, 4, 1, levels=0)], ids=["vector", "image"])
@pytest.mark.parametrize("approach", [refined(steps=150), CHAIN, WEIGHTS], ids=["descent", "gibbs", "weights"])
def test_a_posterior_is_the_one_of_the_textbook(said, space, approach):
    model, damage = Plane(space), made(said, space)
    if approach is CHAIN and "+" in said:
        return  # so few elements are left that a chain of a few hundred rounds forgets its start too slowly
    if approach is WEIGHTS and "mask" in said:
        return  # weights need an encoder that has met gaps
    with torch.no_grad():
        x = model.spoken(noise.normal((40, 2), event=1, like=model.w)).sample()
        y = damage(x)
        found = restore_batch(model, y, damage, samples=199, approach=approach)
    wanted = torch.stack([exact(model, damage, one[None])[0] for one in y])
    deviation = torch.stack([exact(model, damage, one[None])[1] for one in y])
    assert float((found.mean - wanted).square().mean().sqrt()) < 0.6 * float(deviation.square().mean().sqrt())
    if damage.hides:
        assert torch.equal(found.mean[~missing(y)], y[~missing(y)]), "what is seen stays as it is"
        assert torch.equal(found.draws[7][~missing(y)], y[~missing(y)])
    of = missing(y) if damage.hides else torch.ones_like(y, dtype=torch.bool)
    # a normal with independent numbers is narrower than a code whose numbers hang together, and a chain is slow
    assert 0.75 < coverage(found.draws, x, space, of)["coverage"] < 0.97


def test_no_row_knows_of_the_others():
    model, damage = Plane(Vector(6)), made("mask=half", Vector(6))
    with torch.no_grad():
        x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
        y = damage(x)
        whole = restore_batch(model, y, damage, samples=3)
        with noise.source(Noise(0, total=5)):
            whole = restore_batch(model, y, damage, samples=3)
        with noise.source(Noise(0, start=2, total=5)):
            part_ = restore_batch(model, y[2:4], damage, samples=3)
    assert torch.allclose(part_.draws, whole.draws[:, 2:4], atol=1e-4)


# Tiles


def same(y, damage):
    """A restorer that leaves everything as it is, and draws with a deviation of 0.1."""
    x = fill(damage.guess(y), damage.space)
    draws = x + 0.1 * noise.normal((39, *x.shape), event=3, like=x)
    return Restored(x, draws, x, x, x)


def test_tiles_leave_no_seam():
    tile, large = Image(8, 8), large_space(Image(8, 8), 21, 30)
    y = torch.rand(1, *large.shape, generator=torch.Generator().manual_seed(0))
    found = restore_tiles(y, made("noise=0.1", large), tile, same)
    assert torch.allclose(found.mean, y, atol=1e-5)
    flat = restore_tiles(torch.full_like(y, 0.5), made("noise=0.1", large), tile, same)
    assert torch.allclose(flat.mean, torch.full_like(y, 0.5), atol=1e-6)
    assert flat.deviation.mean() == pytest.approx(0.1, abs=0.01), "draws that are blended vary as much as before"
    assert flat.deviation[..., 6:10, :].mean() == pytest.approx(0.1, abs=0.01)
    small = restore_tiles(torch.full((1, 3, 4, 5), 0.5), made("shrink=4", Image(16, 20, 3)), Image(8, 8, 3), same)
    assert torch.allclose(small.mean, torch.full((1, 3, 16, 20), 0.5), atol=1e-5)
    with pytest.raises(UserError, match="smaller than"):
        large_space(Image(8, 8), 7, 30)


@pytest.mark.parametrize("said", ["mask=half", "noise=0.2", "noise", "shrink=2 + noise=0.1"])
def test_one_tile_is_the_picture(run, said):
    from morphogen.opened import OpenRun

    model = OpenRun(run).model
    damage = made(said, model.space)
    with torch.no_grad():
        x = torch.rand(1, *damage.left.shape, generator=torch.Generator().manual_seed(0))
        y = damage.read(x)
        with noise.source(Noise(1)):
            alone = restore_batch(model, y, damage, samples=5, approach=refined(steps=3))
        with noise.source(Noise(1)):
            by_tiles = restore_tiles(
                y, damage, model.space, lambda t, d: restore_batch(model, t, d, samples=5, approach=refined(steps=3))
            )
    assert torch.allclose(alone.mean, by_tiles.mean, atol=2e-3)
    assert (alone.draws - by_tiles.draws).abs().max() < 0.07, (
        "a level of 17 at most, where rounding falls the other way"
    )


# The restorer


def test_the_mean_of_a_mixture_between_black_and_white_is_exact():
    from morphogen.families.logistics import Logistics
    from morphogen.models.restorer import expected

    generator = torch.Generator().manual_seed(0)
    logits, mean, scale = (torch.randn(1, 3, 1, 4, 4, generator=generator) for _ in range(3))
    p = Logistics(logits.squeeze(2), mean, scale - 1, mean[:, :, :0], 4096, (1, 4, 4), 2)
    with noise.source(Noise(0)):
        drawn = p.sample((40_000,)).mean(0)
    assert torch.allclose(expected(p), drawn, atol=0.01)


def test_a_restorer_learns_what_it_is_shown():
    """Bars of one shade: their hidden half is known, and a hundred steps find it; the other half is left alone."""
    torch.manual_seed(0)
    space = Image(8, 8)
    spec = {"use": "restorer", "damages": ["mask=half"], "width": 12, "blocks": 1, "latent": 1}
    model = part("models", spec)(space)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    shade = torch.randint(0, 256, (64, 1, 1, 1), generator=torch.Generator().manual_seed(0)) / 255
    x = shade.expand(64, 1, 8, 8).contiguous()
    for step in range(100):
        with noise.source(Noise(0, "train", step)):
            (turn,) = model.play(Batch(x), step)
        optimiser.zero_grad()
        turn.loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimiser.step()
    damage = made("mask=half", space)
    with torch.no_grad():
        found = restore_batch(model, damage(x), damage, samples=19)
    assert torch.equal(found.mean[..., :4], x[..., :4])
    assert torch.equal(found.draws[3][..., :4], x[..., :4])
    assert (found.mean - x).square().mean().sqrt() < 0.04
    with pytest.raises(UserError, match="model = vae"):
        part("models", "restorer")(Vector(3))
    with pytest.raises(UserError, match="none of them fits"):
        part("models", {"use": "restorer", "damages": ["shrink=3"]})(space)
    assert len(part("models", {"use": "restorer", "damages": ["shrink=3", "noise=0.1"]})(space).damages) == 1


def test_a_restorer_keeps_what_a_small_picture_says():
    """What is left without noise binds: the mean, made small again, is what was given."""
    torch.manual_seed(0)
    space = Image(8, 8)
    model = part("models", {"use": "restorer", "damages": ["shrink=2"], "width": 8, "blocks": 1})(space)
    damage, x = made("shrink=2", space), pictures(3, space)
    with torch.no_grad():
        means, _ = model.restore(damage(x), damage, 5)
    assert torch.allclose(damage.turn(means[0]), damage(x), atol=1e-3)


def test_a_vae_may_learn_from_damage():
    torch.manual_seed(0)
    spec = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [8]}, "damages": ["mask=0.5", "grey"]}
    model, x = part("models", spec)(Image(8, 8)), pictures(4, Image(8, 8))
    assert len(model.damages) == 1, "grey is of colours"
    assert (model.seen(x) != x).any()
    assert not model.state_dict().keys() ^ part("models", spec | {"damages": []})(Image(8, 8)).state_dict().keys()
    (turn,) = model.play(Batch(x), 0)
    assert torch.isfinite(turn.loss)
    with pytest.raises(UserError, match="did you mean 'mask'"):
        part("models", spec | {"damages": ["msk=0.5"]})(Image(8, 8))


# Measures


def test_coverage_is_exact_of_the_right_posterior():
    """Of levels, nearly all of them black: the interval holds everything there, ranks are inside as often as said."""
    space = Image(50, 50)
    chance = torch.rand(1, *space.shape, generator=torch.Generator().manual_seed(0)) ** 8
    draws = [torch.bernoulli(chance, generator=torch.Generator().manual_seed(1 + i)) for i in range(40)]
    said = coverage(torch.stack(draws[:39]), draws[39], space, torch.ones_like(chance, dtype=torch.bool))
    assert said["nominal"] == pytest.approx(0.9)
    assert said["coverage"] == pytest.approx(0.9, abs=0.03)
    assert said["coverage_where_wide"] > 0.9
    assert said["wide"] < 0.5
    x = torch.randn(40, 1, *space.shape, generator=torch.Generator().manual_seed(1))
    said = coverage(x[:39], x[39], Vector(1), torch.ones_like(x[0], dtype=torch.bool))
    assert said["coverage"] == said["coverage_where_wide"] == pytest.approx(0.9, abs=0.03)
    assert said["wide"] == 1.0


def test_the_interval_lies_at_ranks_of_the_draws():
    draws = torch.arange(1.0, 40).reshape(39, 1, 1)
    found = summed(draws, draws, Vector(1))
    assert (float(found.low), float(found.high)) == (2.0, 38.0)
    few = summed(draws[:19], draws[:19], Vector(1))
    assert (float(few.low), float(few.high)) == (1.0, 19.0)


def test_psnr_and_ssim_are_those_of_scikit_image():
    measure = pytest.importorskip("skimage.metrics")
    x = pictures(3, Image(32, 28, 3))
    y = (x + 0.1 * noise.normal(x.shape, event=3, like=x)).clamp(0, 1)
    for i in range(3):
        a, b = (t[i].permute(1, 2, 0).double().numpy() for t in (x, y))
        wanted = measure.structural_similarity(
            a, b, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert float(ssim(y[i : i + 1], x[i : i + 1])) == pytest.approx(wanted, abs=1e-4)
        assert float(psnr(y[i : i + 1], x[i : i + 1])) == pytest.approx(
            measure.peak_signal_noise_ratio(a, b, data_range=1), abs=1e-3
        )


# The task


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from test_border import fresh

    return fresh(tmp_path_factory.mktemp("restore") / "run", "digits")


def fresh_of(path, model):
    """A run of a model with the weights that its seed draws."""
    from morphogen.data.find import open_data, resolve
    from morphogen.plan import Plan
    from morphogen.run import Run

    plan = Plan.complete({"steps": 4})
    recipe = {"data": resolve("digits"), "model": model, "train": plan, "seed": 0, "device": "cpu",
              "precision": "float32"}  # fmt: skip
    made_ = Run.create(path, recipe, open_data("digits").facts())
    made_.save_weights(made_.build(), {"step": 0})
    return made_


@pytest.fixture
def do(run, capsys, tmp_path, monkeypatch):
    from morphogen import cli

    monkeypatch.chdir(tmp_path)

    def command(*words):
        capsys.readouterr()
        code = cli.main(["restore", str(run.path), *map(str, words)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return command


def save(path, array):
    from PIL import Image as Pictures

    Pictures.fromarray(array).save(path)
    return path


def seen(path):
    from PIL import Image as Pictures

    with Pictures.open(path) as picture:
        return np.asarray(picture)


def test_files_are_restored_one_by_one(do, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png", rng.integers(0, 256, (8, 8), np.uint8))
    hole = np.zeros((8, 8), np.uint8)
    hole[2:5, 2:5] = 255
    save(tmp_path / "hole.png", hole)
    code, out, err = do("a.png", "b.png", "--damage", "mask=hole.png", "--samples", 5, "-o", "out")
    assert code == 0, err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "b.png", "a-deviation.png", "b-deviation.png"}
    before, after = (seen(tmp_path / p) for p in ("a.png", "out/a.png"))
    assert after.shape == (8, 8)
    assert (np.abs(before[hole == 0].astype(int) - after[hole == 0]) <= 8).all(), "digits have 17 levels"
    assert do("a.png", "b.png", "--damage", "mask=hole.png", "--samples", 5, "-o", "out")[0] == 2
    code, out, err = do("a.png", "--damage", "noise", "--samples", 5, "-o", "b.npz")
    assert code == 0, err
    assert "strength learned" in out
    with np.load(tmp_path / "b.npz", allow_pickle=False) as held:
        assert held["draws"].shape == (5, 1, 1, 8, 8)
        assert (held["low"] <= held["high"]).all()


def test_small_pictures_are_enlarged(do, tmp_path):
    save(tmp_path / "small.png", np.full((4, 4), 99, np.uint8))
    assert do("small.png", "--damage", "shrink=2", "--samples", 3, "-o", "x.png")[0] == 0
    code, _, err = do("small.png", "--damage", "noise=0.1", "-o", "y.png")
    assert code == 2
    assert "4 x 4" in err
    save(tmp_path / "large.png", np.full((8, 8), 99, np.uint8))
    code, _, err = do("large.png", "--damage", "shrink=2", "-o", "y.png")
    assert code == 2
    assert "shrink=2 leaves" in err


def test_larger_pictures_are_restored_by_tiles(do, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        save(tmp_path / f"{name}.png", rng.integers(0, 256, (13, 19), np.uint8))
    words = ("--damage", "noise=0.1", "--samples", 3, "--tiles")
    assert do("a.png", "b.png", *words, "-o", "out")[0] == 0
    assert seen(tmp_path / "out" / "a.png").shape == (13, 19)
    code, _, err = do("a.png", "--damage", "noise=0.1", "-o", "x.png")
    assert code == 2
    save(tmp_path / "c.png", rng.integers(0, 256, (4, 19), np.uint8))
    code, _, err = do("c.png", *words, "-o", "x.png")
    assert code == 2
    assert "smaller than" in err
    code, _, err = do("a.png", "c.png", *words, "-o", "x.png")
    assert code == 2
    code, _, err = do(*words, "-o", "x.png")
    assert code == 2
    assert "Name their files" in err


def test_arrays_may_hold_nan(run, tmp_path):
    from morphogen.opened import OpenRun

    y = np.random.default_rng(0).random((2, 8, 8)).astype(np.float32)
    y[:, 3] = np.nan
    said = OpenRun(run).restore(y, damage="mask=given", samples=5)
    assert said.x.shape == (2, 1, 8, 8)
    assert torch.isfinite(said.x).all()
    assert torch.allclose(said.x[:, 0, :3], torch.from_numpy(y[:, :3]))
    said = OpenRun(run).restore(np.full((1, 8, 8), np.nan, np.float32), damage="mask=given", samples=5)
    assert "nothing is seen" in said.remark


def test_a_restorer_says_what_it_has_not_met(tmp_path):
    from morphogen.opened import OpenRun

    run = OpenRun(fresh_of(tmp_path / "run", {"use": "restorer", "width": 4, "blocks": 1}))
    said = run.restore(n=2, damage="blur=1", harm=True, samples=3)
    assert "never shown blur" in said.remark
    assert "trap" not in run.restore(n=2, damage="noise=0.1", harm=True, samples=3).remark


def test_of_very_many_a_few_draws_are_kept(run, monkeypatch):
    from morphogen import restored
    from morphogen.opened import OpenRun

    whole = OpenRun(run).restore(n=4, damage="noise=0.2", harm=True, samples=19)
    monkeypatch.setattr(restored, "ROOM", 100)
    few = OpenRun(run).restore(n=4, damage="noise=0.2", harm=True, samples=19)
    assert len(whole.arrays["draws"]) == 19
    assert torch.equal(few.arrays["draws"], whole.arrays["draws"][:3])
    assert few.scores == whole.scores


def test_harm_says_how_near_it_came(run):
    from morphogen.opened import OpenRun

    said = OpenRun(run).restore(n=3, damage="noise=0.2", harm=True, samples=19)
    assert {"psnr", "ssim", "coverage", "coverage_where_wide", "wide"} <= said.scores.keys()
    assert "PSNR" in said.remark
    again = OpenRun(run).restore(n=3, damage="noise=0.2", harm=True, samples=19)
    assert torch.equal(said.x, again.x)
    other = OpenRun(run).restore(n=3, damage="noise=0.2", harm=True, samples=19, seed=1)
    assert not torch.equal(said.x, other.x)


def test_a_gan_restores_too(tmp_path):
    from morphogen.opened import OpenRun

    gan = {"use": "gan", "latent": 3, "net": {"use": "mlp", "widths": [8]}, "features": 4, "descent": 5}
    made_ = fresh_of(tmp_path / "gan", gan)
    said = OpenRun(made_).restore(n=2, damage="mask=half", harm=True, samples=5)
    assert torch.isfinite(said.x).all()


MISTAKES = {
    "--damage noise=0.1": "which examples",
    "digits --damage noise=0.1": "--harm",
    "nowhere.png --damage noise=0.1": "no file",
    ". --damage noise=0.1": "holds no picture",
    "x.png --damage mask=0.5": "no file",
    "--harm --damage noise": "how strong",
    "--harm --damage": "expected one argument",
    "--harm": "needs damage",
    "--harm --damage noise=0.1 --samples 1": "2 at least",
    "--harm --damage noise=0.1 --samples 100000": "at most 1,000",
    "--harm --damage noise=0.1 --samples 0": "samples",
    "--harm --damage noise=0.1 --by magic": "magic",
    "--harm --damage noise=0.1 --split tset": "tset",
    "--harm --damage nose=0.1": "did you mean 'noise'",
    "--harm --damage noise=-0.1": "sigma",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_are_told_in_a_line(do, line):
    code, out, err = do(*line.split(" "))
    assert code == 2, (out, err)
    assert MISTAKES[line] in err
    assert err.count("\n") == 1


def test_a_damage_is_a_part():
    assert all(issubclass(part("damages", n).make, Damage) for n in names("damages"))
