"""Values that many rows share, empty cells that are drawn, and columns of very many words: what a model of a table says
of each, and that new rows repeat them."""

import math

import numpy as np
import pytest
import torch

from morphogen.core import noise
from morphogen.core.build import part
from morphogen.core.censored_mixture import log_between
from morphogen.core.column import Number, Word
from morphogen.core.noise import Noise
from morphogen.core.space import space_from_facts
from morphogen.core.table import Table
from morphogen.data.columns import on_normal_scale
from morphogen.errors import UserError

DRAW = np.random.default_rng(0)
MCS = np.r_[
    np.repeat([1.0, 2.0, 3.0, 4.0], [620, 900, 200, 183]), 1.72100840336134
]  # the published table's, with its odd cell
PAY = np.where(DRAW.random(3000) < 0.3, 1 / 3, DRAW.lognormal(0, 1, 3000))


def space_of(*columns):
    return Table(tuple(on_normal_scale(Number(str(i)), values, values) for i, values in enumerate(columns)))


def drawn(space, count, **options):
    """Rows of a likelihood that says the same standard normal of everything, and no gaps."""
    family = part("families", {"use": "mixed", "floor": 0.01} | options)(space)
    with noise.source(Noise(0)):
        return family(torch.zeros(1, family.out.size)).sample((count,))[:, 0]


@pytest.mark.parametrize("values", [MCS, PAY], ids=["few values", "a third of a continuous column"])
def test_an_atom_is_drawn_exactly_and_as_often_as_it_stands_there(values):
    space = space_of(values)
    new = space.write(drawn(space, 20_000))[:, 0].numpy()
    for value, count in zip(*np.unique(values, return_counts=True), strict=True):
        if count >= 0.01 * len(values):
            share = count / len(values)
            assert (new == value).mean() == pytest.approx(share, abs=4 * math.sqrt(share / 20_000)), value
    if values is MCS:
        assert np.isin(new, values).all(), "nothing that nobody ever wrote"


@pytest.mark.parametrize("values", [MCS, PAY])
def test_what_is_read_is_written_back(values):
    space, stored = space_of(values), torch.from_numpy(values)[:, None]
    assert torch.allclose(space.write(space.read(stored)), stored, rtol=1e-4, atol=1e-5)
    atom = float(np.sort(values)[len(values) // 3]) if values is MCS else 1 / 3
    assert space.write(space.read(torch.tensor([[atom]], dtype=torch.float64))).item() == atom


def test_the_probability_of_all_values_is_one():
    """Mass of the atoms and the integral of the density between them, by a fine grid of scores."""
    space = space_of(PAY)
    p = part("families", {"use": "mixed", "parts": 2})(space)(torch.tensor([[0.3, -1.0, -0.5, 0.2, 0.1, -0.4]]))
    grid = torch.linspace(-9, 9, 400_001)[:, None]
    atom, _, _, middle = space.curves.around(grid)
    assert atom.any()
    density = p.numbers.log_each(grid).exp()[~atom].sum() * (18 / 400_000)
    mass = sum(p.numbers.log_each(m.reshape(1, 1)).exp() for m in middle[atom].unique())
    assert float(density + mass) == pytest.approx(1.0, abs=1e-3)
    assert 0.05 < float(mass) < 0.95


def test_log_probabilities_between_two_ends_hold_far_out_and_have_slopes():
    low, high = torch.tensor([-1.0, 30.0, -1e3, -2000.0]), torch.tensor([1.0, 31.0, 0.0, -1999.0])
    low.requires_grad_()
    said = log_between(low, high)
    true = torch.distributions.Normal(0.0, 1.0)
    assert said[0].item() == pytest.approx(
        math.log(true.cdf(torch.tensor(1.0)) - true.cdf(torch.tensor(-1.0))), abs=1e-5
    )
    assert said[1].item() == pytest.approx(-454.321, abs=0.01)
    assert said[2].item() == pytest.approx(math.log(0.5), abs=1e-5)
    said.sum().backward()
    assert torch.isfinite(said).all()
    assert torch.isfinite(low.grad).all()


def test_training_on_atoms_is_training_on_their_probability():
    space = space_of(MCS)
    family = part("families", {"use": "mixed", "parts": 3})(space)
    said = torch.zeros(1, family.out.size, requires_grad=True)
    x = space.read(torch.from_numpy(MCS)[:, None])
    shares = np.array([620, 900, 200, 183, 1]) / len(MCS)
    entropy = -(shares * np.log(shares)).sum()
    loss = -family(said).log_prob(x).mean()
    loss.backward()
    assert loss.item() == pytest.approx(entropy, abs=1e-3), "a standard normal has each value as often as the rows do"
    assert torch.isfinite(said.grad).all()


def test_empty_cells_are_drawn_where_some_rows_had_them():
    values = DRAW.normal(size=400)
    holes = np.where(DRAW.random(400) < 0.2, math.nan, values)
    space = Table((on_normal_scale(Number("a"), holes, holes), on_normal_scale(Number("b"), values, values)))
    assert [column.gaps for column in space.columns] == [True, False]
    assert space_from_facts(space.facts()) == space
    family = part("families", "mixed")(space)
    said = torch.zeros(1, family.out.size)
    said[0, -1] = math.log(0.8 / 0.2)
    with noise.source(Noise(1)):
        x = family(said).sample((5000,))[:, 0]
    new = space.write(x)
    assert new[:, 0].isnan().double().mean().item() == pytest.approx(0.2, abs=0.03)
    assert not new[:, 1].isnan().any()
    assert not space.write(space.full(x)).isnan().any(), "or all of them filled"
    seen = space.read(torch.tensor([[math.nan, 0.0], [0.0, 0.0]], dtype=torch.float64))
    assert seen[:, 2:].tolist() == [[-1, 1], [1, 1]]
    each = family(said).log_each(seen)
    assert each[:, 2].tolist() == pytest.approx([math.log(0.2), math.log(0.8)])
    assert each[0, 0] == 0
    left_out = seen * torch.tensor([0.0, 1, 0, 1])
    assert family(said).log_each(left_out)[:, [0, 2]].eq(0).all(), "what nobody knows counts nothing"


WIDE = Table((Word("plane", tuple(f"N{i:05d}" for i in range(3000)), 48), Number("n"), Word("w", ("a", "b"))))


def test_thousands_of_words_are_told_by_their_codes():
    stored = torch.stack([torch.arange(3000.0), torch.zeros(3000), torch.ones(3000)], 1).double()
    x = WIDE.read(stored)
    assert WIDE.shape == (48 + 1 + 2 + 3,)
    assert torch.equal(WIDE.write(x), stored)
    assert space_from_facts(WIDE.facts()) == WIDE
    for bits in (-1, True, 10**6, 1.5):
        with pytest.raises(UserError, match="bits"):
            space_from_facts({"kind": "table", "columns": [{"name": "a", "words": ["x"], "bits": bits}]})


def test_a_wide_column_has_chances_that_are_learned():
    family = part("families", "mixed")(WIDE)
    with torch.no_grad():
        family.bias[0][7] = 9.0
    said = torch.zeros(2, family.out.size)
    p, x = family(said), WIDE.read(torch.tensor([[7.0, 0, 0], [8.0, 0, 0]], dtype=torch.float64))
    total = math.log(2999 + math.exp(9.0))
    assert p.log_each(x)[:, 0].tolist() == pytest.approx([9 - total, -total], rel=1e-4)
    assert torch.allclose(p.log_each(x).sum(-1), p.log_prob(x))
    with noise.source(Noise(0)):
        new = WIDE.write(p.sample((500,)))[..., 0]
    assert new.eq(7).double().mean().item() == pytest.approx(math.exp(9 - total), abs=0.05)
    assert new.unique().numel() > 50
    assert WIDE.write(p.centre)[:, 0].tolist() == [7, 7]
    assert WIDE.write(p.guess)[:, 0].tolist() == [7, 7]


def test_a_table_of_words_alone_is_a_table():
    space = Table((Word("a", ("x", "y")),))
    family = part("families", {"use": "mixed", "parts": 2})(space)
    x = space.read(torch.tensor([[1.0], [0.0]], dtype=torch.float64))
    assert family(torch.zeros(2, family.out.size)).log_prob(x).tolist() == pytest.approx([-math.log(2)] * 2)


def test_a_mixture_with_covariances_is_that_of_torch():
    from morphogen.core.full_covariance_mixture import Slanted

    draw = torch.Generator().manual_seed(0)
    weight, mean, scale, slant = (torch.randn(*s, generator=draw) for s in ((3,), (3, 4), (3, 4), (3, 4, 4)))
    p = Slanted(weight, mean, 0.3 * scale, slant, 1)
    root = torch.linalg.inv(torch.tril(slant, -1) + torch.eye(4)) * 1.0
    cholesky = torch.exp(0.3 * scale)[:, :, None] * root
    true = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=weight),
        torch.distributions.MultivariateNormal(mean, cholesky @ cholesky.mT),
    )
    with noise.source(Noise(0)):
        x = p.sample((2, 20_000))
    assert torch.allclose(p.log_prob(x[:, :50]), true.log_prob(x[:, :50]), atol=1e-3)
    assert torch.allclose(x.mean((0, 1)), true.mean, atol=0.1)
    assert torch.allclose(p.centre, true.mean, atol=1e-5)
    assert x.var((0, 1)).tolist() == pytest.approx(true.variance.tolist(), rel=0.06)
