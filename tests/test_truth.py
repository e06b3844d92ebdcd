"""Closed forms: what our numbers must be, to the digit. Reliability rows 22 and 23.

The linear-Gaussian VAE, x = W z + b + noise, is the model whose log p(x) is known (probabilistic PCA: Tipping and
Bishop 1999; as a VAE: Lucas et al. 2019). Every constant, sign or reduction that is wrong somewhere shows in it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.build import part, register
from morphogen.core.distribution import Distribution, Mixture, Normal
from morphogen.core.inference import Inference, Latent
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Sound, Space, Tokens, Vector
from morphogen.errors import Failure, UserError
from morphogen.families.bernoulli import Bernoulli
from morphogen.families.categorical import Categorical
from morphogen.families.laplace import Laplace
from morphogen.families.logistics import Logistics
from morphogen.metrics.annealed import annealed, from_prior
from morphogen.metrics.likelihood import BLOCK, GROUP, interval, log_likelihood
from morphogen.models.vae import vae

D, K, VARIANCE = 64, 10, 0.1
F64 = torch.float64


@register("nets", "test-linear")
class linear(nn.Module):
    """A matrix and an offset: what makes of a VAE probabilistic PCA."""

    def __init__(self, inp: Space, out: Space, given: Vector | None = None, /) -> None:
        super().__init__()
        self.body = nn.Linear(inp.size, out.size)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x)


class FullNormal(Distribution):
    """A normal of full covariance, given by the Cholesky factor: the exact posterior of the linear model."""

    def __init__(self, mean: Tensor, factor: Tensor) -> None:
        self.mean, self.factor, self.event = mean, factor, 1

    def log_prob(self, x: Tensor) -> Tensor:
        flat = (x - self.mean).reshape(-1, x.shape[-1])
        standard = torch.linalg.solve_triangular(self.factor, flat.T, upper=False).T.reshape(x.shape)
        log_det = self.factor.diagonal().log().sum()
        return -0.5 * standard.square().sum(-1) - log_det - 0.5 * x.shape[-1] * math.log(2 * math.pi)

    def sample(self, shape: tuple[int, ...] = ()) -> Tensor:
        eps = noise.normal((*shape, *self.mean.shape), event=1, like=self.mean)
        return self.mean + eps.to(self.mean.dtype) @ self.factor.T


class PCA:
    """A linear VAE with weights drawn at random, and everything about it that is known in closed form."""

    def __init__(self, seed: int = 0, data: int = 200, wide: int = D, code: int = K) -> None:
        generator = torch.Generator().manual_seed(seed)
        draw = lambda *size: torch.randn(*size, generator=generator, dtype=F64)  # noqa: E731
        likelihood = {"use": "normal-fixed", "scale": math.sqrt(VARIANCE)}
        spec = {"use": "vae", "latent": code, "net": "test-linear", "likelihood": likelihood}
        self.model: vae = part("models", spec)(Vector(wide)).double()
        self.model.likelihood.family.log_scale.fill_(0.5 * math.log(VARIANCE))  # the buffer was made in float32
        self.w, self.b = draw(wide, code) / math.sqrt(code), draw(wide)
        precision = torch.eye(code, dtype=F64) + self.w.T @ self.w / VARIANCE
        self.covariance = torch.linalg.inv(precision)
        self.encode = self.covariance @ self.w.T / VARIANCE
        with torch.no_grad():
            decoder, encoder = self.model.likelihood.net.body, self.model.posterior.net.body
            decoder.weight.copy_(self.w)
            decoder.bias.copy_(self.b)
            # the best mean-field posterior has the exact mean, and the precision's own diagonal
            encoder.weight.copy_(torch.cat([self.encode, torch.zeros_like(self.encode)]))
            log_scale = -0.5 * precision.diagonal().log()
            encoder.bias.copy_(torch.cat([-self.encode @ self.b, log_scale]))
        z = draw(data, code)
        self.x = z @ self.w.T + self.b + math.sqrt(VARIANCE) * draw(data, wide)
        self.precision = precision

    def exact(self, x: Tensor) -> Tensor:
        """log N(x; b, W W' + s^2 I), by scipy."""
        covariance = (self.w @ self.w.T + VARIANCE * torch.eye(len(self.b), dtype=F64)).numpy()
        return torch.from_numpy(scipy.stats.multivariate_normal(self.b.numpy(), covariance).logpdf(x.numpy()))

    def infer(self, x: Tensor, q: Distribution, samples: int) -> Inference:
        z = q.sample((samples,))
        latent = Latent(z, q, self.model.prior(self.model.posterior))
        return Inference(x, self.model.likelihood(z), [latent], self.model)


@pytest.fixture(scope="module")
def pca() -> PCA:
    return PCA()


# The linear-Gaussian model


def test_the_elbo_at_the_exact_posterior_is_log_p_for_any_single_sample(pca: PCA) -> None:
    exact = pca.exact(pca.x)
    q = FullNormal((pca.x - pca.b) @ pca.encode.T, torch.linalg.cholesky(pca.covariance))
    with noise.source(Noise(1)):
        inference = pca.infer(pca.x, q, 3)
    elbo = -(inference.distortion + inference.rate)
    assert elbo.shape == (3, len(pca.x))
    assert (elbo - exact).abs().max() < 1e-10
    assert (inference.log_weight - exact).abs().max() < 1e-10
    bound = part("terms", "bound")(pca.model.space)(inference, 0)
    assert (bound + exact).abs().max() < 1e-10


def test_importance_sampling_finds_log_p(pca: PCA) -> None:
    exact = pca.exact(pca.x)
    found = log_likelihood(pca.model, [Batch(pca.x)], 5000, seed=3)
    assert found.log_p.dtype == F64
    assert abs((found.log_p - exact).mean()) < 0.005
    assert (found.log_p - exact).abs().max() < 0.2
    assert (found.elbo < exact).all()  # over 5000 samples the noise is far below the gap
    gap = 0.5 * (pca.precision.diagonal().log().sum() - torch.linalg.slogdet(pca.precision)[1])  # KL(q || p(z|x))
    assert abs((exact - found.elbo).mean() - gap) < 0.02
    with torch.no_grad():
        rate = pca.infer(pca.x, pca.model.posterior(pca.x), 1).rate
    assert (found.rate - rate).abs().max() < 1e-10
    assert torch.equal(found.elbo, -(found.distortion + found.rate))


def test_the_bound_tightens_with_more_samples() -> None:
    wide = PCA(seed=3)
    with torch.no_grad():
        wide.model.posterior.net.body.bias[K:] += 0.4
    exact = wide.exact(wide.x).mean()
    bounds = {}
    for samples in (1, 4, 16, 64):
        each = [log_likelihood(wide.model, [Batch(wide.x)], samples, seed=s).log_p.mean() for s in range(10)]
        bounds[samples] = torch.stack(each)
    for few, more in itertools.pairwise(bounds.values()):
        assert more.mean() - few.mean() > 5 * (more.var() / 10 + few.var() / 10).sqrt()
    assert bounds[64].mean() < exact
    assert bounds[64].mean() > exact - 0.3


def test_annealing_finds_log_p(pca: PCA) -> None:
    few = pca.x[:50]
    found = annealed(pca.model, [Batch(few)], chains=16, temperatures=100, leaps=3, seed=0)
    error = found.log_p - pca.exact(few)
    assert abs(error.mean()) < 0.02
    assert error.abs().max() < 0.1
    assert 0.6 < found.acceptance < 0.99
    assert found.facts()["protocol"]["n"] == 50
    again = annealed(pca.model, [Batch(few[:7]), Batch(few[7:20])], chains=16, temperatures=100, leaps=3, seed=0)
    assert torch.allclose(again.log_p, found.log_p[:20])


def test_annealing_is_unbiased_where_the_start_is_poor() -> None:
    """A posterior that is shifted and too narrow: importance sampling is off by nats, annealing is not."""
    poor = PCA(seed=5, data=50)
    with torch.no_grad():
        poor.model.posterior.net.body.bias[:K] += 0.1
        poor.model.posterior.net.body.bias[K:] -= 0.5
    exact = poor.exact(poor.x)
    assert (log_likelihood(poor.model, [Batch(poor.x)], 100).log_p - exact).mean() < -2.0
    error = annealed(poor.model, [Batch(poor.x)], chains=16, temperatures=200, leaps=3).log_p - exact
    assert abs(error.mean()) < 0.05
    ratio = error.exp()  # what is unbiased is p(x), not its logarithm
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(50)


class Squared:
    """x = z^2 + noise, so that z and -z say the same; q knows of one of them."""

    prior = staticmethod(lambda like: Normal(torch.zeros(1, dtype=F64), torch.zeros(1, dtype=F64), 1))
    condition = staticmethod(lambda y: None)
    space = Vector(1)
    mass = False

    def posterior(self, x: Tensor, given: Tensor | None) -> Normal:
        return Normal(x.sqrt(), torch.full_like(x, -3.0), 1)

    def likelihood(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z.square(), torch.full_like(z, math.log(0.2)), 1)

    def infer(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Inference:
        q = self.posterior(x, None)
        z = q.sample((samples,))
        return Inference(x, self.likelihood(z), [Latent(z, q, self.prior(None))], self)


def test_a_blind_spot_of_q_is_shared_by_what_starts_there_and_found_from_the_prior() -> None:
    """Half of the probability lies where q never looks: log 2 is missing, and both estimates agree on that."""
    model, x = Squared(), torch.linspace(2, 6, 20, dtype=F64)[:, None]
    z = torch.linspace(-6, 6, 40_001, dtype=F64)
    joint = model.likelihood(z[:, None, None]).log_prob(x) + model.prior(None).log_prob(z[:, None, None])
    exact = torch.logsumexp(joint, 0) + math.log(float(z[1] - z[0]))
    sampled = log_likelihood(model, [Batch(x)], 2000)
    near = annealed(model, [Batch(x)], chains=8, temperatures=100, leaps=3)
    assert torch.allclose(sampled.log_p, exact - math.log(2), atol=0.05)
    assert torch.allclose(near.log_p, exact - math.log(2), atol=0.05)
    assert "both miss" in near.facts()["warning"]
    wide = annealed(model, [Batch(x)], chains=64, temperatures=200, leaps=3, start=from_prior)
    assert float((wide.log_p - near.log_p).mean()) > 0.4
    assert float((wide.log_p - exact).mean()) < 0.1
    assert "a standard normal" in wide.facts()["protocol"]["estimator"]
    assert "both miss" not in wide.facts().get("warning", "")


def test_a_weight_that_rules_and_a_datum_that_rules_are_said(pca: PCA) -> None:
    good = log_likelihood(pca.model, [Batch(pca.x)], 100)
    assert 20 < good.facts()["effective_samples"] <= 100
    assert "warning" not in good.facts()
    poor = PCA(seed=5, data=50)
    with torch.no_grad():
        poor.model.posterior.net.body.bias[:K] += 0.3
        poor.model.posterior.net.body.bias[K:] -= 1.0
    assert "one weight rules" in log_likelihood(poor.model, [Batch(poor.x)], 100).facts()["warning"]
    assert "warning" not in log_likelihood(poor.model, [Batch(poor.x)], 1).facts(), "of one sample nothing is known"
    odd = torch.cat([pca.x, pca.x[:1] + 30.0])
    assert "one example of 201 carries" in log_likelihood(pca.model, [Batch(odd)], 20).facts()["warning"]


def test_a_score_does_not_depend_on_how_the_data_comes(pca: PCA) -> None:
    whole = log_likelihood(pca.model, [Batch(pca.x)], 50, seed=1)
    for cuts, rows in (([7, 50, 143], 10_000), ([200], 1), ([1, 199], 65)):
        shares = [Batch(x) for x in pca.x.split(cuts)]
        other = log_likelihood(pca.model, iter(shares), 50, seed=1, rows=rows)
        for name in ("log_p", "elbo", "distortion", "rate", "variance"):
            assert torch.allclose(getattr(whole, name), getattr(other, name), rtol=0, atol=1e-9), (name, cuts, rows)
    first = log_likelihood(pca.model, [Batch(pca.x[: BLOCK + 3])], 50, seed=1)
    assert torch.allclose(first.log_p, whole.log_p[: BLOCK + 3], rtol=0, atol=1e-9)
    assert not torch.allclose(log_likelihood(pca.model, [Batch(pca.x)], 50, seed=2).log_p, whole.log_p)
    assert 50 % GROUP  # the last group of samples was a short one


def test_active_units_are_counted_and_facts_carry_the_protocol(pca: PCA) -> None:
    found = log_likelihood(pca.model, [Batch(pca.x)], 5, seed=9)
    mean = (pca.x - pca.b) @ pca.encode.T
    assert torch.allclose(found.variance, mean.var(0, unbiased=False))
    assert found.active == K
    facts = found.facts()
    assert "bits_per_dim" not in facts
    assert "density" in facts["note"]
    assert facts["protocol"]["samples"] == 5
    assert facts["protocol"]["seed"] == 9
    assert facts["protocol"]["n"] == 200
    low, high = facts["interval"]
    assert low < facts["log_p"] < high
    assert facts["elbo"] == pytest.approx(-facts["distortion"] - facts["rate"])


def test_the_line_between_active_and_dead_is_a_hundredth() -> None:
    space, model = Vector(2), part("models", {"use": "vae", "latent": 2, "net": "test-linear"})(Vector(2))
    with torch.no_grad():
        model.posterior.net.body.weight.copy_(torch.cat([torch.eye(2), torch.zeros(2, 2)]))
    for variance, active in ((0.009, 0), (0.011, 2)):
        x = math.sqrt(variance) * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # of mean 0, and of this variance
        assert log_likelihood(model, [Batch(x)], 1).active == active
    assert model.space == space


def test_a_model_is_scored_as_it_is_used_not_as_it_is_trained() -> None:
    model = part("models", {"use": "vae", "net": {"use": "mlp", "widths": [8], "norm": "batch"}})(Vector(3))
    x = _draws(20, 3).float() + 2
    for rows in (10, 20):  # batch norm in training knows the others of its batch
        in_training = log_likelihood(model.train(), [Batch(x)], 3, rows=rows * GROUP)
        at_rest = log_likelihood(model.eval(), [Batch(x)], 3)
        assert torch.allclose(in_training.log_p, at_rest.log_p, atol=1e-4)
    state = model.state_dict()
    assert all(state[name].abs().sum() == 0 for name in state if name.endswith("running_mean"))


def test_dead_units_are_not_counted() -> None:
    dull = PCA(seed=2, data=100)
    with torch.no_grad():
        dull.model.posterior.net.body.weight[3:K] = 0
    assert log_likelihood(dull.model, [Batch(dull.x)], 1).active == 3


def test_bits_per_dim_of_data_with_levels() -> None:
    """A model that ignores its code and gives every level the same chance costs log2(levels) bits an element."""
    space = Image(3, 2, 3, levels=4)
    model: vae = part("models", {"use": "vae", "latent": 2, "net": "mlp", "likelihood": "categorical"})(space)
    with torch.no_grad():
        for parameter in model.likelihood.parameters():
            parameter.zero_()
    x = torch.randint(0, 4, (5, *space.shape), generator=torch.Generator().manual_seed(0)) / 3
    found = log_likelihood(model, [Batch(x)], 5)
    # the posterior still costs what it costs: the score is the uniform one plus log of a mean weight
    assert found.distortion.numpy() == pytest.approx(space.size * math.log(4), rel=1e-6)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()  # q = p
    found = log_likelihood(model, [Batch(x)], 5)
    assert found.bits_per_dim == pytest.approx(2.0, rel=1e-6)
    assert found.facts()["active_units"] == 0
    assert found.facts()["bits_per_dim"] == found.bits_per_dim
    assert "note" not in found.facts()
    coins = part("models", {"use": "vae", "latent": 2, "likelihood": "bernoulli"})(space)
    facts = log_likelihood(coins, [Batch(x)], 1).facts()
    assert "bits_per_dim" not in facts  # coins on four levels are no likelihood
    assert "4 levels" in facts["note"]


def test_scores_that_cannot_be_are_refused(pca: PCA) -> None:
    plain = part("models", {"use": "vae", "latent": 2, "posterior": "point", "terms": ["distortion"]})(Vector(3))
    x = torch.zeros(4, 3)
    with pytest.raises(UserError, match=r"model\.posterior=normal"):
        log_likelihood(plain, [Batch(x)], 2)
    with pytest.raises(UserError, match=r"model\.posterior=normal"):
        annealed(plain, [Batch(x)])
    fine = part("models", {"use": "vae", "latent": 2})(Vector(3))
    with pytest.raises(Failure, match="first, from 0, is 2"):
        log_likelihood(fine, [Batch(x.index_fill(0, torch.tensor([2]), math.nan))], 2)
    with pytest.raises(UserError, match="at least 1"):
        log_likelihood(fine, [Batch(x)], 0)
    with pytest.raises(UserError, match="empty"):
        log_likelihood(fine, [], 1)
    assert fine.training  # scoring left the model as it was


def test_the_interval_covers_the_mean() -> None:
    """95 % intervals of 300 sets of 100 numbers hold the true mean 95 % of the time (bootstrap: a little less)."""
    generator = torch.Generator().manual_seed(0)
    sets = torch.randn(300, 100, generator=generator, dtype=F64) * 2 + 1
    held = sum(low < 1 < high for low, high in (interval(s, seed=i, draws=500) for i, s in enumerate(sets)))
    assert 0.90 < held / 300 < 0.98
    low, high = interval(sets[0])
    width = 2 * 1.96 * float(sets[0].std()) / 10
    assert high - low == pytest.approx(width, rel=0.1)
    assert interval(sets[0]) == (low, high)
    assert interval(sets[0], level=0.5)[1] < high


def test_a_trained_linear_vae_reaches_the_optimum_of_pca() -> None:
    """Lucas et al. 2019: the ELBO of a linear VAE has no optimum but that of probabilistic PCA."""
    wide, code = 16, 3
    data = PCA(seed=7, data=500, wide=wide, code=code)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spec = {"use": "vae", "latent": code, "net": "test-linear", "likelihood": "normal-shared"}
        model: vae = part("models", spec)(Vector(wide)).double()
    x = data.x
    centred = x - x.mean(0)
    values = torch.linalg.eigvalsh(centred.T @ centred / len(x)).flip(0)
    rest = values[code:].mean()  # Tipping and Bishop: log p at the maximum, from the eigenvalues of the covariance
    best = -0.5 * (wide * math.log(2 * math.pi) + values[:code].log().sum() + (wide - code) * rest.log() + wide)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    steps = 1000
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / steps))
        with noise.source(Noise(0, "train", step)):
            (turn,) = model.play(Batch(x), step)
        optimiser.zero_grad()
        turn.loss.backward()
        optimiser.step()
    found = log_likelihood(model, [Batch(x)], 50)
    assert float(best - found.log_p.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(best - found.elbo.mean()) == pytest.approx(0.0, abs=0.1)  # the optimum's posterior is mean-field
    assert model.likelihood.family.log_scale.exp().square().item() == pytest.approx(float(rest), rel=0.02)


# Families against scipy


def _normal(mean: Tensor, log_scale: Tensor) -> Normal:
    return Normal(mean, log_scale, 2)


def _draws(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=F64)


ORACLES: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, np.ndarray]]] = {
    "normal": lambda x, m, s: (
        Normal(m, s, 2).log_prob(x),
        scipy.stats.norm(m.numpy(), s.exp().numpy()).logpdf(x.numpy()),
    ),
    "laplace": lambda x, m, s: (
        Laplace(m, s, 2).log_prob(x),
        scipy.stats.laplace(m.numpy(), s.exp().numpy()).logpdf(x.numpy()),
    ),
    "bernoulli": lambda x, m, s: (
        Bernoulli(10 * m, 2).log_prob((x > 0).double()),
        scipy.special.log_expit(np.where(x > 0, 10 * m.numpy(), -10 * m.numpy())),
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_log_prob_is_scipys(name: str) -> None:
    x, mean, log_scale = _draws(7, 3, 5), _draws(7, 3, 5, seed=1), 0.7 * _draws(7, 3, 5, seed=2)
    ours, theirs = ORACLES[name](x, mean, log_scale)
    assert ours.shape == (7,)
    assert np.abs(ours.numpy() - theirs.sum((1, 2))).max() < 1e-10


def test_bernoulli_is_right_at_any_logit() -> None:
    logits = torch.linspace(-60, 60, 1201, dtype=F64)
    for x in (0.0, 1.0, 0.3):
        exact = x * logits - torch.from_numpy(np.logaddexp(0, logits.numpy()))
        assert (Bernoulli(logits, 0).log_prob(torch.full_like(logits, x)) - exact).abs().max() < 1e-10


def test_categorical_log_prob_is_log_softmax() -> None:
    logits = _draws(4, 6, 5)  # 4 data, 6 symbols, 5 places
    x = torch.randint(0, 6, (4, 5), generator=torch.Generator().manual_seed(1))
    theirs = scipy.special.log_softmax(logits.numpy(), axis=1)
    theirs = np.take_along_axis(theirs, x.numpy()[:, None], 1)[:, 0].sum(1)
    assert np.abs(Categorical(logits, 1, None).log_prob(x).numpy() - theirs).max() < 1e-10
    levels = Categorical(logits, 1, 5.0).log_prob(x / 5)
    assert np.abs(levels.numpy() - theirs).max() < 1e-10


def test_normal_scales_are_what_recipes_say() -> None:
    x = _draws(3, 4)
    for name, scale in (("normal-fixed", 0.5), ("normal-shared", 0.25)):
        family = part("families", {"use": name, "scale": scale})(Vector(4))
        theirs = scipy.stats.norm(0, scale).logpdf(x.numpy()).sum(1)
        assert family(torch.zeros(3, 4)).log_prob(x).detach().numpy() == pytest.approx(theirs, rel=1e-5)
    bounded = part("families", {"use": "normal-bounded", "bound": 2.0})(Vector(1))
    said = torch.tensor([[1.5, 0.3], [1e6, 0.0], [-1e6, 0.0]])
    assert bounded(said).mean[:, 0].tolist() == pytest.approx([2 * math.tanh(0.75), 2.0, -2.0])
    assert bounded(said).log_scale[0, 0] == pytest.approx(0.3)
    said, squashed = torch.tensor([[[[-99.0, 0.4, 99.0]]]]), [0.0, 0.5 + 0.5 * math.tanh(0.4), 1.0]
    for name in ("normal-fixed", "normal-shared"):
        for space, wanted in ((Image(1, 3, 1, 256), squashed), (Vector(3), [-99.0, 0.4, 99.0])):
            mean = part("families", {"use": name, "squash": True})(space)(said).mean
            assert mean.flatten().tolist() == pytest.approx(wanted)
    said = _draws(2, 6).float()  # mean first, then log scale
    q = part("families", "normal")(Vector(3))(said)
    assert torch.equal(q.mean, said[:, :3])
    assert torch.equal(q.log_scale, said[:, 3:])


# Discretised logistics


def _logistics(levels: int, depth: int, mixture: int, *, batch: int = 3, seed: int = 0) -> Logistics:
    """Parameters for a datum of `depth` colours at 1 x 2 sites."""
    size = (batch, mixture, depth, 1, 2)
    links = depth * (depth - 1) // 2
    return Logistics(
        _draws(batch, mixture, 1, 2, seed=seed),
        0.6 * _draws(*size, seed=seed + 1),
        0.5 * _draws(*size, seed=seed + 2) - 1,
        torch.tanh(_draws(batch, mixture, links, 1, 2, seed=seed + 3)),
        levels,
        (depth, 1, 2),
        2,
    )


def _naive(of: Logistics, datum: np.ndarray, row: int) -> float:
    """One datum's log p written out: loops, CDFs, nothing clever."""
    logits, means, scales, links = (t.numpy()[row] for t in (of.logits, of.mean, of.log_scale.exp(), of.link))
    half, total = 1 / (of.levels - 1), 0.0
    for site in np.ndindex(datum.shape[1:]):
        x = 2 * datum[(slice(None), *site)] - 1
        weights = scipy.special.softmax(logits[(slice(None), *site)])
        chance = 0.0
        for k, weight in enumerate(weights):
            each, row_of_links = weight, 0
            for j in range(len(x)):
                mean = means[(k, j, *site)]
                for i in range(j):
                    mean = mean + links[(k, row_of_links, *site)] * x[i]
                    row_of_links += 1
                cdf = scipy.stats.logistic(mean, scales[(k, j, *site)]).cdf
                top = 1.0 if x[j] > 1 - half / 2 else cdf(x[j] + half)
                each *= top - (0.0 if x[j] < -1 + half / 2 else cdf(x[j] - half))
            chance += each
        total += math.log(chance)
    return total


@pytest.mark.parametrize(("levels", "depth"), [(3, 1), (256, 1), (4, 3), (256, 3), (5, 2)])
def test_logistics_is_what_it_says(levels: int, depth: int) -> None:
    of = _logistics(levels, depth, 4)
    data = torch.randint(0, levels, (3, depth, 1, 2), generator=torch.Generator().manual_seed(5))
    data[0], data[1] = 0, levels - 1
    data = data.double() / (levels - 1)
    ours = of.log_prob(data)
    for row in range(3):
        assert ours[row].item() == pytest.approx(_naive(of, data[row].numpy(), row), abs=1e-9)


@pytest.mark.parametrize(("levels", "depth"), [(256, 1), (4, 3), (7, 2)])
def test_logistics_sums_to_one_over_all_colours(levels: int, depth: int) -> None:
    of = _logistics(levels, depth, 3)
    colours = torch.tensor(list(itertools.product(range(levels), repeat=depth)), dtype=F64) / (levels - 1)
    other = torch.full((len(colours), 3, depth, 1, 2), 0.0, dtype=F64)
    other[..., 0] = colours[:, None, :, None]  # the left site goes through all colours, the right one stays black
    black = torch.zeros(levels**depth, depth, dtype=F64)
    log_p = of.log_prob(other)
    both = torch.logsumexp(log_p, 0)
    other[..., 1] = colours[:, None, :, None]
    other[..., 0] = black[:, None, :, None]
    also = torch.logsumexp(of.log_prob(other), 0)
    # p(left = any, right = black) = p(right = black): the two sums multiply to the chance of all black
    all_black = of.log_prob(torch.zeros(3, depth, 1, 2, dtype=F64))
    assert (both + also - all_black).abs().max() < 1e-10


@pytest.mark.parametrize(("levels", "depth"), [(6, 1), (4, 3)])
def test_logistics_draws_what_it_says(levels: int, depth: int) -> None:
    """Goodness of fit over all colours of one site: the trap is a later colour that moves with an unrounded one."""
    of = _logistics(levels, depth, 2, batch=1, seed=11)
    of = Logistics(*(t[..., :1] for t in (of.logits, of.mean, of.log_scale, of.link)), levels, (depth, 1, 1), 2)
    colours = torch.tensor(list(itertools.product(range(levels), repeat=depth)), dtype=F64)
    chance = of.log_prob((colours / (levels - 1)).reshape(-1, 1, depth, 1, 1)).exp()[:, 0]
    with noise.source(Noise(3)):
        drawn = of.sample((200_000,)).reshape(-1, depth)
    index = ((drawn * (levels - 1)).round().long() * levels ** torch.arange(depth - 1, -1, -1)).sum(1)
    _fits(torch.bincount(index, minlength=levels**depth), chance)


def _fits(counts: Tensor, chance: Tensor) -> None:
    """Pearson's test, rare cells together; the seed is fixed, so this passes always or never."""
    expected = (chance / chance.sum() * counts.sum()).numpy()
    assert chance.sum().item() == pytest.approx(1.0, abs=1e-6)
    rare = expected < 10
    observed = np.append(counts.numpy()[~rare], counts.numpy()[rare].sum()).astype(float)
    expected = np.append(expected[~rare], expected[rare].sum())
    keep = expected > 0
    expected = expected * observed[keep].sum() / expected[keep].sum()
    assert scipy.stats.chisquare(observed[keep], expected[keep]).pvalue > 2e-5


# Samples match densities


def test_normal_and_laplace_draw_what_they_say() -> None:
    mean, log_scale = torch.tensor([0.5, -2.0]), torch.tensor([0.3, -1.0])
    for make, theirs in ((Normal, scipy.stats.norm), (Laplace, scipy.stats.laplace)):
        with noise.source(Noise(1)):
            drawn = make(mean, log_scale, 1).sample((50_000,)).numpy()
        for i in range(2):
            assert scipy.stats.kstest(drawn[:, i], theirs(mean[i].item(), log_scale[i].exp().item()).cdf).pvalue > 2e-5
        assert abs(np.corrcoef(drawn.T)[0, 1]) < 5 / math.sqrt(50_000)


def test_coins_and_symbols_draw_what_they_say() -> None:
    logits = torch.tensor([-3.0, 0.0, 1.5])
    with noise.source(Noise(2)):
        drawn = Bernoulli(logits, 1).sample((50_000,))
    chance = torch.sigmoid(logits)
    z = (drawn.mean(0) - chance) / (chance * (1 - chance) / 50_000).sqrt()
    assert z.abs().max() < 5
    logits = 2 * _draws(7, 2, seed=3)  # 7 symbols, 2 places
    with noise.source(Noise(3)):
        symbols = Categorical(logits, 1, None).sample((50_000,))
    for place in range(2):
        _fits(torch.bincount(symbols[:, place], minlength=7), logits[:, place].softmax(0))


def _mixture() -> Mixture:
    return Mixture(_draws(4, seed=1), Normal(2 * _draws(4, 2, seed=2), 0.4 * _draws(4, 2, seed=3) - 0.5, 1))


def test_a_mixture_is_the_logsumexp_of_its_parts() -> None:
    p, x = _mixture(), 2 * _draws(9, 5, 2, seed=8)
    parts = scipy.stats.norm(p.parts.mean.numpy(), p.parts.log_scale.exp().numpy()).logpdf(x.numpy()[..., None, :])
    theirs = scipy.special.logsumexp(parts.sum(-1) + p.log_weight.numpy(), axis=-1)
    assert p.log_prob(x).shape == (9, 5)
    assert np.abs(p.log_prob(x).numpy() - theirs).max() < 1e-10


def test_a_mixture_of_narrow_parts_in_float32_keeps_its_digits() -> None:
    """x^2 a - 2 x a m + m^2 a cancels: at m = 5, s = 0.003, float32 products would be wrong by nats."""
    mean, log_scale = 5 + 0.1 * _draws(3, 8, seed=4), torch.full((3, 8), math.log(0.003), dtype=F64)
    x = (mean[:1] + 0.003 * _draws(10, 8, seed=5)).float()
    exact = Mixture(torch.zeros(3, dtype=F64), Normal(mean.float().double(), log_scale.float().double(), 1))
    single = Mixture(torch.zeros(3), Normal(mean.float(), log_scale.float(), 1))
    assert single.log_prob(x).dtype == torch.float32
    assert (single.log_prob(x) - exact.log_prob(x.double())).abs().max() < 1e-4


def test_a_mixture_draws_what_it_says() -> None:
    p, n = _mixture(), 50_000
    with noise.source(Noise(5)):
        drawn = p.sample((n,)).double()
    assert drawn.shape == (n, 2)
    weight, mean, scale = p.log_weight.exp(), p.parts.mean, p.parts.log_scale.exp()
    for i in range(2):

        def cdf(x: np.ndarray, i: int = i) -> np.ndarray:
            each = scipy.stats.norm(mean[:, i].numpy(), scale[:, i].numpy()).cdf(x[:, None])
            return (each * weight.numpy()).sum(1)

        assert scipy.stats.kstest(drawn[:, i].numpy(), cdf).pvalue > 2e-5
    # dimensions belong together: the covariance between them is that of the components' means
    between = (weight * mean[:, 0] * mean[:, 1]).sum() - (weight * mean[:, 0]).sum() * (weight * mean[:, 1]).sum()
    products = (drawn[:, 0] - drawn[:, 0].mean()) * (drawn[:, 1] - drawn[:, 1].mean())
    assert abs(products.mean() - between) < 5 * products.std() / math.sqrt(n)
    assert torch.allclose(p.centre, (weight[:, None] * mean).sum(0))


def test_the_standard_prior_is_standard() -> None:
    prior = part("priors", "normal")(Vector(3), Vector(8))(None)
    z = _draws(5, 3).float()
    assert prior.log_prob(z).numpy() == pytest.approx(scipy.stats.norm.logpdf(z.numpy()).sum(1), rel=1e-5)
    with noise.source(Noise(0)):
        drawn = prior.sample((20_000,))
    assert scipy.stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 2e-5


def test_vamp_is_the_mixture_of_posteriors_of_its_pseudo_examples() -> None:
    for space in (Vector(6), Image(2, 3, levels=2)):
        model = part("models", {"use": "vae", "latent": 3, "prior": {"use": "vamp", "components": 5}})(space).double()
        with torch.no_grad():
            model.prior.weight.copy_(_draws(5, seed=1))
            pseudo = model.prior.pseudo
            q = model.posterior(torch.sigmoid(pseudo) if space.levels else pseudo)
            z = _draws(7, 3, seed=2)
            log_q = torch.stack([Normal(q.mean[k], q.log_scale[k], 1).log_prob(z) for k in range(5)])
            theirs = torch.logsumexp(log_q + torch.log_softmax(_draws(5, seed=1), 0)[:, None], 0)
            assert (model.prior(model.posterior).log_prob(z) - theirs).abs().max() < 1e-10


# KL


def test_the_kl_of_normals_is_the_integral() -> None:
    q, p = scipy.stats.norm(0.3, 0.7), scipy.stats.norm(-0.5, 1.4)
    theirs, _ = scipy.integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -12, 12, epsabs=1e-13)
    make = lambda of: Normal(*(torch.tensor([v], dtype=F64) for v in (of.mean(), math.log(of.std()))), 1)  # noqa: E731
    assert make(q).kl_each(make(p)).item() == pytest.approx(theirs, abs=1e-10)
    assert make(q).kl_each(make(q)).abs().max() < 1e-15


def test_the_kl_of_normals_is_what_draws_say() -> None:
    mean, log_scale = _draws(4, 6, seed=1), 0.5 * _draws(4, 6, seed=2)
    q, p = Normal(mean, log_scale, 1), Normal(_draws(6, seed=3), 0.5 * _draws(6, seed=4), 1)
    with noise.source(Noise(4)):
        z = q.sample((20_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = (draws.mean(0) - q.kl_each(p).sum(-1)) / (draws.std(0) / math.sqrt(20_000))
    assert error.abs().max() < 5
    # and their noise is what it should be: a test that cannot fail shows as a z that is far too small
    assert (draws.std(0) > 0.1).all()


@pytest.mark.parametrize("prior", ["normal", "mixture", "vamp"])
@pytest.mark.parametrize("posterior", ["normal", "laplace", "normal-bounded"])
def test_the_rate_is_the_kl_whatever_the_pair(prior: str, posterior: str) -> None:
    """In one dimension KL(q || p) is an integral that anybody can do."""
    if (prior, posterior) == ("vamp", "laplace"):
        with pytest.raises(UserError, match=r"model\.posterior=normal"):
            part("models", {"use": "vae", "latent": 1, "posterior": posterior, "prior": prior})(Vector(2)).sample(1)
        return
    model = part("models", {"use": "vae", "latent": 1, "posterior": posterior, "prior": prior})(Vector(2)).double()
    x, n = _draws(1, 2, seed=3), 10_000
    with torch.no_grad(), noise.source(Noise(6)):
        inference = model.infer(x, samples=n)
        rate = inference.rate.expand(n, 1) if inference.rate.dim() == 1 else inference.rate
        grid = torch.linspace(-25, 25, 10_001, dtype=F64)[:, None, None]
        (latent,) = inference.latents
        log_q, log_p = latent.q.log_prob(grid)[:, 0], latent.p.log_prob(grid)[:, 0]
    theirs = float((log_q.exp() * (log_q - log_p)).sum() * 50 / 10_000)
    error = rate.mean() - theirs
    assert abs(error) < max(5 * float(rate.std()) / math.sqrt(n), 1e-6)


# Terms


def _inference(samples: int = 1, batch: int = 4, seed: int = 0) -> Inference:
    """Two dimensions of code whose rates are known: log-scale 0, so the rate is half the squared mean."""
    mean = torch.tensor([[0.0, 2.0], [0.2, 2.0], [0.0, 1.0], [0.2, 3.0]], dtype=F64)[:batch]
    q, p = Normal(mean, torch.zeros_like(mean), 1), Normal(torch.zeros(2, dtype=F64), torch.zeros(2, dtype=F64), 1)
    with noise.source(Noise(seed)):
        z = q.sample((samples,))
    likelihood = Normal(z.sum(-1, keepdim=True), torch.zeros((), dtype=F64), 1)
    return Inference(torch.ones(batch, 1, dtype=F64), likelihood, [Latent(z, q, p)], nn.Linear(2, 3).double())


def _term(spec: object) -> nn.Module:
    return part("terms", spec)(Vector(1))


def test_terms_have_known_answers() -> None:
    i = _inference()
    assert _term("rate")(i, 0).tolist() == pytest.approx([2.0, 2.02, 0.5, 4.52])
    # free bits: dimension 0 costs 0.01 on average, below its floor; dimension 1 costs 2.25
    assert _term({"use": "free-bits", "floor": 0.5})(i, 0).item() == pytest.approx(0.5 + 2.25)
    assert _term({"use": "free-bits", "floor": 0.0})(i, 0).item() == pytest.approx(2.26)
    assert _term({"use": "capacity", "target": 5.0})(i, 0).item() == pytest.approx(5 - 2.26)
    assert _term({"use": "capacity", "target": 1.0})(i, 0).item() == pytest.approx(2.26 - 1)
    ramp = _term({"use": "capacity", "target": {"use": "ramp", "to": 4.0, "steps": 10}})
    assert ramp(i, 5).item() == pytest.approx(2.26 - 2)
    assert _term({"use": "dimension-rate", "weights": [1.0]})(i, 0).tolist() == pytest.approx([2.0, 2.02, 0.5, 4.52])
    each = _term({"use": "dimension-rate", "weights": [10.0, 0.5]})(i, 0)
    assert each.tolist() == pytest.approx([1.0, 1.2, 0.25, 2.45])
    three = torch.full((2, 3), 2.0, dtype=F64)  # a rate of 2 in each dimension; the last weight serves the rest
    latent = Latent(three, Normal(three, 0 * three, 1), Normal(0 * three, 0 * three, 1))
    i3 = Inference(i.x, i.likelihood, [latent], nn.Module())
    assert _term({"use": "dimension-rate", "weights": [10.0, 0.5]})(i3, 0).tolist() == pytest.approx([22.0, 22.0])
    assert _term("distortion")(i, 0)[0].tolist() == pytest.approx(
        (-scipy.stats.norm(i.latents[0].z[0].sum(-1).numpy(), 1).logpdf(1.0)).tolist()
    )
    z = i.latents[0].z[0]
    assert _term({"use": "latent-penalty", "norm": 1})(i, 0)[0].tolist() == pytest.approx(z.abs().sum(-1).tolist())
    assert _term("latent-penalty")(i, 0)[0].tolist() == pytest.approx((0.5 * z.square().sum(-1)).tolist())


def test_the_weight_penalty_takes_weights_and_nothing_else() -> None:
    spec = {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [4]}, "prior": "vamp"}
    model = part("models", spec)(Vector(3))
    inference = model.infer(torch.zeros(2, 3))
    layers = [m.weight.detach() for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 4
    for norm, cost in ((1, lambda w: w.abs().sum()), (2, lambda w: 0.5 * w.square().sum())):
        theirs = sum(cost(w).item() for w in layers)
        assert _term({"use": "weight-penalty", "norm": norm})(inference, 0).item() == pytest.approx(theirs, rel=1e-5)


def test_the_bound_of_one_sample_is_distortion_and_the_rate_of_the_draw() -> None:
    i = _inference(samples=1)
    assert torch.allclose(_term("bound")(i, 0), (i.distortion - i.latents[0].log_ratio)[0], rtol=0, atol=1e-12)
    many = _inference(samples=7)
    by_hand = -torch.log(torch.exp(many.log_weight).mean(0))
    assert torch.allclose(_term("bound")(many, 0), by_hand, rtol=0, atol=1e-12)
    assert _term("bound")(many, 0).mean() < (many.distortion - many.latents[0].log_ratio).mean()


def test_the_doubly_reparametrised_bound_is_the_bound_with_a_quieter_gradient() -> None:
    """The same value; for the decoder the same gradient, for the posterior one of the same mean, with less noise."""
    n, found = 40_000, {}
    for name in ("bound", "doubly-bound"):
        mean = torch.full((n, 1), 0.7, dtype=F64, requires_grad=True)
        log_scale = torch.full((n, 1), -0.3, dtype=F64, requires_grad=True)
        slope = torch.full((n, 1), 1.5, dtype=F64, requires_grad=True)
        q, zero = Normal(mean, log_scale, 1), torch.zeros(1, dtype=F64)
        with noise.source(Noise(0)):
            z = q.sample((5,))
        likelihood = Normal(slope * z, zero, 1)
        i = Inference(torch.ones(n, 1, dtype=F64), likelihood, [Latent(z, q, Normal(zero, zero, 1))], nn.Module())
        cost = _term(name)(i, 0)
        found[name] = (cost.detach(), *torch.autograd.grad(cost.sum(), [slope, mean, log_scale]))
    (value, decoder, *posterior), (value2, decoder2, *posterior2) = found["bound"], found["doubly-bound"]
    assert torch.allclose(value, value2, rtol=0, atol=1e-12)
    assert torch.allclose(decoder, decoder2, rtol=0, atol=1e-12)
    for plain, doubly in zip(posterior, posterior2, strict=True):
        z_score = (plain - doubly).mean() / ((plain - doubly).std() / math.sqrt(n))
        assert abs(z_score) < 5
        assert doubly.std() < plain.std()


def test_schedules_have_known_answers() -> None:
    at = lambda spec, step: part("schedules", spec)()(step)  # noqa: E731
    assert at({"use": "constant", "value": 3.0}, 99) == 3.0
    ramp = {"use": "ramp", "start": 1.0, "to": 3.0, "steps": 10, "wait": 5}
    assert [at(ramp, s) for s in (0, 5, 10, 15, 99)] == [1.0, 1.0, 2.0, 3.0, 3.0]
    cycle = {"use": "cyclical", "start": 1.0, "to": 2.0, "period": 10, "rise": 0.5}
    assert [at(cycle, s) for s in (0, 2, 5, 9, 10, 12)] == pytest.approx([1.0, 1.4, 2.0, 2.0, 1.0, 1.4])
    cosine = {"use": "cosine", "start": 1.0, "to": 0.0, "steps": 10}
    assert [at(cosine, s) for s in (0, 5, 10, 20)] == pytest.approx([1.0, 0.5, 0.0, 0.0])


# Invariances and gradients


def test_shifts_and_scales_do_what_they_must() -> None:
    x, mean, log_scale = _draws(3, 5), _draws(3, 5, seed=1), 0.5 * _draws(3, 5, seed=2)
    for make in (Normal, Laplace):
        plain = make(mean, log_scale, 1).log_prob(x)
        assert torch.allclose(make(mean + 3, log_scale, 1).log_prob(x + 3), plain, rtol=0, atol=1e-10)
        scaled = make(4 * mean, log_scale + math.log(4), 1).log_prob(4 * x)  # a density: log p falls by log 4 each
        assert torch.allclose(scaled, plain - 5 * math.log(4), rtol=0, atol=1e-10)
    q, p = Normal(mean, log_scale, 1), Normal(_draws(5, seed=3), 0.3 * _draws(5, seed=4), 1)
    moved = Normal(4 * mean + 3, log_scale + math.log(4), 1).kl_each(
        Normal(4 * p.mean + 3, p.log_scale + math.log(4), 1)
    )
    assert torch.allclose(moved, q.kl_each(p), rtol=0, atol=1e-10)  # a KL has no unit
    logits = _draws(4, 6, 5)
    symbols = torch.randint(0, 6, (4, 5), generator=torch.Generator().manual_seed(1))
    shifted = Categorical(logits + 7, 1, None).log_prob(symbols)
    assert torch.allclose(shifted, Categorical(logits, 1, None).log_prob(symbols), rtol=0, atol=1e-10)


SPACES: dict[str, Space] = {
    "vector": Vector(3),
    "image": Image(2, 2, 2, levels=5),
    "coins": Image(2, 3, levels=2),
    "tokens": Tokens(3, 4),
    "sound": Sound(4, 2),
}
REAL = ("laplace", "normal", "normal-bounded", "normal-fixed", "normal-shared")
PAIRS = [
    *((family, "vector") for family in REAL),
    ("normal", "sound"),
    ("bernoulli", "coins"),
    ("categorical", "image"),
    ("categorical", "tokens"),
    ("logistics", "image"),
]


@pytest.mark.parametrize(("name", "space"), PAIRS)
def test_gradients_of_log_prob(name: str, space: str) -> None:
    of = SPACES[space]
    family = part("families", name)(of).double()
    generator = torch.Generator().manual_seed(0)
    said = torch.randn(2, *family.out.shape, generator=generator, dtype=F64, requires_grad=True)
    if of.levels:
        x = torch.randint(0, of.levels, (2, *of.shape), generator=generator)
        x = x if of.kind == "tokens" else x.double() / (of.levels - 1)
        assert torch.autograd.gradcheck(lambda s: family(s).log_prob(x), (said,))
        return
    x = torch.randn(2, *of.shape, generator=generator, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s, x: family(s).log_prob(x), (said, x))


def test_gradients_of_kl_and_of_draws() -> None:
    numbers = [_draws(2, 3), 0.5 * _draws(2, 3, seed=1), _draws(3, seed=2), _draws(3, seed=3)]
    numbers = [t.requires_grad_() for t in numbers]
    assert torch.autograd.gradcheck(lambda m, s, n, t: Normal(m, s, 1).kl_each(Normal(n, t, 1)), numbers)
    for make in (Normal, Laplace):

        def draw(m: Tensor, s: Tensor, make: type[Distribution] = make) -> Tensor:
            with noise.source(Noise(0)):  # the same noise each time: the draw is a smooth function of its parameters
                return make(m, s, 1).sample((4,))

        assert torch.autograd.gradcheck(draw, numbers[:2])
    parts = [_draws(4, seed=5), _draws(4, 3, seed=6), 0.5 * _draws(4, 3, seed=7), _draws(2, 3, seed=8)]
    parts = [t.requires_grad_() for t in parts]
    assert torch.autograd.gradcheck(lambda w, m, s, x: Mixture(w, Normal(m, s, 1)).log_prob(x), parts)


def test_the_gradient_of_the_loss_is_that_of_the_elbo(pca: PCA) -> None:
    """By hand, per weight: d/dW E_q[log p(x|z)] = ((x - b) mu' - W (mu mu' + S)) / s^2."""
    model, n = pca.model, 60_000
    x = pca.x[:1]
    with torch.no_grad():
        q = model.posterior(x)
    with noise.source(Noise(0)):
        loss = model.infer(x, samples=n).distortion.mean()
    (gradient,) = torch.autograd.grad(loss, model.likelihood.net.body.weight)
    second = q.mean.T @ q.mean + torch.diag((2 * q.log_scale[0]).exp())
    by_hand = -((x - pca.b).T @ q.mean - pca.w @ second) / VARIANCE
    assert (gradient - by_hand).norm() / by_hand.norm() < 0.01
