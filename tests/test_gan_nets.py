"""The networks of adversarial models, where their papers promise more than every net must keep."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from morphogen.core import noise
from morphogen.core.build import part
from morphogen.core.critic import Critic
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Space, Vector
from morphogen.errors import UserError
from morphogen.nets.attention import Attention
from morphogen.nets.blocks import Residual
from morphogen.nets.kernels import Deconv
from morphogen.nets.resample import HalfConv, TwiceConv, twice

TINY: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 2, "limit": 4},
    "gan-resnet": {"width": 2, "limit": 4},
    "r3": {"width": 2, "limit": 4, "group": 2},
    "style": {"width": 2, "limit": 4, "wide": 8, "mapping": 2},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def net_of(name: str, inp: Space, out: Space, **more: Any) -> nn.Module:
    made: nn.Module = part("nets", {"use": name} | TINY[name] | more)(inp, out, None)
    return made


def stirred(net: nn.Module, by: float = 0.2) -> nn.Module:
    with torch.no_grad():
        for p in net.parameters():
            p.add_(by * torch.randn_like(p))
    return net


def counted(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


# Every one of them


@pytest.mark.parametrize("side", [16, 32, 64, 128, 256])
@pytest.mark.parametrize("name", TINY)
def test_powers_of_two(name: str, side: int) -> None:
    image, code = Image(side, side, 3), Vector(5)
    picture = net_of(name, code, image)(torch.randn(2, 5))
    assert picture.shape == (2, 3, side, side)
    assert picture.std() > 0
    assert net_of(name, image, Vector(7))(torch.rand(2, 3, side, side)).shape == (2, 7)


@pytest.mark.parametrize("name", TINY)
def test_what_a_critic_says_can_be_differentiated_twice(name: str) -> None:
    """R1 = 1/2 |d score / d x|^2: its gradient in the weights, against differences of R1 itself."""
    image = Image(7, 6, 2)
    critic = Critic(part("nets", {"use": name} | TINY[name]), image, 4)
    stirred(critic, 0.3).double().eval()
    x = torch.rand(3, 2, 7, 6, dtype=torch.float64).requires_grad_()
    moved = [torch.randn_like(p) for p in critic.parameters()]

    def r1() -> Tensor:
        (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return 0.5 * slope.square().sum()

    found = torch.autograd.grad(r1(), list(critic.parameters()), allow_unused=True)
    along = sum((g * d).sum().item() for g, d in zip(found, moved, strict=True) if g is not None)
    values = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            for p, d in zip(critic.parameters(), moved, strict=True):
                p.add_(d, alpha=step)
        values.append(r1().item())
        with torch.no_grad():
            for p, d in zip(critic.parameters(), moved, strict=True):
                p.sub_(d, alpha=step)
    assert abs(along) > 1e-3
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(along, rel=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_scale_is_kept_at_the_start(name: str) -> None:
    """Neither way shouts or whispers: tanh has its slope, and a step of Adam changes something."""
    image = Image(32, 32, 3)
    wide = {"width": 16, "limit": 64}
    with torch.no_grad():
        said = net_of(name, Vector(32), image, **wide)(torch.randn(16, 32))
        seen = net_of(name, image, Vector(24), **wide)(torch.rand(16, 3, 32, 32))
    assert 0.01 < said.std() < 3
    assert 0.01 < seen.std() < 30


# DCGAN


def test_the_classic_dcgan() -> None:
    image = Image(64, 64, 3)
    generator = part("nets", "dcgan")(Vector(100), image, None)
    assert counted(generator) == 3_576_704
    layers = [m for m in generator.modules() if isinstance(m, (nn.Linear, Deconv))]
    assert [(m.in_features, m.out_features) for m in layers[:1]] == [(100, 512 * 4 * 4)]
    assert [(m.in_channels, m.out_channels) for m in layers[1:]] == [(512, 256), (256, 128), (128, 64), (64, 3)]
    assert all(m.bias is None for m in layers)
    assert all(m.weight.std().item() == pytest.approx(0.02, rel=0.05) for m in layers)
    body = part("nets", "dcgan")(image, Vector(512 * 4 * 4), None)
    assert [m.out_channels for m in body.modules() if isinstance(m, nn.Conv2d)] == [64, 128, 256, 512]
    assert [m.num_features for m in body.modules() if isinstance(m, nn.BatchNorm2d)] == [128, 256, 512]
    assert not any(isinstance(m, nn.Linear) for m in body.modules())
    critic = Critic(part("nets", "dcgan"), image, 8192)
    assert counted(critic) == 2_765_568 + 1  # our last word has a bias
    assert critic(torch.rand(2, 3, 64, 64)).shape == (2,)


def test_dcgan_sizes() -> None:
    for height, width in ((28, 28), (7, 9), (30, 22)):
        image = Image(height, width, 1)
        assert net_of("dcgan", Vector(3), image)(torch.randn(2, 3)).shape == (2, 1, height, width)
        assert net_of("dcgan", image, Vector(3))(torch.rand(2, 1, height, width)).shape == (2, 3)
    wide = net_of("dcgan", Image(128, 128), Vector(9), width=4, limit=8)
    assert [m.out_channels for m in wide.modules() if isinstance(m, nn.Conv2d)] == [4, 8, 8, 8, 8]
    plain = net_of("dcgan", Image(32, 32), Vector(9), norm="none")
    assert all(m.bias is not None for m in plain.modules() if isinstance(m, nn.Conv2d))


# Attention and the residual net


@pytest.mark.parametrize("size", [(4, 6), (8, 8)])
def test_resampling_and_a_convolution_are_one(size: tuple[int, int]) -> None:
    h = torch.randn(2, 3, *size, dtype=torch.float64)
    down = HalfConv(3, 5).double()
    nn.init.normal_(down.bias)
    plain = nn.functional.conv2d(h, down.weight, down.bias, padding=1)
    assert torch.allclose(down(h), nn.functional.avg_pool2d(plain, 2))
    up = TwiceConv(3, 5, (2 * size[0], 2 * size[1])).double()
    nn.init.normal_(up.bias)
    wide = twice(h, up.size, "nearest")
    assert torch.allclose(up(h), nn.functional.conv2d(wide, up.weight, up.bias, padding=1))
    up.size = (2 * size[0] - 1, 2 * size[1] - 1)
    assert up(h).shape == (2, 5, *up.size)
    assert down(h[..., :-1, :-1]).shape == down(h).shape


def test_attention_says_nothing_at_first() -> None:
    layer, h = Attention(16), torch.randn(2, 16, 5, 3)
    assert torch.equal(layer(h), h)
    nn.init.ones_(layer.gate)
    q, k, v = (f(h.permute(0, 2, 3, 1).reshape(2, 15, 16)) for f in (layer.query, layer.key, layer.value))
    one = (torch.einsum("nic,njc->nij", q, k).softmax(2) @ v) @ layer.back.weight.t()
    assert torch.allclose(layer(h), h + one.permute(0, 2, 1).reshape(2, 16, 5, 3), atol=1e-5)
    swapped = h.clone()
    swapped[..., 0, 0], swapped[..., 4, 2] = h[..., 4, 2], h[..., 0, 0]
    assert torch.allclose(layer(swapped)[..., 1, 1], layer(h)[..., 1, 1], atol=1e-5), "all sites are seen alike"


def test_attention_stands_where_it_was_asked_for() -> None:
    image, code = Image(32, 32), Vector(6)
    for inp, out in ((image, code), (code, image)):
        net = net_of("gan-resnet", inp, out, attention=8)
        (layer,) = (m for m in net.modules() if isinstance(m, Attention))
        seen: list[tuple[int, ...]] = []
        layer.register_forward_hook(lambda _, given, __, seen=seen: seen.append(tuple(given[0].shape[2:])))
        net(torch.rand(2, *inp.shape))
        assert seen == [(8, 8)]
        with pytest.raises(UserError, match="use one of: 32, 16, 8, 4"):
            net_of("gan-resnet", inp, out, attention=7)
    with pytest.raises(UserError, match="use a smaller"):
        net_of("gan-resnet", image, code, attention=32)


def test_the_norm_of_the_residual_net() -> None:
    image, code = Image(16, 16), Vector(4)
    has = lambda net: any(isinstance(m, nn.BatchNorm2d) for m in net.modules())  # noqa: E731
    assert has(net_of("gan-resnet", code, image))
    assert not has(net_of("gan-resnet", image, code))
    assert not has(net_of("gan-resnet", code, image, norm="none"))
    assert has(net_of("gan-resnet", image, code, norm="batch"))
    assert not any(isinstance(m, nn.Linear) for m in net_of("gan-resnet", image, code, width=2, limit=4).modules())


# R3GAN


def test_the_branches_of_r3_say_nothing_at_first() -> None:
    image, code = Image(16, 16, 3), Vector(6)
    for inp, out in ((image, code), (code, image)):
        net = net_of("r3", inp, out, blocks=2)
        branches = [m for m in net.modules() if isinstance(m, Residual)]
        assert len(branches) == 2 * 3
        h = torch.randn(2, branches[0].body[0].in_channels, 4, 4)
        assert torch.equal(branches[0](h), h)
        assert all(not branch.body[-1].weight.any() for branch in branches)
        said = net(x := torch.rand(2, *inp.shape))
        for branch in branches:
            nn.init.normal_(branch.body[0].weight)  # what nobody listens to
        assert torch.equal(net(x), said)


def test_r3_is_as_loud_at_any_depth() -> None:
    spread = []
    for blocks in (1, 16):
        torch.manual_seed(1)
        net = net_of("r3", Vector(16), Image(16, 16, 3), blocks=blocks, width=16, limit=32)
        spread.append(net(torch.randn(32, 16)).std().item())
        first = next(m for m in net.modules() if isinstance(m, Residual)).body[0].weight
        expected = math.sqrt(2 / first[0].numel()) * (3 * blocks) ** -0.25
        assert first.std().item() == pytest.approx(expected, rel=0.1)
    assert spread[0] == pytest.approx(1.0, abs=0.5)
    assert spread[1] == pytest.approx(spread[0], rel=0.5)


def test_the_groups_of_r3() -> None:
    net = part("nets", {"use": "r3", "width": 24, "limit": 48, "expand": 2, "group": 16})(Image(8, 8), Vector(5), None)
    grouped = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [(m.in_channels, m.groups) for m in grouped] == [(48, 3), (96, 6)]


# Style


def test_noise_is_drawn_in_training_and_stands_still_in_use() -> None:
    net = stirred(net_of("style", Vector(4), Image(8, 8, 3)))
    z = torch.randn(2, 4)
    net.eval()
    still = net(z)
    assert torch.equal(net(z), still)
    other = net_of("style", Vector(4), Image(8, 8, 3)).eval()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(z), still), "the noise is saved with the weights"
    net.train()
    drawn = []
    for step in (0, 0, 1):
        with noise.source(Noise(0, "train", step)):
            drawn.append(net(z))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2])
    with noise.source(Noise(0, "train", 0, start=1, total=2)):
        assert torch.allclose(net(z[1:]), drawn[0][1:], atol=1e-5), "a share draws what the whole batch would have"


def test_a_style_is_between_the_code_and_the_picture() -> None:
    net = stirred(net_of("style", Vector(4), Image(8, 8, 3))).eval()
    z = torch.randn(3, 4)
    w = net.styled(z)
    assert w.shape == (3, 8)
    assert torch.equal(net.paint(w), net(z))
    assert torch.allclose(net.styled(2 * z), w, atol=1e-5), "only the direction of a code counts"
    w = w.detach().double().requires_grad_()  # the path length: |d (picture . noise) / d w|, differentiated once more
    net.double()
    (slope,) = torch.autograd.grad((net.paint(w) * torch.randn(3, 3, 8, 8)).sum(), w, create_graph=True)
    grads = torch.autograd.grad(slope.square().sum(), net.body.start)
    assert all(g.abs().sum() > 0 for g in grads)
    with pytest.raises(UserError, match="no styles"):
        net_of("style", Image(8, 8), Vector(2)).styled(z)


def test_modulated_weights_are_the_papers() -> None:
    """One convolution for all rows, inputs and outputs scaled, is a convolution a row with its own scaled weights."""
    layer = next(m for m in net_of("style", Vector(4), Image(8, 8)).body.modules() if hasattr(m, "gain"))
    h, w = torch.randn(3, layer.conv.in_channels, 5, 5), torch.randn(3, 8)
    said, styles = layer(h, w), layer.style(w)
    for row in range(3):
        own = layer.conv.weight * styles[row].reshape(1, -1, 1, 1)
        own = layer.gain * own / own.square().sum((1, 2, 3), keepdim=True).add(1e-8).sqrt()
        assert torch.allclose(nn.functional.conv2d(h[row : row + 1], own, padding=1), said[row : row + 1], atol=1e-4)


def test_the_mapping_learns_slowly() -> None:
    """One step of Adam on what is stored moves what is multiplied `pace` times as far, and the output is the same."""
    z, spreads = torch.randn(64, 16), []
    for pace in (1.0, 0.01):
        torch.manual_seed(3)
        net = net_of("style", Vector(16), Image(8, 8), pace=pace, wide=64)
        spreads.append(net.styled(z).std().item())
        before = net.styled(z).detach()
        optimiser = torch.optim.Adam(net.mapping.parameters(), lr=1e-2)
        net.styled(z).sum().backward()
        optimiser.step()
        spreads.append((net.styled(z) - before).std().item())
    assert spreads[2] == pytest.approx(spreads[0], rel=1e-4)
    assert spreads[3] < 0.03 * spreads[1]
