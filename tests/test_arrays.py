"""An array means the same to training and to every task, as a file and at hand; or it is refused with the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

import morphogen as mg
from morphogen.core.space import Image, Sound, Tokens, Vector
from morphogen.data.array_to_space import fitted
from morphogen.data.arrays import dataset_of_arrays
from morphogen.data.find import open_data
from morphogen.data.npz import Arrays, read_npy
from morphogen.data.torch_datasets import unpacked
from morphogen.errors import UserError

TINY = {"model.net": {"use": "mlp", "widths": [8]}, "model.latent": 2}
PICTURES = np.random.default_rng(0).integers(0, 256, (60, 6, 5, 1), dtype=np.uint8)
SAME = {  # the same pictures, as people have them
    "uint8": PICTURES,
    "no channels": PICTURES[..., 0],
    "channels first": PICTURES.transpose(0, 3, 1, 2),
    "int64": PICTURES.astype(np.int64),
    "uint32": PICTURES.astype(np.uint32),
    "big-endian": PICTURES.astype(">i4"),
    "floats 0..255": PICTURES.astype(np.float32),
    "doubles 0..255": PICTURES.astype(np.float64),
    "floats 0..1": PICTURES.astype(np.float32) / 255,
    "halves 0..1": (PICTURES / 255).astype(np.float16),
    "long doubles": PICTURES.astype(np.longdouble) / 255,
    "16 bits": PICTURES.astype(np.uint16) * 257,
    "Fortran order": np.asfortranarray(PICTURES),
}
REFUSED = {  # and those of which nobody can know
    "-1..1": (PICTURES / 127.5 - 1, r"\(x \+ 1\) / 2"),
    "fractions of 0..255": (PICTURES + 0.25, "x / 255.25"),
    "12 bits": (PICTURES.astype(np.uint16) * 16, "x / 4080"),
    "0..1000": (PICTURES.astype(np.int64) * 4, "x / 1020"),
    "complex": (PICTURES.astype(np.complex64), "holds complex64"),
    "records": (np.zeros((9, 6, 5), [("a", "u1"), ("b", "f4")]), "several fields"),
}


@pytest.fixture(scope="module", params=["uint8", "floats 0..255", "floats 0..1", "16 bits"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> mg.OpenRun:
    """A run of the same pictures, each time as another array."""
    folder = tmp_path_factory.mktemp("arrays") / "run"
    return mg.train("vae", SAME[request.param], TINY, steps=2, batch=16, device="cpu", run=folder, quiet=True)


def test_codes_are_the_same_of_all_of_them(run: mg.OpenRun, tmp_path: Path) -> None:
    wanted = run.encode(PICTURES).x
    for number, (name, x) in enumerate(SAME.items()):
        assert torch.equal(run.encode(x).x, wanted), name
        np.save(tmp_path / f"{number}.npy", x)
        np.savez(tmp_path / f"{number}.npz", x=x)
        if name != "long doubles":
            assert torch.equal(run.encode(tmp_path / f"{number}.npy").x, wanted), name
        assert torch.equal(run.encode(tmp_path / f"{number}.npz").x, wanted), name
    assert torch.equal(run.encode(TensorDataset(torch.from_numpy(PICTURES))).x, wanted)


def test_what_training_refuses_every_task_refuses(run: mg.OpenRun, tmp_path: Path) -> None:
    for x, word in REFUSED.values():
        if str(x.dtype) == run.run.facts["array"]["dtype"] == "uint16":
            continue  # what was trained on 16 bits knows what they are
        np.save(tmp_path / "x.npy", x)
        tries = [
            lambda x=x: run.encode(x),
            lambda: run.encode(tmp_path / "x.npy"),
            lambda: open_data(tmp_path / "x.npy"),
        ]
        for attempt in tries:
            with pytest.raises(UserError, match=r"several fields|complex|" + word):
                attempt()


def test_dark_pictures_are_what_they_were_in_training() -> None:
    """Of numbers that are 0 and 1 alone only the training knows whether 1 is white."""
    space, dark = Image(6, 5), (PICTURES[:3] > 99).astype(np.float32)
    remembered = {white: {"dtype": "float32", "white": white} for white in (1.0, 255.0)}
    assert int(fitted(dark, space, "x", remembered[255.0]).max()) == 1
    assert int(fitted(dark, space, "x", remembered[1.0]).max()) == 255
    assert int(fitted(dark, space, "x", {}).max()) == 255
    assert int(fitted(dark.astype(np.uint8), space, "x", remembered[1.0]).max()) == 1
    assert int(fitted(dark.astype(bool), space, "x", {}).max()) == 255
    assert int(fitted(np.full((2, 6, 5), 200, np.uint16), space, "x", {"dtype": "uint16", "white": 65535.0}).max()) == 1
    assert dataset_of_arrays("x", SAME["16 bits"], None, 0.1, 0.1).facts()["array"] == {
        "dtype": "uint16",
        "white": 65535,
    }


def test_one_array_of_any_name_is_the_examples(tmp_path: Path) -> None:
    for name in ("x", "images", "data", "arr_0", "faces"):
        np.savez(tmp_path / "x.npz", **{name: PICTURES}, y=np.arange(60) % 3, names=np.array(["a"] * 60))
        assert open_data(tmp_path / "x.npz").space == Image(6, 5)
        assert len(fitted_file_of(tmp_path / "x.npz")) == 60
    np.savez(tmp_path / "x.npz", faces=PICTURES, masks=PICTURES)
    for attempt in (open_data, fitted_file_of):
        with pytest.raises(UserError, match="holds faces, masks; the examples must be named x"):
            attempt(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x_train=PICTURES, x_test=PICTURES[:7])
    assert len(fitted_file_of(tmp_path / "x.npz")) == 7


def fitted_file_of(path: Path) -> torch.Tensor:
    from morphogen.files import load_examples

    return load_examples(path, Image(6, 5))[0]


@pytest.mark.parametrize(
    ("x", "space", "word"),
    [
        (np.zeros((0, 6)), Vector(6), "holds no examples"),
        (np.full((3, 6), 1e300), Vector(6), "beyond 1e30"),
        (np.full((3, 6), np.inf), Vector(6), "not finite"),
        (np.full((3, 6), 1.5), Tokens(6, 9), "fractions"),
        (np.full((3, 6), 2**63, np.uint64), Tokens(6, 9), "outside 0 .. 8"),
        (np.zeros((3, 1, 6), np.int16), Sound(6), "x / 32768"),
        (np.zeros((3, 5)), Vector(6), r"shape \(5,\), the model's are \(6,\)"),
        (np.array(3.0), Vector(6), "a single value"),
        (np.full((3, 6, 5), 255, np.uint8), Image(6, 5, 1, 2), "x > 127"),
        (np.full((3, 6, 5), 60_000), Image(6, 5), "x / 60000"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(x: np.ndarray, space: object, word: str) -> None:
    with pytest.raises(UserError, match=word) as error:
        fitted(x, space, "a.npy", {})
    assert "a.npy" in str(error.value)


def test_numbers_too_large_for_a_model_are_refused_before_training() -> None:
    with pytest.raises(UserError, match="row 3 holds a number beyond 1e30"):
        dataset_of_arrays("x", np.array([[1.0], [2.0], [3.0], [1e300]]), None, 0.1, 0.1)


def test_files_that_unpack_to_much_more_than_they_are_do_not(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.zeros((300, 1000, 1000), np.uint8))
    for attempt in (open_data, lambda path: fitted_file_of(path)):
        with pytest.raises(UserError, match=r"x\.npz"):
            attempt(path)
    with Arrays(path) as held, pytest.raises(UserError, match="as no pictures or tables do"):
        held.read("x")
    np.save(tmp_path / "x.npy", np.zeros((9, 9)))
    with pytest.raises(UserError, match="more than 1e-09"):
        read_npy(tmp_path / "x.npy", 1e-9)


# Datasets of torch ----------------------------------------------------------------------------------------------------


class Pairs(torch.utils.data.Dataset):
    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> object:
        return self.items[place]


class Endless(IterableDataset):
    def __iter__(self) -> object:
        yield torch.zeros(3)


def test_a_torch_dataset_is_data() -> None:
    x, y = torch.randn(60, 3), torch.arange(60) % 3
    spec = mg.hold(x.numpy(), y.numpy())
    for data in (TensorDataset(x, y), Pairs(list(zip(x, y, strict=True))), Subset(TensorDataset(x, y), range(60))):
        assert mg.hold(data) == spec
    assert mg.hold(TensorDataset(x)) == mg.hold(Pairs(list(x))) == mg.hold(Pairs([(row,) for row in x])) == mg.hold(x)
    words = unpacked(Pairs([(row, "ab"[int(k) % 2]) for row, k in zip(x, y, strict=True)]))[1]
    assert words.tolist()[:3] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (DataLoader(TensorDataset(torch.zeros(3, 2))), "give its dataset"),
        (Endless(), "Endless has no length"),
        (Pairs([]), "holds no examples"),
        (Pairs([{"x": 1}]), "an item of Pairs is a dict"),
        (Pairs([(1, 2, 3)]), "a tuple of 3"),
        (Pairs([(torch.zeros(2), 0), (torch.zeros(3), 1)]), r"shapes \(2,\) and \(3,\)"),
        (Pairs(["word"]), "holds|is a str"),
        (TensorDataset(*[torch.zeros(3, 2)] * 3), "of 3 tensors"),
    ],
)
def test_other_datasets_are_refused_by_name(data: object, word: str) -> None:
    with pytest.raises(UserError, match=word):
        mg.hold(data)


def test_labels_of_a_dataset_reach_a_task(tmp_path: Path) -> None:
    x, y = torch.randn(40, 3), torch.arange(40) % 2
    folder = tmp_path / "run"
    with torch.no_grad(), torch.inference_mode():  # wherever the caller stands
        run = mg.train("vae", TensorDataset(x, y), TINY, steps=2, batch=16, device="cpu", run=folder, quiet=True)
    assert run.run.facts["classes"] == ["0", "1"]
    assert run.encode(TensorDataset(x[:5], y[:5])).labels.tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(UserError, match="leave out y"):
        mg.hold(TensorDataset(x, y), y)
