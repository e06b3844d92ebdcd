"""Networks of integers: what they must be (close to the float ones), what engines must say (the same), what must be
refused (everything else)."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import morphogen.models.ladder
import morphogen.nets  # noqa: F401
from morphogen.codec.carried import Carried
from morphogen.codec.freeze import Function, freeze
from morphogen.codec.graph import Graph, Op, Port, shapes_of
from morphogen.codec.integers import Oracle, proven
from morphogen.codec.notes import traced
from morphogen.codec.profile import MAGIC, Profile
from morphogen.codec.proof import ranges_of, rounded
from morphogen.codec.rungs import told_of
from morphogen.core.build import part
from morphogen.core.space import Image, Vector
from morphogen.errors import UserError

LEVELS = Fraction(1, 255)


def shaken(net, seed=0):
    """Fresh weights that say something everywhere, also after zeros; batch norms that have seen data."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            std = 1 / p[0].numel() ** 0.5 if p.dim() > 1 else 0.1
            p.add_(torch.randn(p.shape, generator=generator) * std)
        for m in net.modules():
            if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
                m.running_mean.copy_(torch.randn(m.running_mean.shape, generator=generator) * 0.2)
                m.running_var.copy_(torch.rand(m.running_var.shape, generator=generator) + 0.5)
    return net.eval().requires_grad_(False)


def pictures(n, *shape, seed=0):
    return torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(seed)) / 255


def units(graphs, given):
    """What one unit of each port stands for."""
    said = {p.name: 2.0**-p.bits for g in graphs.values() for p in (*g.inputs, *g.outputs)}
    return said | {name: float(unit) for name, unit in given.items() if isinstance(unit, Fraction)}


def integers(x, unit):
    return np.rint(x.double().numpy() / unit).astype(np.int64)


def same(these, those):
    """Two lists of outputs."""
    for a, b in zip(these, those, strict=True):
        np.testing.assert_array_equal(a, b)


def one(op, shape, arrays, *more, limits=(-32767, 32767)):
    """A graph of one step."""
    graph = Graph(tuple(Port(f"x{i}", 0, s, limits) for i, s in enumerate((shape, *more))), (), (op,), (1 + len(more),))
    out = shapes_of("one", graph, arrays, [p.shape for p in graph.inputs])[-1]
    span = ranges_of("one", graph, arrays)[-1]
    return {"one": Graph(graph.inputs, (Port("y", 0, out, span),), graph.ops, graph.gives)}


def weights(shape, out, rng, shift=(1, 20)):
    w = rng.integers(-32767, 32768, shape)
    return {"w/weight": w, "w/bias": rng.integers(-(2**40), 2**40, out), "w/shift": rng.integers(*shift, out)}


# Known answers --------------------------------------------------------------------------------------------------------


def test_rounding_goes_to_the_nearest_and_halves_go_up():
    x = np.array([-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6])
    assert rounded(x, 2).tolist() == [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert rounded(x, 0).tolist() == x.tolist()


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "padding"), [(1, 0), (3, 1), (4, 1), (5, 0)])
def test_convolutions_of_the_oracle_are_torchs(stride, kernel, padding):
    rng = np.random.default_rng(kernel)
    w = rng.integers(-9, 10, (3, 2, kernel, kernel))
    arrays = {"w/weight": w, "w/bias": np.arange(3), "w/shift": np.zeros(3, np.int64)}
    numbers = {"stride": (stride, stride), "padding": (padding, padding), "range": (-8000, 8000)}
    x = rng.integers(-9, 10, (2, 2, 7, 9))
    (said,) = Oracle(one(Op("conv", (0,), numbers, "w"), (2, None, None), arrays), arrays).run("one", x)
    asked = F.conv2d(torch.tensor(x).double(), torch.tensor(w).double(), torch.arange(3.0).double(), stride, padding)
    np.testing.assert_array_equal(said, asked.numpy())
    w = w.transpose(1, 0, 2, 3)
    arrays["w/weight"] = w
    more = (stride - 1, 0)
    numbers |= {"more": more}
    (said,) = Oracle(one(Op("deconv", (0,), numbers, "w"), (2, None, None), arrays), arrays).run("one", x)
    asked = F.conv_transpose2d(
        torch.tensor(x).double(), torch.tensor(w).double(), torch.arange(3.0).double(), stride, padding, more
    )
    np.testing.assert_array_equal(said, asked.numpy())


def test_patches_are_torchs():
    x = np.arange(2 * 8 * 4 * 6).reshape(2, 8, 4, 6)
    for do, shape, asked in (("shuffle", (8, 4, 6), F.pixel_shuffle), ("unshuffle", (8, 4, 6), F.pixel_unshuffle)):
        for engine in (Oracle, Carried):
            (said,) = engine(one(Op(do, (0,), {"factor": (2,)}), shape, {}), {}).run("one", x)
            np.testing.assert_array_equal(said, asked(torch.tensor(x), 2).numpy())


# Engines agree --------------------------------------------------------------------------------------------------------

WEIGHTED = {
    "dense": (Op("dense", (0,), {"range": (-32767, 32767)}, "w"), (5, 48), 5, [(48,)]),
    "dense+": (Op("dense", (0, 1), {"range": (-32767, 32767), "up": (-1,)}, "w"), (5, 48), 5, [(48,), (5,)]),
    "conv1": (Op("conv", (0,), {"stride": (1, 1), "padding": (0, 0), "range": (0, 32767)}, "w"), (5, 6, 1, 1), 5,
              [(6, None, None)]),
    "conv3+": (Op("conv", (0, 1), {"stride": (1, 1), "padding": (1, 1), "range": (-32767, 32767), "up": (3,)}, "w"),
               (6, 6, 3, 3), 6, [(6, None, None), (6, None, None)]),
    "conv4s2": (Op("conv", (0,), {"stride": (2, 2), "padding": (1, 1), "range": (-8388607, 8388607)}, "w"),
                (5, 6, 4, 4), 5, [(6, None, None)]),
    "deconv": (Op("deconv", (0,), {"stride": (2, 2), "padding": (1, 1), "more": (0, 1), "range": (-32767, 32767)}, "w"),
               (6, 5, 4, 4), 5, [(6, None, None)]),
    "affine": (Op("affine", (0,), {"range": (-32767, 32767)}, "w"), (6,), 6, [(6, None, None)]),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTED)
def test_engines_agree_at_the_extremes(name):
    op, shape, out, inputs = WEIGHTED[name]
    rng = np.random.default_rng(1)
    arrays = weights(shape, out, rng)
    graphs = one(op, inputs[0], arrays, *inputs[1:])
    oracle, carried = Oracle(graphs, arrays), Carried(graphs, arrays)
    for n in (1, 8, 64):
        sides = (9, 12)
        x = [
            rng.integers(-40000, 40000, (n, *(sides[i - 1] if s is None else s for i, s in enumerate(p))))
            for p in inputs
        ]
        x[0].flat[:: 2 + n] = 32767 * np.sign(rng.standard_normal())
        (asked,), (said,) = oracle.run("one", *x), carried.run("one", *x)
        assert said.dtype == np.int64
        np.testing.assert_array_equal(said, asked)
        (alone,) = carried.run("one", *(a[:1] for a in x))
        np.testing.assert_array_equal(alone, asked[:1])
        low, high = op.limits
        assert low <= asked.min() <= asked.max() <= high


@pytest.mark.parametrize(
    ("op", "arrays"),
    [
        (Op("sum", (0, 1), {"lifts": (3, 0), "shift": (4,), "range": (-20000, 20000)}), {}),
        (Op("sum", (0, 1), {"lifts": (0, 5), "shift": (0,), "range": (-32767, 32767)}), {}),
        (Op("leaky", (0,), {"slope": (6554,)}), {}),
        (Op("table", (0,), {"low": (-32768,), "step": (5,), "more": (4,), "range": (-9, 32767)}, "t"),
         {"t": (np.arange(2049) - 1024) ** 2 - 3}),
        (Op("cat", (0, 1)), {}),
        (Op("part", (0,), {"axis": (1,), "from": (1,), "to": (3,)}), {}),
        (Op("pad", (0,), {"sides": (1, 2, 0, 3)}), {}),
        (Op("shape", (0,), {"sides": (48,)}), {}),
        (Op("turn", (0,), {"order": (2, 3, 1)}), {}),
    ],
)  # fmt: skip
def test_engines_agree_without_weights(op, arrays):
    graphs = one(op, (4, 3, 4), arrays, *[(4, 3, 4)] * (len(op.of) - 1))
    rng = np.random.default_rng(2)
    x = [rng.integers(-33000, 33000, (9, 4, 3, 4)) for _ in op.of]
    np.testing.assert_array_equal(Carried(graphs, arrays).run("one", *x)[0], Oracle(graphs, arrays).run("one", *x)[0])


def test_a_table_is_its_function_to_half_a_unit():
    silu = Function("f", F.silu, ("x",), ("y",))
    x = torch.linspace(-7, 7, 4001)[:, None]
    graphs, arrays = freeze([silu], {"x": x, "y": F.silu(x)}, {})
    bits = graphs["f"].outputs[0].bits
    whole = np.arange(-32767, 32768)[:, None]
    (said,) = Carried(graphs, arrays).run("f", whole)
    asked = F.silu(torch.tensor(whole * 2.0 ** -graphs["f"].inputs[0].bits)).numpy() * 2.0**bits
    assert np.abs(said - asked).max() < 0.7


# Nets -----------------------------------------------------------------------------------------------------------------

ACTS = ["relu", "silu", "gelu", "elu", "tanh", "leaky"]
NETS = [
    *({"use": "mlp", "widths": [40, 24], "act": act} for act in ACTS),
    {"use": "mlp", "widths": [40], "norm": "batch", "residual": 2, "act": "silu"},
    {"use": "conv", "width": 8, "limit": 16, "stages": 2},
    {"use": "conv", "width": 8, "limit": 16, "norm": "batch", "act": "leaky"},
    {"use": "resnet", "width": 8, "limit": 16, "stages": 1},
    {"use": "resnet", "width": 8, "limit": 16, "patch": 2, "dense": 20, "act": "gelu"},
    {"use": "dcgan", "width": 8, "limit": 16},
    {"use": "dcgan", "width": 8, "limit": 16, "norm": "none"},
]


@pytest.mark.parametrize("shape", [(12, 12, 1), (11, 10, 3)])
@pytest.mark.parametrize("net", NETS, ids=lambda n: "-".join(map(str, n.values())))
def test_nets_as_integers(net, shape):
    """Both ways: close to the float net, the same in both engines, and for any number of pictures."""
    image, code = Image(*shape[:2], shape[2], 256), Vector(6)
    torch.manual_seed(0)
    look, say = (shaken(part("nets", net)(a, b)) for a, b in ((image, code), (code, image)))
    x, z = pictures(64, shape[2], *shape[:2]), torch.randn(64, 6)
    functions = [Function("look", look, ("x",), ("seen",)), Function("say", say, ("z",), ("said",))]
    examples = {"x": x, "seen": look(x), "z": z, "said": say(z)}
    given = {"x": LEVELS, "z": 10}
    graphs, arrays = freeze(functions, examples, given, frozenset({"seen", "said"}))
    oracle, carried, unit = Oracle(graphs, arrays), Carried(graphs, arrays), units(graphs, given)
    for name, inp, out in (("look", "x", "seen"), ("say", "z", "said")):
        whole = integers(examples[inp], unit[inp])
        (said,) = carried.run(name, whole)
        np.testing.assert_array_equal(said[:3], oracle.run(name, whole[:3])[0])
        np.testing.assert_array_equal(said[:1], carried.run(name, whole[:1])[0])
        error = said * unit[out] - examples[out].numpy()
        assert error.std() < 2e-3 * examples[out].numpy().std()


@pytest.fixture(scope="module")
def ladder():
    """A small ladder, frozen on pictures of 16 x 16: what it is told, its graphs and arrays."""
    torch.manual_seed(0)
    space = Image(16, 16, 3, 256)
    model = shaken(part("models", {"use": "ladder", "rungs": [1, 1], "width": 8, "pieces": 2})(space))
    told = told_of(model, pictures(48, 3, 16, 16))
    given = {n: LEVELS for n in told.examples if n == "x" or n.startswith("piece/")}
    given |= {n: 10 for n in told.examples if n.startswith("z/")}
    graphs, arrays = freeze(told.functions, told.examples, given, frozenset(told.wide))
    return told, given, graphs, arrays


def test_a_ladder_as_integers_at_another_size(ladder):
    told, given, graphs, arrays = ladder
    carried, oracle, unit = Carried(graphs, arrays), Oracle(graphs, arrays), units(graphs, given)
    for f in told.functions:
        for larger in (False, True):
            x = [told.examples[port] for port in f.inputs]
            x = [torch.cat([v, v.flip(3)], 3) for v in x] if larger else x
            with torch.no_grad():
                asked = f.call(*x)
            whole = [integers(v, unit[port]) for v, port in zip(x, f.inputs, strict=True)]
            said = carried.run(f.name, *whole)
            for a, b in zip(said, oracle.run(f.name, *(w[:2] for w in whole)), strict=True):
                np.testing.assert_array_equal(a[:2], b)
            for port, a, b in zip(f.outputs, said, asked if isinstance(asked, list) else [asked], strict=True):
                error = a * unit[port] - b.numpy()
                assert error.std() < 2e-3 * b.numpy().std(), port


def test_threads_and_batches_change_nothing(ladder):
    _, _, graphs, arrays = ladder
    carried, rng = Carried(graphs, arrays), np.random.default_rng(3)
    x = rng.integers(0, 256, (64, 3, 16, 16))
    asked, threads = carried.run("look", x), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for a, b in zip(carried.run("look", x), asked, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        torch.set_num_threads(threads)
    parts = [carried.run("look", x[i : i + 8]) for i in range(0, 64, 8)]
    for i, b in enumerate(asked):
        np.testing.assert_array_equal(np.concatenate([p[i] for p in parts]), b)


# Tracing --------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_frozen_is_refused_by_name():
    for call, said in (
        (lambda x: torch.sin(x), "sin"),
        (lambda x: x.mean(1, keepdim=True), "mean"),
        (lambda x: x * x, "mul"),
        (lambda x: F.softmax(x, 1), "softmax"),
        (lambda x: x[:1], "__getitem__"),
        (lambda x: x.reshape(-1), "reshape"),
        (lambda x: nn.BatchNorm1d(4)(x), "eval"),
        (lambda x: torch.zeros(3, 4), "inputs"),
    ):
        with pytest.raises(UserError, match=said):
            traced("f", call, [(4,)])
    with pytest.raises(UserError, match="how many examples"):
        traced("f", lambda x: x * (1 / len(x) > 0.25) if len(x) > 4 else F.relu(x), [(4,)])


def test_ranges_that_are_not_finite_are_refused():
    x = torch.tensor([[1.0], [float("nan")]])
    with pytest.raises(UserError, match="finite"):
        freeze([Function("f", F.relu, ("x",), ("y",))], {"x": x, "y": x}, {})


# Profiles -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def profile(ladder):
    _, _, graphs, arrays = ladder
    return Profile({"unit": 4, "of": ["a", None, True]}, graphs, arrays)


def test_a_profile_comes_back(profile):
    data = profile.to_bytes()
    again = Profile.from_bytes(data)
    assert (again.facts, again.graphs) == (profile.facts, profile.graphs)
    assert set(again.arrays) == set(profile.arrays)
    for name, array in profile.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    assert (again.to_bytes(), again.digest) == (data, profile.digest)
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16))
    same(Carried(again.graphs, again.arrays).run("look", x), Oracle(profile.graphs, profile.arrays).run("look", x))


def body_of(profile):
    """Head and arrays of its bytes, apart."""
    body = profile.canonical()
    length = int.from_bytes(body[:4], "little")
    return json.loads(body[4 : 4 + length]), body[4 + length :]


def packed(head, rest):
    said = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + b"\1\0\0\0" + b"\1" + zlib.compress(len(said).to_bytes(4, "little") + said + rest, 1)


def test_damage_is_refused(profile):
    data, rng = profile.to_bytes(), np.random.default_rng(4)
    for cut in (0, 5, 12, 13, 20, len(data) // 2, len(data) - 1):
        with pytest.raises(UserError):
            Profile.from_bytes(data[:cut])
    with pytest.raises(UserError):
        Profile.from_bytes(data + b"x")
    for _ in range(150):
        at, bit = int(rng.integers(len(data))), int(rng.integers(8))
        wrong = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        if 10 <= at < 12:  # a minor version may differ
            continue
        with pytest.raises(UserError):
            Profile.from_bytes(wrong)


def places(said, path=()):
    """Every place in a tree of lists and objects."""
    yield path
    if isinstance(said, (dict, list)):
        for key in said if isinstance(said, dict) else range(min(len(said), 6)):
            yield from places(said[key], (*path, key))


def test_every_field_may_be_anything(profile):
    """Whatever stands in whatever place, a reader says yes or no, and what it accepts runs, or is refused in words."""
    head, rest = body_of(profile)
    head["graphs"] = {"look": head["graphs"]["look"]}
    all_places, rng = list(places(head["graphs"]))[1:] + list(places(head["arrays"]))[1:12], np.random.default_rng(5)
    wrongs = [
        None,
        True,
        -1,
        0,
        1,
        2**31,
        2**53,
        2**63,
        10**30,
        "",
        "a" * 999,
        "conv",
        "table",
        [],
        [0],
        [1 << 60] * 4,
        {},
    ]
    accepted = 0
    for place in rng.permutation(np.array([*all_places, None], object))[:120]:
        if place is None:
            continue
        again = json.loads(json.dumps(head))
        of = again["graphs"] if place[0] in again["graphs"] else again["arrays"]
        for key in place[:-1]:
            of = of[key]
        of[place[-1]] = wrongs[int(rng.integers(len(wrongs)))]
        try:
            read = Profile.from_bytes(packed(again, rest))
            accepted += 1
            x = np.full((1, 3, 8, 8), 255)
            same(Oracle(read.graphs, read.arrays).run("look", x), Carried(read.graphs, read.arrays).run("look", x))
        except UserError:
            pass
    assert accepted < 60


WIDE = Port("x", 0, (4,), (-(2**23) + 1, 2**23 - 1))
TABLE = Op("table", (0,), {"low": (0,), "step": (5,), "more": (0,), "range": (0, 9)}, "t")
LARGE = {"inputs": (Port("x", 0, (4, 2000, 2000)),), "ops": (Op("pad", (0,), {"sides": (256,) * 4}),)}


def dense(*of):
    return Op("dense", of, {"range": (-32767, 32767)}, "w")


@pytest.mark.parametrize(
    ("why", "changes", "arrays"),
    [
        ("exact", {"inputs": (WIDE,)}, {"w/weight": np.full((4, 4), 2**30)}),
        ("exact", {}, {"w/bias": np.full(4, 2**53 - 5)}),
        ("too large", {}, {"w/weight": np.full((4, 4), 2**40)}),
        ("too large", {}, {"w/bias": np.full(4, np.iinfo(np.int64).min)}),
        ("shifts", {}, {"w/shift": np.full(4, 63)}),
        ("shifts", {}, {"w/shift": np.full(4, -1)}),
        ("bias", {}, {"w/bias": np.zeros(3, np.int64)}),
        ("shape", {}, {"w/weight": np.zeros((4, 0), np.int64)}),
        ("lacks", {"ops": (TABLE,)}, {}),
        ("table", {"ops": (TABLE,)}, {"t": np.zeros(1, np.int64)}),
        ("table", {"ops": (TABLE,), "inputs": (WIDE,)}, {"t": np.zeros(9, np.int64)}),
        ("there yet", {"ops": (dense(1),)}, {}),
        ("there yet", {"ops": (dense(-1),)}, {}),
        ("values", {"ops": (dense(),)}, {}),
        ("newer", {"ops": (Op("sine", (0,)),)}, {}),
        ("numbers", {"ops": (Op("pad", (0,), {"sides": (1, 1)}),)}, {}),
        ("numbers", {"ops": (Op("pad", (0,), {}),)}, {}),
        ("gives", LARGE, {}),
        ("not what it gives", {"outputs": (Port("y", 0, (5,)),)}, {}),
        ("not there", {"gives": (7,)}, {}),
        ("cannot be", {"inputs": (Port("x", 0, (2**40,)),)}, {}),
        ("cannot be", {"inputs": (Port("x", 0, (4,), (0, 2**40)),)}, {}),
        ("steps", {"ops": (dense(0),) * 10**5}, {}),
    ],
)
def test_graphs_that_must_not_run_are_refused(why, changes, arrays):
    sound = weights((4, 4), 4, np.random.default_rng(0))
    graph = replace(one(dense(0), (4,), sound)["one"], **changes)
    with pytest.raises(UserError, match=why):
        proven({"g": graph}, sound | arrays)


def test_a_false_length_costs_no_memory():
    wide = MAGIC + b"\1\0\0\0" + b"\1" + zlib.compress(bytes(97 << 20), 1)
    with pytest.raises(UserError):
        Profile.from_bytes(wide)


def test_inputs_that_do_not_fit_are_refused(ladder):
    _, _, graphs, arrays = ladder
    for engine in (Oracle(graphs, arrays), Carried(graphs, arrays)):
        for x in (
            np.zeros((2, 1, 8, 8)),
            np.zeros((2, 3, 7, 8)),
            np.zeros((2, 3)),
            np.zeros((1, 3, 2**14, 2**14), bool),
        ):
            with pytest.raises(UserError):
                engine.run("look", x.astype(np.int64) if x.size < 1e6 else np.broadcast_to(np.int64(0), x.shape))
        assert [len(out) for out in engine.run("look", np.zeros((0, 3, 8, 8), np.int64))] == [0, 0]
