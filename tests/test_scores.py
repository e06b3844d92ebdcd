"""Scores of samples against known answers, against plain implementations, and under what must change nothing."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import save_file
from torch import Tensor

import morphogen as mg
from morphogen import cli, judges
from morphogen.core.batch import Batch
from morphogen.core.space import Image, Tokens, Vector
from morphogen.data.find import open_data, resolve
from morphogen.data.stamp import dataset_of
from morphogen.errors import UserError
from morphogen.metrics import inception
from morphogen.metrics.classifier import HIDDEN, Classifier, Own
from morphogen.metrics.copies import copies, nearest, same_pairs
from morphogen.metrics.coverage import coverage, of_parts, radii
from morphogen.metrics.detail import fine, has_detail
from morphogen.metrics.features import Pairs, Pixels, Seen, as_seen, see, shuffled, square_distances
from morphogen.metrics.frechet import Moments, distance, frechet
from morphogen.metrics.inception_score import inception_score
from morphogen.metrics.jackknife import blocks_of, half_samples, halves, jackknife, student
from morphogen.metrics.kernel import discrepancy, kernel
from morphogen.metrics.modes import centres_of, count_centres, count_classes, stacked
from morphogen.metrics.sliced import carry, sliced
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.tasks import make


def cloud(n: int, width: int = 6, seed: int = 0, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    tilt = torch.randn(width, width, generator=torch.Generator().manual_seed(99))
    return torch.randn(n, width, generator=draw) @ tilt + shift


def two(n: int = 120, m: int = 90, width: int = 6, shift: float = 0.4) -> tuple[Seen, Seen]:
    return as_seen(cloud(n, width, 1, shift)), as_seen(cloud(m, width, 2), "reference")


def facts_of(samples: Seen, reference: Seen) -> dict[str, dict]:
    four = coverage(samples, reference)
    return {
        "fid": frechet(samples, reference).facts(),
        "kid": kernel(samples, reference).facts(),
        "swd": sliced(samples, reference).facts(),
        **{name: four.facts(name) for name in ("precision", "recall", "density", "coverage")},
        "copies": copies(samples, reference, as_seen(cloud(80, samples.x.shape[1], 3), "train")).facts(),
    }


# Fréchet


def moments(mean: Tensor, covariance: Tensor, count: int = 1000) -> Moments:
    return Moments(count, mean.double(), covariance.double() * (count - 1))


def test_frechet_of_normals_in_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 4.0, 1.0])
    shift = torch.tensor([1.0, -2.0, 0.5])
    wanted = shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum()  # covariances that commute
    assert distance(moments(shift, a.diag()), moments(torch.zeros(3), b.diag())) == pytest.approx(float(wanted))
    turn = torch.linalg.qr(cloud(3, 3).double())[0]
    turned = [turn @ s.double().diag() @ turn.T for s in (a, b)]
    assert distance(moments(turn @ shift.double(), turned[0]), moments(torch.zeros(3), turned[1])) == pytest.approx(
        float(wanted)
    )
    s = torch.tensor([[2.0, 0.0], [0.0, 0.0]])  # no width in one direction
    assert distance(moments(torch.zeros(2), s), moments(torch.zeros(2), s.flip(0, 1))) == pytest.approx(4.0)


@pytest.mark.parametrize(("n", "m", "width"), [(300, 200, 5), (400, 500, 32), (40, 60, 50)])
def test_frechet_agrees_with_scipy(n, m, width):
    samples, reference = two(n, m, width)
    x, y = samples.x.double().numpy(), reference.x.double().numpy()
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(s1) @ scipy.linalg.sqrtm(s2)  # tr (S1 S2)^1/2 is its nuclear norm
    cross = np.trace(scipy.linalg.sqrtm(s1 @ s2)).real if n > width < m else scipy.linalg.svdvals(root).sum()
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * cross
    assert frechet(samples, reference).value == pytest.approx(wanted, rel=1e-6)


def test_moments_are_those_of_numpy_however_they_are_gathered():
    x = cloud(1234) + 1e4  # a mean far from zero costs no digits
    wanted = np.cov(x.double().numpy(), rowvar=False)
    np.testing.assert_allclose(Moments.of(x).covariance.numpy(), wanted, rtol=1e-9)
    total = Moments.nothing(6)
    for piece in x.split([1, 700, 33, 500]):
        total = total + Moments.of(piece)
    assert total.count == 1234
    np.testing.assert_allclose(total.covariance.numpy(), wanted, rtol=1e-9)
    np.testing.assert_allclose(total.mean.numpy(), x.double().mean(0).numpy(), rtol=1e-12)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(40):
        x, y = cloud(400, 2, 100 + seed, 0.5), cloud(400, 2, 300 + seed)
        low, high = frechet(as_seen(x), as_seen(y, "reference")).interval or (0.0, 0.0)
        held += low <= 0.5 <= high
    assert held >= 34  # of 40; bias is small here


def test_the_extrapolated_distance_has_no_bias_to_speak_of():
    """Equal laws are at distance nothing: few rows say more, the line in 1/n does not, and its interval holds that."""
    said = [frechet(as_seen(cloud(300, 8, 700 + s)), as_seen(cloud(300, 8, 900 + s), "reference")) for s in range(20)]
    facts = [each.facts() for each in said]
    values, ends = (torch.tensor([each[key] for each in facts]) for key in ("value", "extrapolated"))
    assert float(values.mean()) > 5 * abs(float(ends.mean()))
    assert abs(float(ends.mean())) < 3 * float(ends.std()) / 20**0.5 + 0.02 * float(values.mean())
    held = [each["extrapolated_interval"][0] <= 0 <= each["extrapolated_interval"][1] for each in facts]
    assert sum(held) >= 17
    assert "extrapolated" not in frechet(*two(15, 15)).facts()


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = torch.randn(10, generator=torch.Generator().manual_seed(0)).double()
    low, high = jackknife(lambda b: float((x.sum() - x[b]) / 9), float(x.mean()))
    assert (high - low) / 2 == pytest.approx(2.262 * float(x.std()) / 10**0.5)
    assert student(9) == 2.262
    assert student(1000) == 1.96


# Kernel


def test_kernel_agrees_with_sums_written_out():
    x, y = (s.x.double() for s in two(9, 7, 3))
    k = lambda a, b: (float(a @ b) / 3 + 1) ** 3  # noqa: E731
    among = [sum(k(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j) for v in (x, y)]
    between = sum(k(a, b) for a in x for b in y)
    wanted = among[0] / 72 + among[1] / 42 - 2 * between / 63
    assert discrepancy(x, y) == pytest.approx(wanted, rel=1e-12)
    few, many = two(9, 7, 3), two(157, 123, 3)
    assert kernel(*few).value == pytest.approx(wanted, rel=1e-12)
    assert kernel(*few).facts()["standard_error"] is None
    assert kernel(*many).value == pytest.approx(discrepancy(*(s.x for s in many)), rel=1e-9)


def test_kernel_is_unbiased_and_its_error_honest():
    said = [kernel(as_seen(cloud(200, 3, 10 + s)), as_seen(cloud(200, 3, 500 + s), "reference")) for s in range(60)]
    values, errors = (torch.tensor(v) for v in ([s.value for s in said], [s.error for s in said]))
    assert abs(float(values.mean())) < 3 * float(values.std()) / 60**0.5  # the same distribution: 0 on average
    assert bool((values < 0).any())
    assert 0.8 < float(errors.square().mean().sqrt() / values.std()) < 2.0  # rather too careful where sets are alike


# Precision, recall, density, coverage


def plain_coverage(x: Tensor, y: Tensor, k: int) -> list[float]:
    among_x, among_y, between = (np.linalg.norm(a[:, None] - b[None], axis=2) for a, b in ((x, x), (y, y), (x, y)))
    mine, theirs = np.sort(among_x, 1)[:, k], np.sort(among_y, 1)[:, k]
    inside = between <= theirs[None]
    return [
        inside.any(1).mean(),
        (between <= mine[:, None]).any(0).mean(),
        inside.sum(1).mean() / k,
        inside.any(0).mean(),
    ]


@pytest.mark.parametrize(("n", "m", "k"), [(120, 90, 5), (60, 130, 3), (7, 6, 5)])
def test_coverage_agrees_with_whole_matrices(n, m, k, monkeypatch):
    samples, reference = two(n, m)
    wanted = plain_coverage(samples.x.double().numpy(), reference.x.double().numpy(), k)
    for rows, columns in ((250, 1000), (16, 7)):
        monkeypatch.setattr("morphogen.metrics.coverage.ROWS", rows)
        monkeypatch.setattr("morphogen.metrics.coverage.COLUMNS", columns)
        said = coverage(samples, reference, k=k)
        assert list(said.values.values()) == pytest.approx(wanted, abs=1e-6)
        assert (said.intervals is None) == (n < 40)


def test_halves_of_coverage_are_those_of_whole_matrices():
    """The first of the halves by hand: the same four numbers of the blocks that are kept."""
    samples, reference = two(100, 80)
    blocks = [[seen.x[rows] for rows in blocks_of(seen.x, 0, 20)] for seen in (samples, reference)]
    kept = halves()[0]
    x, y = (torch.cat([rows for rows, stays in zip(each, kept, strict=True) if stays]) for each in blocks)
    wanted = plain_coverage(x.double().numpy(), y.double().numpy(), 3)
    said = of_parts(*blocks, 3, [[True] * 20, kept])
    assert [said[name][1] for name in ("precision", "recall", "density", "coverage")] == pytest.approx(wanted, abs=1e-6)


def test_halves_of_a_mean_have_its_own_variance():
    """Every half has its other half; of a mean, the halves say what leaving one block out at a time says."""
    ways = torch.tensor(halves())
    assert ways.shape == (38, 20)
    assert bool((ways.sum(1) == 10).all())
    sides = ways[::2].double() * 2 - 1
    assert torch.equal(ways[::2], ~ways[1::2])
    assert torch.equal(sides @ sides.T, 20 * torch.eye(19, dtype=torch.float64))
    blocks = torch.randn(20, generator=torch.Generator().manual_seed(0)).double()
    low, high = half_samples([float(blocks[way].mean()) for way in ways], float(blocks.mean()))
    mean, error = float(blocks.mean()), float(blocks.std()) / 20**0.5
    assert (low, high) == pytest.approx((mean - 2.093 * error, mean + 2.093 * error), rel=1e-6)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_intervals_of_neighbours_hold_as_often_as_they_say(shift):
    """200 pairs of sets of 300 rows of 8 numbers: how often the interval holds the score's own mean."""
    draw, said = torch.Generator().manual_seed(0), []
    for seed in range(200):
        x, y = torch.randn(300, 8, generator=draw) + shift, torch.randn(300, 8, generator=draw)
        said.append(coverage(as_seen(x), as_seen(y, "reference"), seed=seed))
    for name in ("precision", "recall", "density", "coverage"):
        mean = sum(each.values[name] for each in said) / len(said)
        held = sum(each.intervals[name][0] <= mean <= each.intervals[name][1] for each in said) / len(said)
        assert held >= 0.92, (name, held)
        assert held <= (0.985 if shift else 1.0), (name, held)  # a little too wide where the two laws are one


def test_coverage_of_extremes():
    x = as_seen(cloud(50), "reference")
    far = coverage(as_seen(cloud(50, shift=1e3)), x)
    assert list(far.values.values()) == [0.0] * 4
    assert set(far.intervals.values()) == {(0.0, 0.0)}
    one = coverage(as_seen(x.x[:1].expand(50, -1)), x)  # a single example, over and over
    assert one.values["precision"] == 1.0
    assert one.values["recall"] == pytest.approx(0.02)
    assert one.values["coverage"] < 0.5


def test_radii_leave_oneself_out():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    assert radii(x, 1).tolist() == [1.0, 1.0, 4.0, 16.0]
    assert radii(x, 3).tolist() == [49.0, 36.0, 16.0, 49.0]


# Sliced Wasserstein


def test_sliced_of_shifted_sets_in_closed_form():
    x = cloud(100, 1)
    assert sliced(as_seen(x), as_seen(x + 3, "reference")).value == pytest.approx(3.0, rel=1e-6)
    width = 40
    x, shift = cloud(200, width), torch.zeros(width)
    shift[0] = 10.0
    said = sliced(as_seen(x), as_seen(x + shift, "reference"), directions=1000, seed=1)
    assert said.value == pytest.approx(10 / width**0.5, rel=0.05)  # E (u.shift)^2 = |shift|^2 / width


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 6), (7, 3), (1, 4)])
def test_carrying_agrees_with_copies_of_every_row(n, m):
    x, y = torch.randn(3, n).double(), torch.randn(3, m).double()
    a, b = x.repeat_interleave(m, 1).sort(1).values, y.repeat_interleave(n, 1).sort(1).values
    assert carry(x, y) == pytest.approx(float((a - b).square().mean().sqrt()), rel=1e-12)


# What must change nothing


def test_identical_sets_are_as_near_as_can_be():
    x = cloud(300)
    samples, reference = as_seen(x), as_seen(x.clone(), "reference")
    said = facts_of(samples, reference)
    assert said["fid"]["value"] == pytest.approx(0.0, abs=1e-9)
    assert said["swd"]["value"] == 0.0
    assert [said[name]["value"] for name in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]
    assert said["copies"]["value"] == 0.5


@pytest.mark.parametrize("width", [1, 6])
def test_a_shuffled_order_changes_nothing(width):
    samples, reference = two(width=width)
    before = facts_of(samples, reference)
    draw = torch.Generator().manual_seed(5)
    after = facts_of(*(s.rows(torch.randperm(len(s), generator=draw)) for s in (samples, reference)))
    for name, said in before.items():
        assert after[name]["value"] == pytest.approx(said["value"], rel=1e-9, abs=1e-12), name
        assert after[name]["interval"] == pytest.approx(said["interval"], rel=1e-6, abs=1e-9), name
    assert before["kid"] == after["kid"]  # the same blocks, bit for bit


def test_batches_of_any_size_change_nothing():
    space = Image(8, 8)
    net = judges.Classifier(space, 3).eval()
    x = torch.rand(613, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for extractor in (Pixels(space), Own(net, "own:x", space, {})):
        said = [see(extractor, (Batch(part) for part in x.split(size))) for size in (1, 97, 250, 613)]
        for other in said[1:]:
            assert torch.equal(said[0].x, other.x)
            if other.chances is not None:
                assert torch.equal(said[0].chances, other.chances)


def test_the_order_by_content_is_random_and_seeded():
    x = cloud(1000, 2)
    order = shuffled(x, 0)
    assert sorted(order.tolist()) == list(range(1000))
    assert not torch.equal(order, shuffled(x, 1))
    rank = torch.empty(1000).index_put_((order,), torch.arange(1000.0))
    for other in (x[:, 0], x[:, 1], torch.arange(1000.0)):
        assert abs(float(torch.corrcoef(torch.stack([rank, other]))[0, 1])) < 0.1


def test_rows_that_are_alike_do_not_stand_together():
    for x in (torch.eye(3)[torch.arange(3000) % 3], torch.eye(3)[torch.arange(3000) % 3] + 1e-6 * cloud(3000, 3)):
        blocks = x[shuffled(x, 0)].round().reshape(10, 300, 3).mean(1)
        assert bool(((blocks - 1 / 3).abs() < 0.1).all())
    shares = torch.cat([torch.eye(2).repeat(500, 1)[shuffled(torch.eye(2).repeat(500, 1), s)][:100] for s in range(50)])
    spread = shares[:, 0].reshape(50, 100).mean(1).std()  # of a draw of 100 of 1,000 without putting back: 0.047
    assert 0.03 < float(spread) < 0.07
    sure = torch.eye(5).repeat(200, 1)
    low, high = inception_score(seen_as(sure)).interval
    assert high - low < 0.1


def test_last_bits_of_features_move_few_rows():
    x = cloud(2000, 16)
    moved = shuffled(x * (1 + 1e-7), 0) != shuffled(x, 0)
    inside = torch.isin(shuffled(x * (1 + 1e-7), 0)[:200], shuffled(x, 0)[:200])
    assert float(inside.float().mean()) > 0.98, float(moved.float().mean())


def test_copies_are_at_no_distance():
    x = cloud(64, 300) + 50
    apart = square_distances(x, x)
    assert bool((apart.diagonal() == 0).all())
    wanted = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
    assert torch.allclose(apart, wanted, atol=1e-6)


# Inception score


def seen_as(chances: Tensor) -> Seen:
    return Seen(torch.zeros(len(chances), 1), "own:x@0", "samples", chances)


def test_inception_score_of_extremes():
    sure = torch.eye(5).repeat(20, 1)
    assert inception_score(seen_as(sure)).value == pytest.approx(5.0)
    assert inception_score(seen_as(torch.full((40, 5), 0.2))).value == pytest.approx(1.0)
    assert inception_score(seen_as(sure[:1].expand(40, -1))).value == pytest.approx(1.0)  # one class only
    chances = torch.softmax(cloud(200, 5), 1)
    p = chances.double().numpy()
    wanted = math.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean())
    said = inception_score(seen_as(chances)).facts()
    assert said["value"] == pytest.approx(wanted, rel=1e-9)
    assert said["interval"][0] < wanted < said["interval"][1]


# Modes


def test_modes_of_a_grid_are_counted_exactly():
    axis = torch.arange(-2.0, 3.0)
    centres = torch.cartesian_prod(axis, axis)  # 25
    exact = count_centres(centres.repeat(4, 1), centres, 0.05)
    assert (exact.hit, exact.kl) == (25, pytest.approx(0.0, abs=1e-12))
    assert exact.facts()["high_quality"] == 1.0
    off = centres[:10] + torch.tensor([0.3, 0.0])  # six deviations away: no mode is hit
    assert count_centres(off, centres, 0.05).hit == 0
    mixed = count_centres(torch.cat([centres[:10], off]), centres, 0.05)
    assert mixed.hit == 10
    assert mixed.facts()["high_quality"] == 0.5
    assert mixed.kl == pytest.approx(math.log(2.5))  # uniform over 10 of 25
    edge = centres[:1] + torch.tensor([[0.149, 0.0]])
    assert count_centres(edge, centres, 0.05).hit == 1


def test_centres_are_found_from_labels():
    draw = torch.Generator().manual_seed(0)
    centres, y = torch.tensor([[0.0, 0.0], [5.0, 1.0], [-4.0, 2.0]]), torch.arange(3000) % 3
    x = centres[y] + 0.2 * torch.randn(3000, 2, generator=draw)
    found, scale = centres_of(x, y, 3)
    assert torch.allclose(found.float(), centres, atol=0.03)
    assert scale.tolist() == pytest.approx([0.2] * 3, rel=0.1)


def test_classes_of_stacked_digits():
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    labels = stacked(every)
    assert labels.tolist() == list(range(1000))
    said = count_classes(labels, 1000, how="")
    assert (said.hit, said.kl) == (1000, pytest.approx(0.0, abs=1e-12))
    few = count_classes(labels[:250].repeat(3), 1000, how="")
    assert (few.hit, few.kl) == (250, pytest.approx(math.log(4)))
    assert count_classes(torch.zeros(50), 10, how="").facts()["kl"] == pytest.approx(math.log(10))
    told = count_classes(torch.tensor([0] * 15 + [1] * 5), 2, expected=torch.tensor([3, 3]), how="").facts()
    low, high = told["kl_interval"]
    assert 0 <= low < high


def test_a_judge_of_single_channels_reads_three():
    one, three = Image(8, 8), Image(8, 8, 3)
    net = Classifier(one, 10).eval()
    judge = Own(net, "own:x@0", three, {})
    x = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    said = see(judge, [Batch(x)])
    assert judge.classes == 1000
    assert said.x.shape == (12, 3 * HIDDEN)
    labels = torch.stack([net(x[:, c : c + 1])[1].argmax(1) for c in range(3)], 1)
    assert torch.equal(judge.labels(said.chances), labels)


# Copies


def test_planted_copies_are_found():
    train, held = as_seen(cloud(400, 8, 1), "train"), as_seen(cloud(200, 8, 2), "held out")
    honest = copies(as_seen(cloud(200, 8, 3)), held, train)
    assert honest.exact == 0
    assert float(honest.copied.mean()) < 0.05
    assert 0.4 < honest.facts()["value"] < 0.6
    planted = cloud(200, 8, 3)
    planted[10:60] = train.x[100:150]
    found = copies(as_seen(planted), held, train)
    assert found.exact == 50
    assert torch.equal(found.nearest[10:60], torch.arange(100, 150))
    assert 0.25 <= float(found.copied.mean()) < 0.3
    by_heart = copies(as_seen(train.x[:200] + 1e-3), held, train).facts()
    assert by_heart["value"] > 0.99
    assert by_heart["copied"] == 1.0


def test_nearest_agrees_with_whole_matrices(monkeypatch):
    monkeypatch.setattr("morphogen.metrics.copies.ROWS", 16)
    monkeypatch.setattr("morphogen.metrics.copies.COLUMNS", 7)
    x, y = cloud(50, 4, 1), cloud(40, 4, 2)
    apart, place = nearest(x, y)
    wanted = torch.cdist(x.double(), y.double()).square().min(1)
    assert torch.allclose(apart, wanted.values)
    assert torch.equal(place, wanted.indices)
    among = torch.cdist(x.double(), x.double()).square().fill_diagonal_(torch.inf)
    assert torch.allclose(nearest(x, x, same=True)[0], among.min(1).values)
    assert same_pairs(x, 4.0) == int((among <= 4.0).sum()) // 2


def test_birthdays_tell_the_support():
    draw = torch.Generator().manual_seed(0)
    things = cloud(500, 8, 5)
    some = things[torch.randint(500, (300,), generator=draw)]  # of 500 things, over and over
    said = copies(as_seen(some), as_seen(cloud(300, 8, 6), "held out"), as_seen(cloud(50, 8, 7), "train")).facts()
    birthday = said["birthday"]
    low, high = birthday["support"]["interval"]
    assert low < 500 < high
    assert birthday["reference"].get("about", math.inf) > 5 * birthday["support"]["about"]


# Extractors


def test_pairs_see_symbols_and_their_neighbours():
    seen = see(Pairs(Tokens(4, 3)), [Batch(torch.tensor([[0, 1, 0, 1]]))])
    assert seen.x[0, :3].tolist() == [0.5, 0.5, 0.0]
    assert seen.x[0, 3:].reshape(3, 3)[0, 1] == pytest.approx(2 / 3)
    assert float(seen.x[0, 3:].sum()) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "morphogen" / "classifiers"


@pytest.fixture(scope="module")
def digits_judge(cache):
    data = open_data("digits")
    return judges.own(data, data.space)


def test_a_classifier_is_taught_once_and_kept(cache, digits_judge, monkeypatch):
    data = open_data("digits")
    assert digits_judge.tested["accuracy"] > 0.95
    assert digits_judge.facts()["classifier"]["of"] == "test"
    (kept,) = cache.glob("digits-*.safetensors")
    monkeypatch.setattr(judges, "teach", None)  # a second one is not taught
    again = judges.own(data, data.space)
    assert again.name == digits_judge.name
    assert again.name.startswith("own:digits@")
    content = bytearray(kept.read_bytes())
    content[-9] ^= 1
    kept.write_bytes(content)
    with pytest.raises(UserError, match=rf"{kept.name}.*damaged.*remove it"):
        judges.own(data, data.space)
    content[-9] ^= 1
    kept.write_bytes(content)


def test_teaching_is_the_same_twice(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(judges, "enough", lambda examples: 20)
    data = open_data("digits")
    names = []
    for _ in range(2):
        torch.manual_seed(len(names))
        names.append(judges.own(data, data.space).name)
        for kept in tmp_path.rglob("*.safetensors"):
            kept.unlink()
    assert names[0] == names[1]


def test_extractors_refuse_what_they_cannot_see(cache):
    digits, blobs = open_data("digits", limit=50), open_data("blobs", classes=1)
    plain = dataset_of("plain", Image(8, 8), {"train": (torch.zeros(9, 8, 8, 1, dtype=torch.uint8), None)}, {})
    for word, data, said in (
        ("pixel", digits, "did you mean 'pixels'"),
        ("pixels", open_data("patterns"), "give features = pairs"),
        ("pairs", digits, "give features = pixels"),
        ("own", blobs, "blobs has no labels of two classes or more.*give features = pixels"),
        ("own", plain, "plain has no labels.*give features = pixels"),
        ("own", open_data("patterns"), "give pairs"),
        ("inception", digits, "inception:FILE@SHA256"),
        ("own:nothing", digits, "there is no data set"),
    ):
        with pytest.raises(UserError, match=said):
            judges.judge_of(word, data, data.space)
    net = Classifier(Image(28, 28), 10)
    for space in (Image(8, 8), Vector(3), Image(32, 32, 3)):
        with pytest.raises(UserError, match="give features = own"):
            Own(net, "own:x@0", space, {})


# Inception


def slim() -> dict[str, Tensor]:
    """Weights of Inception v3 with four channels a layer."""
    kernels = {"_2a": (1, 3), "_3a": (1, 3), "_2b": (3, 1), "_3b": (3, 1), "5x5_2": (5, 5), "7x7x3_4": (3, 3)}
    kernels |= {"7x7_2": (1, 7), "7x7_3": (7, 1), "7x7x3_2": (1, 7), "7x7x3_3": (7, 1)}
    kernels |= {"7x7dbl_2": (7, 1), "7x7dbl_3": (1, 7), "7x7dbl_4": (7, 1), "7x7dbl_5": (1, 7)}
    draw, tensors, wide = torch.Generator().manual_seed(0), {}, 3
    for block, branches in {**{layer: [""] for layer in inception.STEM}, **inception.BLOCKS}.items():
        for branch in branches:
            layer = f"{block}.branch{branch}" if branch else block
            first = branch in ("", "1x1", "3x3", "_pool") or branch.endswith("_1")
            one = (branch or block).endswith(("1x1", "_pool", "_1"))
            kernel_size = next((k for end, k in kernels.items() if branch.endswith(end)), (1, 1) if one else (3, 3))
            shape = (4, wide if first else 4, *kernel_size)
            tensors[f"{layer}.conv.weight"] = torch.randn(shape, generator=draw) * (2 / math.prod(shape[1:])) ** 0.5
            for what in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{layer}.bn.{what}"] = 0.5 + torch.rand(4, generator=draw)
        ends = [b for b in branches if b.endswith(("1x1", "_pool", "a", "b")) or b in ("5x5_2", "7x7_3", "7x7dbl_5")]
        ends += ["3x3dbl_3"] if "5x5_2" in branches else []
        wide = 4 if block in inception.STEM else wide + 8 if block in ("Mixed_6a", "Mixed_7a") else 4 * len(ends)
    return tensors | {"fc.weight": torch.randn(7, wide, generator=draw)}


def hashed(path: Path) -> str:
    return f"{path}@{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(slim(), path)
    return path


def test_inception_sees_pictures_of_any_size(weights):
    grey = judges.judge_of(f"inception:{hashed(weights)}", open_data("digits"), Image(8, 8))
    assert grey.name == f"inception@{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = see(grey, [Batch(x)])
    assert seen.x.shape == (3, 24)
    assert seen.x.std() > 0
    assert torch.allclose(seen.chances.sum(1), torch.ones(3))
    colour = inception.opened(hashed(weights), Image(8, 8, 3))
    assert torch.allclose(colour(x.expand(-1, 3, -1, -1))[0], seen.x, rtol=1e-4)
    np.savez(weights.with_suffix(".npz"), **{name: t.numpy() for name, t in slim().items()})
    other = inception.opened(hashed(weights.with_suffix(".npz")), Image(8, 8))
    assert torch.equal(other(x)[0], grey(x)[0])


def test_a_convolution_holds_its_batch_norm(weights):
    """The stem by hand, with torch's own batch norm."""
    tensors, x = slim(), torch.rand(2, 3, 20, 20)
    net = inception.opened(hashed(weights), Image(20, 20, 3))
    name = "Conv2d_1a_3x3"
    norm = [tensors[f"{name}.bn.{what}"] for what in ("running_mean", "running_var", "weight", "bias")]
    plain = torch.nn.functional.conv2d(x, tensors[f"{name}.conv.weight"], stride=2)
    wanted = torch.nn.functional.batch_norm(plain, *norm, eps=1e-3).relu()
    assert torch.allclose(net._conv(x, name, 2, 0), wanted, atol=1e-5)


def test_pictures_are_enlarged_as_tensorflow_1_did():
    ramp = torch.arange(5.0).expand(1, 1, 4, 5)
    assert torch.equal(inception.enlarged(ramp, 5)[0, 0, 0], torch.arange(5.0))
    wide = inception.enlarged(ramp, 10)
    assert wide.shape == (1, 1, 10, 10)
    assert wide[0, 0, 3].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0]


def test_weights_that_are_not_these_are_refused(weights, tmp_path):
    space, right = Image(8, 8), hashed(weights)
    lacking, odd, torn = (tmp_path / f"{name}.safetensors" for name in ("lacking", "odd", "torn"))
    save_file({k: v for k, v in slim().items() if "Mixed_7c.branch_pool" not in k}, lacking)
    save_file(slim() | {"Conv2d_1a_3x3.bn.bias": torch.zeros(3)}, odd)
    torn.write_bytes(weights.read_bytes()[:1000])
    (tmp_path / "weights.pth").write_bytes(b"x")
    for word, said in (
        (str(weights), rf"say which weights.*{right[-64:]}"),
        (f"{weights}@{'0' * 64}", rf"inception.safetensors is not what was asked for.*0000, got {right[-64:]}; fetch"),
        (f"/nowhere.npz@{'0' * 64}", r"no file /nowhere.npz; give"),
        (hashed(lacking), r"lacking.safetensors holds no Mixed_7c.branch_pool.*convert"),
        (hashed(odd), r"odd.safetensors: Conv2d_1a_3x3.*convert"),
        (hashed(torn), r"torn.safetensors cannot be read"),
        (hashed(tmp_path / "weights.pth"), r"weights.pth.*only.*convert"),
    ):
        with pytest.raises(UserError, match=said):
            inception.opened(word, space)
    with pytest.raises(UserError, match=r"1 or 3 channels.*features = own"):
        inception.opened(right, Vector(4))


# Bad input


@pytest.mark.parametrize(
    ("score", "least"), [(frechet, 2), (kernel, 2), (sliced, 2), (coverage, 6), (lambda x, y: copies(x, y, y), 2)]
)
def test_too_few_and_unlike_sets_are_refused(score, least):
    samples, reference = two(20, 20)
    with pytest.raises(UserError, match=rf"at least {least} .* {least - 1} of samples; give a larger n"):
        score(samples.rows(torch.arange(least - 1)), reference)
    with pytest.raises(UserError, match=rf"{least - 1} of reference"):
        score(samples, reference.rows(torch.arange(least - 1)))
    with pytest.raises(UserError, match=r"own:a.*pixels.*same for both"):
        score(Seen(samples.x, "own:a@1"), reference)
    with pytest.raises(UserError, match="5 numbers"):
        score(as_seen(samples.x[:, :5]), reference)
    score(samples.rows(torch.arange(least)), reference.rows(torch.arange(least)))


def test_what_is_not_finite_or_of_another_shape_is_refused():
    x = torch.rand(600, 1, 8, 8)
    x[317, 0, 2, 2] = torch.nan
    with pytest.raises(UserError, match=r"samples.*number 317 .*not finite; drop"):
        see(Pixels(Image(8, 8)), (Batch(part) for part in x.split(100)))
    with pytest.raises(UserError, match=r"number 3 .*not finite"):
        as_seen(torch.tensor([[0.0]] * 3 + [[math.inf]]))
    with pytest.raises(UserError, match=r"shape \(1, 8, 8\) do not fit pixels.*\(1, 28, 28\)"):
        see(Pixels(Image(28, 28)), [Batch(x[:5])])
    with pytest.raises(UserError, match="flatten"):
        as_seen(x)
    with pytest.raises(UserError, match="no samples"):
        see(Pixels(Image(8, 8)), [])
    wide = as_seen(torch.zeros(2, 5000))
    with pytest.raises(UserError, match=r"5,000 numbers.*scores = kid,swd"):
        frechet(wide, wide)


def test_modes_that_are_none_are_refused():
    with pytest.raises(UserError, match=r"at least two.*leave modes out"):
        count_classes(torch.zeros(5), 1, how="")
    with pytest.raises(UserError, match="from 0 to 2"):
        count_classes(torch.tensor([3]), 3, how="")
    with pytest.raises(UserError, match="same width"):
        count_centres(torch.zeros(5, 2), torch.zeros(5, 3), 1.0)
    with pytest.raises(UserError, match="class 1 has 1 training"):
        centres_of(torch.zeros(3, 2), torch.tensor([0, 0, 1]), 2)
    with pytest.raises(UserError, match=r"needs a classifier.*features = own"):
        inception_score(as_seen(torch.zeros(3, 2)))


# The task


def fresh(path: Path, data: str, **model) -> Run:
    recipe = {
        "data": resolve(data),
        "model": {"use": "vae", "latent": 3, "net": {"use": "mlp", "widths": [8]}} | model,
        "train": Plan.complete({"steps": 4}),
        "seed": 0,
        "device": "cpu",
        "precision": "float32",
    }
    run = Run.create(path, recipe, open_data(data).facts())
    torch.manual_seed(0)
    run.save_weights(run.build(), {"step": 0})
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cache, digits_judge):
    home = tmp_path_factory.mktemp("runs")
    return {data: mg.open(fresh(home / data, data).path) for data in ("digits", "patterns", "blobs")}


@pytest.mark.parametrize(
    ("data", "features", "absent"),
    [("digits", "own:digits@", ()), ("patterns", "pairs", ("is", "modes")), ("blobs", "own:blobs@", ())],
)
def test_a_run_is_judged_and_says_how(runs, data, features, absent):
    said = runs[data].judge(n=60)
    every = {"fid", "kid", "precision", "recall", "density", "coverage", "swd", "is", "modes", "copies"}
    assert set(said) == every - set(absent) | {"protocol"}
    protocol = said["protocol"]
    assert protocol["features"].startswith(features)
    assert protocol["n"] == protocol["reference_n"] == 60
    assert protocol["reference"] == f"{data}/test"
    assert {"seed", "weights", "command", "fingerprint", "samples"} <= set(protocol)
    for name in every - set(absent):
        assert said[name]["protocol"]["estimator"]
        assert math.isfinite(said[name]["value"])
    assert runs[data].judge(n=60) == said
    assert runs[data].judge(n=90, scores="recall")["recall"]["protocol"].get("n", 90) <= protocol_size(data)
    assert runs[data].judge(n=60, seed=1)["swd"] != said["swd"]


def protocol_size(data: str) -> int:
    """Neighbours are counted among as many samples as there are examples."""
    return min(90, len(open_data(data).splits["test"]))


def test_samples_of_a_folder_are_judged(runs, tmp_path):
    run = runs["digits"]
    drawn = run.sample(30, seed=4)
    drawn.save(tmp_path / "folder")
    said = run.judge(n=30, samples=tmp_path / "folder", scores="swd,precision")
    own = run.judge(n=30, seed=4, scores="swd")
    assert set(said) == {"swd", "precision", "protocol"}
    assert said["protocol"]["samples"] == str(tmp_path / "folder")
    again = run.judge(n=30, samples=tmp_path / "folder", scores="swd", seed=4)["swd"]["value"]
    assert again == pytest.approx(own["swd"]["value"], rel=1e-3)  # a picture has 256 levels, digits have 17


def test_train_examples_are_told_from_held_out_ones(runs, tmp_path):
    stored = runs["digits"]
    x = open_data("digits").splits["train"].x.gather(torch.arange(100))
    np.save(tmp_path / "copies.npy", x[..., 0].numpy())
    said = stored.judge(n=100, samples=tmp_path / "copies.npy", scores="copies", features="pixels")["copies"]
    assert said["exact"] == 100
    assert said["value"] > 0.99


def test_the_command_refuses_in_words(runs, capsys):
    path = str(runs["digits"].path)
    for words, said in (
        (["--scores", "fids"], "did you mean 'fid'"),
        (["--scores", ","], "scores is empty"),
        (["-n", "5", "--scores", "recall"], "give a larger n"),
        (["--features", "own:patterns"], "give"),
        (["--features", "pixels", "--scores", "is"], "features = own"),
        (["--features", "pixels", "--scores", "modes"], "features = own"),
        (["--split", "train", "--scores", "copies"], "held out"),
        (["--samples", "/nowhere"], "/nowhere"),
    ):
        assert cli.main(["judge", path, *words]) == 2
        assert said in capsys.readouterr().err
    assert cli.main(["judge", path, "-n", "20", "--scores", "kid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kid"]["protocol"]["estimator"]


def test_samples_that_are_not_finite_are_refused(runs, monkeypatch):
    monkeypatch.setattr(
        make, "drawn", lambda model, n, seed, y: mg.values.Values(torch.full((n, 1, 8, 8), torch.nan), model.space)
    )
    with pytest.raises(UserError, match=r"not finite.*earlier state"):
        runs["digits"].judge(n=20)


def test_fine_detail_is_what_blur_takes_away() -> None:
    space = Image(16, 16, 3)
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    assert (fine(blurred, space) < 0.2 * fine(x, space)).all()
    assert torch.allclose(fine(x + 0.3, space), fine(x, space)), "brightness is no detail"
    power = torch.fft.fft2(x.double(), norm="ortho").abs().square().sum() / space.size
    assert float(fine(x, space).sum()) < float(power), "a part of all the power there is"
    assert has_detail(space)
    assert not has_detail(Vector(64))
    assert not has_detail(Image(1, 1, 3))
