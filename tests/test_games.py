"""Games, penalties, augmentations, inversion, and what is said when a game goes wrong: known answers and properties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from morphogen import session
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import names, part
from morphogen.core.conditional import Conditional
from morphogen.core.game import Bout
from morphogen.core.model import teams
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Space, Vector
from morphogen.diagnosis import findings
from morphogen.errors import UserError
from morphogen.models.inversion import descend
from morphogen.ranks import Ranks
from morphogen.review import distance

MLP = {"use": "mlp", "widths": [12, 10], "act": "leaky"}
GREY, COLOUR, POINTS = Image(8, 8, 1), Image(9, 8, 3), Vector(3)
N = 6


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def gan(space: Space = GREY, **more: Any) -> Any:
    spec: dict[str, Any] = {"use": "gan", "latent": 4, "net": MLP, "features": 8}
    return part("models", spec | more)(space, Vector(3))


def pictures(space: Space = GREY, n: int = N) -> Tensor:
    return torch.rand(n, *space.shape)


# Games


@pytest.mark.parametrize("name", names("games"))
def test_the_sides_of_a_game_are_opposed(name: str) -> None:
    game = part("games", name)()
    real, fake = torch.randn(2, N, dtype=torch.float64).tanh().unbind()  # within the targets of least squares
    real, fake = real.requires_grad_(), fake.requires_grad_()
    for_real, for_fake = torch.autograd.grad(game.critic(real, fake).sum(), [real, fake])
    assert (for_real < 0).all(), "the critic wants real ones higher"
    assert (for_fake > 0).all(), "and made-up ones lower"
    (wanted,) = torch.autograd.grad(game.generator(real.detach(), fake).sum(), [fake])
    assert (wanted < 0).all(), "which the generator wants higher"


KNOWN = {"nonsaturating": (2 * math.log(2), math.log(2)), "r3": (math.log(2), math.log(2)), "wasserstein": (0.0, 0.0),
         "hinge": (2.0, 0.0), "leastsquares": (1.0, 0.5)}  # fmt: skip


@pytest.mark.parametrize("name", names("games"))
def test_a_game_at_rest_costs_what_the_paper_says(name: str) -> None:
    game, zero = part("games", name)(), torch.zeros(N)
    assert float(game.critic(zero, zero).mean()) == pytest.approx(KNOWN[name][0])
    assert float(game.generator(zero, zero).mean()) == pytest.approx(KNOWN[name][1])
    assert float(game.right(zero + 3, zero - 3)) == 1.0
    assert float(game.right(zero - 3, zero + 3)) == 0.0


def test_the_generator_moves_once_in_so_many_steps() -> None:
    model = gan(steps=3, encoder=MLP)
    batch = Batch(pictures())
    players = [[turn.player for turn in model.play(batch, step)] for step in range(6)]
    assert players == 2 * [["critic", "encoder"], ["critic", "encoder"], ["critic", "generator", "encoder"]]


def test_nobody_moves_another_players_parameters() -> None:
    """Real steps: after each turn only its own player has changed."""
    model = gan(encoder=MLP, penalties=["r1", "r2", "lecam"], guides=["auxiliary"], labelled=True, augment="ada")
    team = teams(model)
    batch = Batch(pictures(), torch.arange(N) % 3)
    for step in range(2):
        for turn in model.play(batch, step):
            before = {n: p.detach().clone() for n, p in model.named_parameters()}
            members = team[turn.player]
            slopes = torch.autograd.grad(turn.loss, list(members.values()))
            with torch.no_grad():
                for p, slope in zip(members.values(), slopes, strict=True):
                    p.sub_(0.1 * slope)
            moved = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
            assert moved, turn.player
            assert moved <= set(members), turn.player


# Penalties


def square_critic(x: Tensor, y: Tensor | None = None) -> Tensor:
    """sum of squares: its slope is 2 x."""
    return x.square().flatten(1).sum(1)


def bout(real: Tensor, fake: Tensor, ask: Any = square_critic) -> Bout:
    real, fake = real.double().requires_grad_(), fake.double().requires_grad_()
    return Bout(ask, real, fake, None, ask(real, None), ask(fake, None))


@pytest.mark.parametrize(("space", "unit"), [(POINTS, 1.0), (GREY, 0.5)])
def test_slopes_against_the_closed_form(space: Space, unit: float) -> None:
    met = bout(pictures(space), pictures(space))
    lengths = [(unit * 2 * x).square().flatten(1).sum(1) for x in (met.real, met.fake)]
    assert torch.allclose(part("penalties", "r1")(space)(met), 0.5 * lengths[0], rtol=1e-6)
    assert torch.allclose(part("penalties", "r2")(space)(met), 0.5 * lengths[1], rtol=1e-6)
    with noise.source(Noise(3)):
        share = noise.uniform((N, *[1] * len(space.shape)), event=len(space.shape), like=met.real)
    between = share * met.real + (1 - share) * met.fake
    length = (unit * 2 * between).square().flatten(1).sum(1).sqrt()
    with noise.source(Noise(3)):
        assert torch.allclose(part("penalties", "gradient")(space)(met), (length - 1).square(), rtol=1e-5)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient"])
def test_a_penalty_moves_the_critic_by_the_right_amount(name: str) -> None:
    """d penalty / d weights against finite differences, in float64."""
    layer = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()

    def ask(x: Tensor, y: Tensor | None = None) -> Tensor:
        return layer(x).squeeze(1)

    penalty, real, fake = part("penalties", name)(POINTS), pictures(POINTS), pictures(POINTS)

    def cost() -> Tensor:
        with noise.source(Noise(1)):
            said: Tensor = penalty(bout(real, fake, ask)).sum()
        return said

    (slope,) = torch.autograd.grad(cost(), [layer[0].weight])
    weight, small = layer[0].weight, 1e-6
    for place in ((0, 0), (4, 2)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[place] += sign * small
            ends.append(float(cost().detach()))
            with torch.no_grad():
                weight[place] -= sign * small
        assert float(slope[place]) == pytest.approx((ends[0] - ends[1]) / (2 * small), rel=1e-5, abs=1e-7)


def test_lazy_penalties_weigh_as_much_as_constant_ones() -> None:
    model = gan(penalties=[{"use": "r1", "weight": 2.0, "every": 4}])
    plain, batch = gan(penalties=[]), Batch(pictures())
    plain.load_state_dict(model.state_dict())
    losses = []
    for one in (model, plain):
        said = []
        for step in (0, 1):
            with noise.source(Noise(0, "train", step)):
                said.append(float(next(iter(one.play(batch, step))).loss.detach()))
        losses.append(said)
    assert losses[0][1] == losses[1][1], "not due"
    x = batch.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.ask(x, None).sum(), x)
    cost = 4 * 2.0 * 0.5 * (0.5 * slope).square().flatten(1).sum(1).mean()
    assert losses[0][0] - losses[1][0] == pytest.approx(float(cost), rel=1e-4)


def test_a_spectral_critic_stretches_nothing_by_more_than_one() -> None:
    model = gan(penalties=["spectral"]).train()
    with torch.no_grad():
        for p in model.critic.parameters():
            p.mul_(5.0)
        for _ in range(40):
            model.critic(pictures())
    model.eval()
    for layer in (m for m in model.critic.modules() if isinstance(m, nn.Linear)):
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.05)


def test_lecam_pulls_scores_to_the_other_sides_mean() -> None:
    penalty = part("penalties", {"use": "lecam", "memory": 0.0})(POINTS)
    met = bout(torch.full((N, 3), 2.0), torch.full((N, 3), 1.0))  # scores 12 and 3
    assert torch.allclose(penalty(met), torch.full((N,), 2 * 9.0**2, dtype=torch.float64))
    kept = penalty.means.clone()
    penalty.eval()(bout(torch.zeros(N, 3), torch.zeros(N, 3)))
    assert torch.equal(penalty.means, kept), "in use it remembers nothing"


def test_consistency_is_nothing_where_the_view_is_the_picture() -> None:
    met = bout(pictures(), pictures())
    same = part("penalties", {"use": "consistency", "view": "none"})(GREY)
    assert not same(met).any()
    with noise.source(Noise(0)):
        moved = part("penalties", {"use": "consistency", "view": {"use": "shift", "share": 0.4}})(GREY)(met)
    assert moved.any()


# Augmentation


ANY, CELLS = ("none", "veil"), ("gaps",)  # augmentations of examples of any kind, and of tables; others need pictures


@pytest.mark.parametrize("name", [n for n in names("augments") if n not in ("none", *CELLS)])
@pytest.mark.parametrize("space", [GREY, COLOUR, Image(16, 16, 3)])
def test_an_augmentation(name: str, space: Image) -> None:
    augment = part("augments", {"use": name} | ({"start": 0.7} if name == "ada" else {}))(space)
    x = pictures(space).requires_grad_()
    with noise.source(Noise(2)):
        said = augment(x)
    assert said.shape == x.shape
    assert torch.isfinite(said).all()
    assert not torch.allclose(said, x)
    with noise.source(Noise(2)):
        assert torch.equal(augment(x), said), "the same noise, the same view"
    for rows in (slice(0, 2), slice(2, N)):
        with noise.source(Noise(2, start=rows.start, total=N)):
            assert torch.allclose(augment(x[rows]), said[rows], atol=1e-5), "a share sees what the whole would"
    (slope,) = torch.autograd.grad(said.square().sum(), x)
    assert slope.abs().sum() > 0, "a gradient passes to the generator"


@pytest.mark.parametrize("name", [n for n in names("augments") if n not in ANY])
def test_points_are_refused_by_what_needs_more(name: str) -> None:
    with pytest.raises(UserError, match=r"augment ?= ?none"):
        part("augments", name)(POINTS)


def test_a_shift_moves_whole_pictures() -> None:
    x = torch.zeros(200, 1, 9, 9)
    x[:, :, 4, 4] = 1
    with noise.source(Noise(0)):
        moved = part("augments", {"use": "shift", "share": 0.25})(Image(9, 9, 1))(x)
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(200)), "a dot in the middle stays in the picture"
    rows, columns = (moved.sum(axis).argmax(-1).flatten() - 4 for axis in (3, 2))
    assert set(rows.tolist()) == set(columns.tolist()) == set(range(-2, 3)), "by every amount up to a quarter"


def test_ada_follows_the_critic() -> None:
    augment = part("augments", {"use": "ada", "images": 600, "target": 0.6})(GREY).train()
    x = pictures()
    with noise.source(Noise(0)):
        assert torch.allclose(augment(x), x, atol=1e-5), "p = 0 changes nothing"
    for _ in range(60):
        said = augment.learn(torch.full((N,), 3.0), torch.full((N,), -3.0))
    high = float(said["augment/p"])
    assert 0.3 < high <= 0.8, "a critic that is sure sees more changes"
    for _ in range(200):
        said = augment.learn(torch.tensor([1.0, -1, 1, -1, 1, -1]), torch.tensor([1.0, -1, 1, -1, 1, -1]))
    assert float(said["augment/p"]) < 0.1, "one that is at a loss sees fewer"
    before = {name: value.clone() for name, value in augment.state_dict().items()}
    augment.eval().learn(torch.full((N,), 3.0), torch.full((N,), -3.0))
    assert all(torch.equal(value, before[name]) for name, value in augment.state_dict().items()), (
        "in use it learns nothing"
    )


def heard(real: list[float], fake: list[float], level: float = 0.0) -> float:
    """Where p of ada stands after 400 steps of one critic, from the middle."""
    augment = part("augments", {"use": "ada", "images": 2000, "start": 0.4})(GREY).train()
    for _ in range(400):
        said = augment.learn(torch.tensor(real) + level, torch.tensor(fake) + level)
    return float(said["augment/p"])


@pytest.mark.parametrize("level", [0.0, 5.0, -5.0, 1000.0])
def test_the_level_of_scores_means_nothing_to_ada(level: float) -> None:
    """`r3` and `wasserstein` leave it free: only what sets real and made-up examples apart is a signal."""
    assert heard([2.0, 2.5, 1.5, 2.0], [-2.0, -1.0, -2.0, -1.5], level) == pytest.approx(0.8), "learned by heart"
    assert heard([1.0, -1, 2, -2], [-1.0, 1, -2, 2], level) == pytest.approx(0.0), "at a loss"
    assert heard([3.0, 3, 3, 3], [3.0, 3, 3, 3], level) == pytest.approx(0.0), "blind"


@pytest.mark.parametrize("game", ["r3", "wasserstein", "nonsaturating"])
def test_ada_under_each_game_hears_a_critic_that_memorises_and_not_one_that_is_blind(game: str) -> None:
    x = pictures()
    for by_heart, wanted in ((True, 0.4), (False, 0.0)):
        model = gan(game=game, penalties=[], augment={"use": "ada", "images": 120, "start": 0.2, "most": 0.4}).train()
        model.augment.forward = lambda shown: shown
        model.critic.last.bias.data.fill_(-5.0)
        if not by_heart:
            model.critic.last.weight.data.zero_()
        optimiser = torch.optim.Adam(model.critic.parameters(), 1e-2 if by_heart else 0.0)
        for step in range(60):
            turn = next(iter(model.play(Batch(x), step)))
            optimiser.zero_grad()
            turn.loss.backward(inputs=list(model.critic.parameters()))
            optimiser.step()
        assert float(turn.log["augment/p"]) == pytest.approx(wanted), (game, by_heart)


# Habits


def test_path_length_against_the_closed_form() -> None:
    """Of a linear painter every path is as long as its Jacobian says: J^T y, whatever the style."""

    class Painter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.randn(64, 4))

        def styled(self, z: Tensor, y: Tensor | None) -> Tensor:
            return 2 * z

        def paint(self, w: Tensor) -> Tensor:
            return (w @ self.matrix.T).reshape(-1, 1, 8, 8)

    generator = Conditional(part("nets", MLP), part("families", "point"), Vector(4), GREY)
    generator.net = Painter()
    habit = part("habits", {"use": "pathlength", "memory": 0.0})(GREY)
    z = torch.randn(N, 4).requires_grad_()
    with noise.source(Noise(4)):
        ray = noise.normal((N, 1, 8, 8), event=3, like=z).flatten(1) / 8
    length = (ray @ generator.net.matrix).norm(dim=1)
    with noise.source(Noise(4)):
        cost = habit(generator, z, None)
    assert torch.allclose(cost, (length - length.mean()).square(), rtol=1e-4)
    (slope,) = torch.autograd.grad(cost.sum(), [generator.net.matrix])
    assert slope.abs().sum() > 0
    with pytest.raises(UserError, match="style"):
        habit(Conditional(part("nets", MLP), part("families", "point"), Vector(4), GREY), z, None)


# Inversion


def test_descent_finds_the_code_of_a_linear_generator() -> None:
    matrix = torch.randn(4, 20)
    z = torch.randn(N, 4)
    found = descend(lambda code: code @ matrix, z @ matrix, torch.randn(3, N, 4), steps=400, rate=0.1)
    assert torch.allclose(found, z, atol=0.02)


def test_encoding_is_nearer_than_a_guess_and_a_row_knows_nothing_of_the_others() -> None:
    model = gan(descent=60).eval()
    with torch.no_grad(), noise.source(Noise(1)):
        x = model.sample(N)
    with torch.no_grad(), noise.source(Noise(2)):
        code = model.encode(x)
    with torch.no_grad(), noise.source(Noise(2)):
        one = model.encode(x[1:2])
        guess = model.sample(N)
    assert torch.allclose(one[0], code[1], atol=1e-3)
    apart = (model.decode(code) - x).detach().square().mean()
    assert float(apart) < 0.1 * float((guess - x).square().mean())


def test_descent_goes_on_from_the_best_start_and_keeps_the_best_code() -> None:
    """|z| - 1 squared has a trough either side of a hill; at a huge rate the last step is a bad one."""

    def decode(code: Tensor) -> Tensor:
        return (code.square() - 1) * torch.tensor([[1.0, 0.5]])

    x = decode(torch.tensor([[1.0, 1.0]])).repeat(2, 1)
    starts = torch.tensor([[[5.0, 5.0], [0.9, 1.1]], [[1.1, 0.9], [-4.0, 6.0]]])
    near = descend(decode, x, starts, steps=10, rate=1e-3)
    assert (near - 1).abs().max() < 0.2, "the nearer of two starts goes on"
    wild = descend(decode, x, starts[:1, :1].expand(1, 2, 2) * 0.2 + 0.02, steps=3, rate=30.0)
    assert (decode(wild) - x).abs().max() < 0.2, "what was nearest is kept"


def test_a_critic_that_is_held_costs_nothing() -> None:
    """In the generator's turn nothing of the critic's is prepared for a gradient; afterwards it can learn again."""
    model = gan()
    batch = Batch(pictures())
    turns = {turn.player: turn for turn in model.play(batch, 0)}
    asked = torch.autograd.grad(turns["generator"].loss, list(model.critic.parameters()), allow_unused=True)
    assert all(slope is None for slope in asked)
    assert all(p.requires_grad for p in model.critic.parameters())


# What is said


def records(**last: float) -> list[dict[str, float]]:
    """Forty records of a game in good health, then ten in which something is wrong."""
    fine = {"gradient/generator": 1.0, "critic/right": 0.7, "critic/real": 0.5, "critic/fake": -0.5, "diversity": 0.9}
    said = [{"step": 50 * i, "fraction": i / 50} | fine for i in range(1, 41)]
    said += [{"step": 50 * i, "fraction": i / 50} | fine | last for i in range(41, 51)]
    drift, held_out = last.get("drift", 0.0), last.get("held_out", 0.4)
    look = {"step": 2500, "valid/critic/real": held_out + drift, "valid/critic/fake": -0.5 + drift}
    return [*said, look, look]


def test_health_is_silent() -> None:
    assert findings(records()) == {}
    assert findings([]) == {}
    assert findings(records()[:2]) == {}
    assert findings(records(drift=-3.0)) == {}, "the level of scores means nothing, only their difference does"


@pytest.mark.parametrize(
    ("last", "name", "word"),
    [
        ({"diversity": 0.01}, "collapse", "r3"),
        ({"critic/right": 0.999, "gradient/generator": 1e-6}, "vanishing", "r1"),
        ({"held_out": -0.45}, "by heart", "ada"),
        ({"rate": 0.01}, "empty code", "free-bits"),
    ],
)
def test_what_goes_wrong_is_said_with_its_remedy(last: dict[str, float], name: str, word: str) -> None:
    said = findings(records(**last))
    assert list(said) == [name]
    assert word in said[name]


def test_overfitting_is_said_with_where_it_began() -> None:
    looks = [{"step": 100 * i, "valid/loss": 90.0 + abs(i - 6)} for i in range(1, 20)]
    assert findings(looks[:7]) == {}
    said = findings(looks)
    assert list(said) == ["overfitting"]
    assert "step 600 (90)" in said["overfitting"]
    assert "train.patience" in said["overfitting"]
    surer = [look | {"valid/error": 0.02} for look in looks]
    assert findings(surer) == {}, "the same mistakes, said more surely"
    forgetting = [look | {"valid/error": 0.02 + 0.01 * abs(i - 5)} for i, look in enumerate(looks)]
    assert list(findings(forgetting)) == ["overfitting"]
    falling = [{"step": i, "valid/loss": -100.0 - i} for i in range(20)]
    assert findings(falling) == {}, "a density's loss may be below nothing"


def test_a_loss_that_is_not_the_bound_is_not_called_learning_by_heart() -> None:
    """A rate that was averaged over pixels runs away: the bound of training examples gets worse, too."""
    steps = range(100, 3000, 100)
    looks = [{"step": s, "valid/loss": 143.0 + (s - 600) / 100} for s in steps]
    away = [{"step": s, "fraction": s / 3000, "distortion": 130.0 - s / 1000, "rate": 10 + s / 100} for s in steps]
    assert findings([*away, *looks]) == {}
    learned = [record | {"rate": 12.0} for record in away]
    assert list(findings([*learned, *looks])) == ["overfitting"], "training examples get better, and the others worse"
    classes = [{"step": s, "fraction": s / 3000, "loss/model": 1.0 + s / 1000} for s in steps]
    assert findings([*classes, *looks]) == {}


def test_a_run_says_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {"model": {"use": "gan", "latent": 2, "net": MLP}, "train": {"steps": 3}}
    run, data = session.start(recipe, "digits", [], tmp_path / "run")
    sitting = session.Session(run, data, Ranks(), [], quiet=True)
    for record in records(diversity=0.01):
        sitting.note(record)
    assert capsys.readouterr().err.count("the generator has collapsed") == 1
    (said,) = [record for record in run.log() if "collapsed" in record.get("event", "")]
    assert said["step"] >= 2050, "and when it was found"


def test_a_game_is_watched_while_it_is_trained(tmp_path: Path) -> None:
    recipe = {
        "model": {"use": "gan", "latent": 2, "net": MLP, "augment": "ada"},
        "train": {"steps": 20, "log_every": 5, "validate_every": 10},
    }
    run, data = session.start(recipe, "digits", [], tmp_path / "run")
    session.fit(run, data, quiet=True)
    trained = [record for record in run.log() if "fraction" in record]
    looked = [record for record in run.log() if "valid/distance" in record]
    wanted = {"loss/critic", "loss/generator", "gradient/critic", "gradient/generator", "critic/right", "diversity",
              "augment/p", "augment/signal"}  # fmt: skip
    assert all(wanted <= set(record) for record in trained)
    assert [record["step"] for record in looked] == [10, 20]
    assert all(math.isfinite(record["valid/critic/real"]) and record["valid/distance"] > 0 for record in looked)
    assert (run.path / "samples" / "step-000000020.png").is_file()


def test_the_cheap_distance_is_small_only_for_what_is_alike() -> None:
    x, y = torch.rand(2, 400, 6)
    assert distance(x, x) == 0.0
    assert distance(x, y) < 0.05 < distance(x, y + 1)


def test_a_guide_says_which_directions_it_gave_a_meaning() -> None:
    guides = [{"use": "information", "categories": 2, "numbers": 2}]
    model = gan(latent=5, prior={"use": "codes", "categories": 2}, guides=guides)
    start, ways = model.directions()
    one = math.sqrt(2)  # the choice as the prior says it
    assert torch.allclose(start[:, :4], torch.tensor(2 * [[one, 0, 0, 0], [0, one, 0, 0]]))
    assert (start[:, 4] == start[0, 4]).all()
    assert ways.argmax(1).tolist() == [2, 2, 3, 3]
    assert torch.equal(ways.sum(1), torch.ones(4))


def test_directions_are_the_strongest_first() -> None:
    model = gan()
    start, ways = model.directions()
    assert start.shape == (4,)
    assert torch.allclose(ways @ ways.T, torch.eye(4), atol=1e-5)
    first = next(m for m in model.generator.modules() if isinstance(m, nn.Linear))
    moved = [float((first.weight @ way).norm().detach()) for way in ways]
    assert moved == sorted(moved, reverse=True)
