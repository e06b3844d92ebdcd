"""Our convolutions are torch's: the same numbers and gradients by whatever kernel, the same state, wherever traced."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from morphogen.nets import kernels, products
from morphogen.nets.kernels import Conv, Deconv

F64, CL = torch.float64, torch.channels_last
Layer = nn.Conv2d | nn.ConvTranspose2d


def twins(mine: type[Layer], *shape: int, dtype: torch.dtype = F64, **more: Any) -> tuple[Layer, Layer]:
    """Ours and torch's, with the same weights, the state of one loaded into the other."""
    torch.manual_seed(0)
    native = nn.Conv2d if issubclass(mine, nn.Conv2d) else nn.ConvTranspose2d
    theirs, ours = native(*shape, **more).to(dtype), mine(*shape, **more).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def answers(layer: Layer, x: Tensor, along: Tensor | None = None) -> list[Tensor]:
    """What a layer says, and the gradients of what it is given and of all that it owns."""
    said = layer(x)
    along = torch.ones_like(said) if along is None else along
    return [said.detach(), *torch.autograd.grad(said, [x, *layer.parameters()], along)]


def picture(*size: int, lasting: bool = True, dtype: torch.dtype = F64) -> Tensor:
    x = torch.randn(*size, generator=torch.Generator().manual_seed(1), dtype=F64).to(dtype)
    return x.contiguous(memory_format=CL if lasting else torch.contiguous_format).requires_grad_()


def agree(ours: Layer, theirs: Layer, x: Tensor, within: float) -> None:
    along = torch.randn(theirs(x).shape, generator=torch.Generator().manual_seed(2), dtype=F64)
    pairs = zip(answers(ours, x, along), answers(theirs, x, along), strict=True)
    for name, (a, b) in zip(("output", "x", "weight", "bias"), pairs, strict=False):
        assert a.shape == b.shape, name
        assert a.dtype == b.dtype, name
        off, scale = (a - b).abs().max(), b.abs().max()
        assert off <= within * scale, name


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which kernels were chosen."""
    names: list[str] = []
    for name in ("by_patches", "collected"):
        real = getattr(products, name)
        monkeypatch.setattr(kernels, name, lambda *a, name=name, real=real: (names.append(name), real(*a))[1])
    real_pixel = Conv._one_pixel
    monkeypatch.setattr(Conv, "_one_pixel", lambda *a: (names.append("one pixel"), real_pixel(*a))[1])
    return names


SHAPES = list(itertools.product((1, 3, 4), (1, 2), (0, 1)))
CHANNELS = ((1, 1), (1, 8), (3, 5), (27, 3), (18, 2), (64, 1), (64, 9), (128, 4), (9, 64))
SIZES = ((1, 1), (2, 2), (2, 3), (3, 3), (4, 4), (5, 4), (7, 7), (8, 9), (15, 13))


@pytest.mark.parametrize(("kernel", "stride", "padding"), SHAPES)
def test_conv_is_torchs(kernel: int, stride: int, padding: int, used: list[str]) -> None:
    for (inp, out), size, lasting in itertools.product(CHANNELS, SIZES, (True, False)):
        if min(size) + 2 * padding < kernel:
            continue
        ours, theirs = twins(Conv, inp, out, kernel, stride, padding, bias=lasting or inp > 1)
        agree(ours, theirs, picture(2, inp, *size, lasting=lasting), 1e-10)
    assert ("one pixel" in used) == (kernel > padding)
    assert ("by_patches" in used) == (stride == 2)
    assert ("collected" in used) == (stride == 1 and padding < kernel)


@pytest.mark.parametrize(("kernel", "stride", "padding"), SHAPES)
def test_deconv_is_torchs(kernel: int, stride: int, padding: int, used: list[str]) -> None:
    turned = [(out, inp) for inp, out in CHANNELS] + [(64, 64), *CHANNELS]
    for (inp, out), size, lasting in itertools.product(turned, SIZES[:6], (True, False)):
        more = int(stride == 2 and lasting)
        if (min(size) - 1) * stride - 2 * padding + kernel + more <= 0:
            continue
        ours, theirs = twins(Deconv, inp, out, kernel, stride, padding, more, bias=lasting or inp > 1)
        agree(ours, theirs, picture(2, inp, *size, lasting=lasting), 1e-10)
    assert "collected" in used
    assert ("by_patches" in used) == (stride == 2)


ODD = (
    (Conv, (64, 65, (3, 4), (2, 1), (1, 2)), (2, 64, 8, 5)),
    (Conv, (64, 2, (3, 2), 1, (0, 1)), (2, 64, 6, 5)),
    (Conv, (64, 64, 3, 3, 2), (2, 64, 11, 11)),
    (Conv, (64, 1, 2, 1, 3), (2, 64, 3, 3)),  # a margin wider than the kernel
    (Conv, (3, 4, 1, 7, 2), (2, 3, 2, 2)),  # one pixel that sees only margin
    (Deconv, (64, 64, (4, 3), (2, 3), (1, 0), (1, 2)), (2, 64, 4, 3)),
    (Deconv, (64, 1, 2, 3, 0, 1), (2, 64, 4, 3)),  # pixels between which nothing is said
    (Deconv, (64, 2, (5, 3), (3, 2), (2, 1), (0, 1)), (2, 64, 3, 4)),
)


@pytest.mark.parametrize(("layer", "shape", "size"), ODD)
def test_sides_may_differ(layer: type[Layer], shape: Any, size: Any) -> None:
    agree(*twins(layer, *shape), picture(*size), 1e-10)


CASES = {
    "one pixel": (Conv, (5, 4, 4, 2, 1), (3, 5, 3, 3)),
    "by_patches": (Conv, (64, 2, 3, 2, 1), (2, 64, 5, 4)),
    "by_patches, transposed": (Deconv, (2, 64, 3, 2, 1, 1), (2, 2, 2, 3)),
    "collected": (Conv, (9, 1, 3, 1, 1), (2, 9, 4, 3)),
    "collected, transposed": (Deconv, (9, 1, 3, 2, 1, 1), (2, 9, 3, 2)),
    "bias afterwards": (Deconv, (2, 3, 3, 1, 1), (2, 2, 3, 3)),
}
some = pytest.mark.parametrize("case", CASES)


@some
def test_gradients_are_those_of_the_function(case: str, used: list[str]) -> None:
    """By finite differences, and twice: a penalty on gradients is a gradient of a gradient."""
    kind, shape, size = CASES[case]
    layer, x = twins(kind, *shape)[0], picture(*size)
    named = dict(layer.named_parameters())

    def function(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(named, values, strict=True)), x)

    given = (x, *named.values())
    assert torch.autograd.gradcheck(function, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)
    assert case == "bias afterwards" or set(used) == {case.partition(",")[0]}


@some
def test_a_penalty_on_gradients_is_that_of_torch(case: str) -> None:
    kind, shape, size = CASES[case]
    said = []
    for layer in twins(kind, *shape):
        x = picture(*size)
        (slope,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
        said.append(torch.autograd.grad(slope.square().sum(), [x, layer.weight, layer.bias]))
    for a, b in zip(*said, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@some
def test_autocast_rounds_as_torch_does(case: str, used: list[str]) -> None:
    """In bfloat16: near the exact result, no further off than torch is; gradients in the type of the weights."""
    kind, shape, size = CASES[case]
    exact = answers(twins(kind, *shape)[1], picture(*size))
    used.clear()
    off = []
    for layer in twins(kind, *shape, dtype=torch.float32):
        x = picture(*size, dtype=torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            said = layer(x)
        assert said.dtype == torch.bfloat16
        got = [said.detach(), *torch.autograd.grad(said, [x, *layer.parameters()], torch.ones_like(said))]
        assert all(a.dtype == torch.float32 for a in got[1:])
        off.append([float(((a.double() - b).norm() / b.norm()).detach()) for a, b in zip(got, exact, strict=True)])
    assert case == "bias afterwards" or set(used) == {case.partition(",")[0]}
    for ours, theirs in zip(*off, strict=True):
        assert ours < 0.01
        assert ours < 1.5 * theirs + 1e-3


@some
def test_a_whole_step_traces(case: str) -> None:
    kind, shape, size = CASES[case]
    layer, theirs = twins(kind, *shape)
    named = dict(layer.named_parameters())

    def step(x: Tensor, values: dict[str, Tensor]) -> list[Tensor]:
        owned = {name: value.detach().requires_grad_() for name, value in values.items()}
        with torch.enable_grad():
            loss = torch.func.functional_call(layer, owned, x).square().sum()
            return [loss.detach(), *torch.autograd.grad(loss, list(owned.values()))]

    x, values = picture(*size).detach(), {name: value.detach() for name, value in named.items()}
    with torch.no_grad():
        traced = make_fx(step)(x, values)
        other = 2 * x - 1
        loss = traced(other, values)
    with torch.enable_grad():
        wanted = theirs(other).square().sum()
    torch.testing.assert_close(loss, [wanted.detach(), *torch.autograd.grad(wanted, list(theirs.parameters()))])


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Conv, {"groups": 2}),
        (Conv, {"dilation": 2}),
        (Conv, {"padding_mode": "circular"}),
        (Conv, {"padding": "same", "stride": 1}),
        (Deconv, {"groups": 2}),
        (Deconv, {"dilation": 2}),
    ],
)
def test_what_is_not_ours_is_torchs(kind: type[Layer], more: dict[str, Any]) -> None:
    agree(*twins(kind, 64, 64, 3, **({"stride": 2, "padding": 1} | more)), picture(2, 64, 4, 4), 1e-10)


def test_edges() -> None:
    """No pictures; one picture alone; an output size that is asked for; what torch refuses is refused in its words."""
    for kind, shape, size in CASES.values():
        ours, theirs = twins(kind, *shape)
        torch.testing.assert_close(ours(picture(*size)[0]), theirs(picture(*size)[0]))
        assert ours(picture(*size)[:0]).shape == theirs(picture(*size)[:0]).shape
        with pytest.raises(RuntimeError, match="channels"):
            ours(picture(2, shape[0] + 1, 8, 8))
    ours, theirs = twins(Deconv, 64, 1, 3, 2, 1)
    x = picture(2, 64, 4, 4)
    torch.testing.assert_close(ours(x, [8, 8]), theirs(x, [8, 8]))
    with pytest.raises(RuntimeError, match="Kernel size"):
        Conv(64, 1, 4).double()(picture(2, 64, 3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(x).dtype == F64  # as autocast leaves it
    assert Conv(64, 1, 3, 1, 1, device="meta")(torch.empty(2, 64, 5, 5, device="meta")).shape == (2, 1, 5, 5)


def test_large_patches_are_left_to_torch(used: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "KEPT", 1000)
    agree(*twins(Conv, 64, 64, 3, 2, 1), picture(2, 64, 5, 5), 1e-10)
    agree(*twins(Conv, 64, 1, 3, 1, 1), picture(2, 64, 5, 5), 1e-10)
    assert used == []
