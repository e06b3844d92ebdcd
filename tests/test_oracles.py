"""Scores against the libraries that others use: torchmetrics and prdc. What is ours beside them are intervals."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from morphogen.metrics.closeness import psnr, ssim
from morphogen.metrics.coverage import coverage
from morphogen.metrics.features import as_seen
from morphogen.metrics.frechet import frechet


@pytest.fixture(scope="module")
def image():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the library imports
        import torchmetrics.functional.image as functional
    return functional


def pictures(n: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.avg_pool2d(torch.rand(n, 1, 40, 40, generator=draw), 3, 1)


def features(n: int, seed: int, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, 12, generator=draw) * torch.linspace(0.5, 2.0, 12) + shift


def test_psnr_is_that_of_torchmetrics(image):
    x, truth = pictures(6, 0), pictures(6, 1)
    wanted = [
        float(image.peak_signal_noise_ratio(a[None], b[None], data_range=1.0)) for a, b in zip(x, truth, strict=True)
    ]
    assert psnr(x, truth).tolist() == pytest.approx(wanted, rel=1e-5)


def test_ssim_is_that_of_torchmetrics_but_for_the_border(image):
    """Ours has whole windows alone; torchmetrics mirrors pictures at their border."""
    x, truth = pictures(6, 0), pictures(6, 1)
    near = 0.7 * truth + 0.3 * x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = image.structural_similarity_index_measure(near, truth, data_range=1.0, reduction="none")
    assert ssim(near, truth).tolist() == pytest.approx(wanted.tolist(), abs=0.02)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_recall_density_and_coverage_are_those_of_prdc(k):
    from prdc import compute_prdc

    samples, reference = features(150, 0, 0.4), features(120, 1)
    wanted = compute_prdc(reference.double().numpy(), samples.double().numpy(), nearest_k=k)
    said = coverage(as_seen(samples), as_seen(reference, "reference"), k=k).values
    assert {name: said[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)


def test_fid_is_that_of_torchmetrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.image.fid import _compute_fid
    x, y = features(300, 0, 0.3).double(), features(250, 1).double()
    wanted = float(_compute_fid(y.mean(0), torch.cov(y.T), x.mean(0), torch.cov(x.T)))
    assert frechet(as_seen(x), as_seen(y, "reference")).value == pytest.approx(wanted, rel=1e-6)
