"""New training data: what it is made of, that copies are found, that it reads again, and whether it helps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from morphogen.augmenting import make
from morphogen.beside import labels_beside
from morphogen.core import noise
from morphogen.core.batch import Batch
from morphogen.core.noise import Noise
from morphogen.core.space import Image, Tokens, Vector
from morphogen.data.dataset import Dataset, Split
from morphogen.data.find import open_data
from morphogen.data.stores import MemoryStore
from morphogen.errors import UserError
from morphogen.examples import Data, find_examples
from morphogen.leaks import Leaks
from morphogen.makers import Labelled, Made, jitter, mix, samples
from morphogen.opened import OpenRun
from morphogen.run import Run
from morphogen.worth import Study, Trial, classical, interval, labelled_subset, mixed_batches, verdict
from test_edit import Turned, fresh


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("augment")


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Run]:
    small = {"latent": 3, "net": {"use": "mlp", "widths": [8]}}
    return {
        "image": fresh(home / "image", "digits"),
        "told": fresh(home / "told", "digits", labelled=True),
        "tokens": fresh(home / "tokens", "patterns"),
        "vector": fresh(home / "vector", "blobs"),
        "point": fresh(home / "point", "digits", posterior="point", terms=["distortion"]),
        "bigan": fresh(home / "bigan", "digits", use="bigan", features=6, **small),
        "ladder": fresh(home / "ladder", "digits", use="ladder", rungs=[1, 1], latent=2, width=6),
    }


def of(run: Run, n: int = 100) -> Labelled:
    opened = OpenRun(run)
    return Labelled.of(find_examples(run, None, split="train", label=None, fit=False).limited(n), opened.model)


# Makers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image", "told", "ladder"])
def test_jitter_without_boldness_is_the_reconstruction(runs: dict[str, Run], name: str) -> None:
    model, given = OpenRun(runs[name]).model, of(runs[name])
    wanted = torch.arange(30) % 10
    with torch.no_grad():
        made = jitter(model, given, wanted, Noise(0, "test"), 0.0)
        places = torch.tensor([given.rows.tolist().index(row) for row in made.sources[:, 0].tolist()])
        y = given.y[places]
        back = model.decode(model.encode(given.read(places), y), y)
        bolder = jitter(model, given, wanted, Noise(0, "test"), 1.0)
    assert torch.equal(y, wanted)
    assert torch.allclose(made.x, back, atol=1e-5)
    assert torch.equal(bolder.sources, made.sources)
    assert not torch.allclose(bolder.x, made.x, atol=1e-4)


def test_a_mix_is_between_two_of_a_class_and_its_provenance_leads_back() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 5, generator=generator), torch.arange(60) % 3
    y[:9] = -1
    data = Data(Dataset("mine", Vector(5), {"train": Split(MemoryStore(x), y)}, "0" * 64, ("a", "b", "c")), "train")
    model = Turned(Vector(5))
    made = mix(model, Labelled.of(data, model), torch.arange(50) % 3, Noise(1, "test"), 1.0)
    assert made.sources.min() >= 9  # what has no label is not used
    assert torch.equal(y[made.sources], made.y[:, None].expand(-1, 2))
    assert (made.sources[:, 0] != made.sources[:, 1]).all()
    assert torch.allclose(made.weights.sum(1), torch.ones(50))
    assert torch.allclose(made.x, (made.weights[:, :, None] * x[made.sources]).sum(1), atol=1e-4)
    assert 0.2 < float(made.weights[:, 0].std()) < 0.4  # uniform: 0.29
    with pytest.raises(UserError, match="must be above 0"):
        mix(model, Labelled.of(data, model), torch.zeros(2).long(), Noise(1, "test"), 0.0)


def test_one_of_a_class_is_not_mixed_with_itself() -> None:
    y = torch.tensor([0, 1, 0, 0])
    data = Data(
        Dataset("mine", Vector(5), {"train": Split(MemoryStore(torch.randn(4, 5)), y)}, "0" * 64, ("a", "b")), "train"
    )
    model = Turned(Vector(5))
    with pytest.raises(UserError, match="'b' has one labelled example; give --by jitter"):
        mix(model, Labelled.of(data, model), torch.zeros(2).long(), Noise(1, "test"), 1.0)


def test_samples_are_of_the_class_that_was_asked_for(runs: dict[str, Run]) -> None:
    model, given = OpenRun(runs["told"]).model, of(runs["told"])
    wanted = torch.tensor([7, 3])
    with torch.no_grad():
        made = samples(model, given, wanted, Noise(0, "test", 2), 0.0)
        with noise.source(Noise(9)):
            assert torch.allclose(made.x, model.sample(2, wanted, 0.0), atol=1e-6)
    assert made.sources.tolist() == [[-1], [-1]]


@pytest.mark.parametrize(
    ("name", "maker", "words"),
    [("image", samples, "label-conditional"), ("bigan", jitter, "give --by mix"), ("point", jitter, "give --by mix")],
)
def test_a_way_that_a_model_does_not_have_is_refused(runs: dict[str, Run], name: str, maker, words: str) -> None:
    with pytest.raises(UserError, match=words), torch.no_grad():
        maker(OpenRun(runs[name]).model, of(runs[name]), torch.tensor([1]), Noise(0), 1.0)


# Copies ----------------------------------------------------------------------------------------------------------


def test_planted_copies_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    seen, new = torch.randn(400, 20, generator=generator), torch.randn(100, 20, generator=generator)
    new[:7] = seen[30:37]
    new[7:12] = seen[40:45] + 1e-3
    leaks = Leaks.among(seen, Vector(20))
    apart, copied = leaks.of(new, Vector(20))
    assert copied[:12].all()
    assert (apart[:7] == 0).all()
    assert copied[12:].float().mean() < 0.05
    tokens = Tokens(6, 4)
    x = torch.randint(0, 4, (300, 6), generator=generator)
    assert Leaks.among(x, tokens).of(x[:5], tokens)[1].all()
    with pytest.raises(UserError, match="too wide"):
        Leaks.among(x, Tokens(6, 60_000))


def test_copies_are_made_anew_or_left_out_or_kept(runs: dict[str, Run]) -> None:
    """A maker that repeats an example every other time, and one that can do nothing else."""
    run, given = runs["vector"], of(runs["vector"])
    model, whole = OpenRun(run).model, given.all()

    def forger(some: float):
        def maker(model, given: Labelled, wanted: Tensor, draw: Noise, boldness: float) -> Made:
            x = whole[: len(wanted)].clone()
            coins = torch.rand(len(wanted), generator=draw.generator(torch.device("cpu")))
            x[coins >= some] += 50 + coins[coins >= some, None]
            return Made(x, wanted, torch.zeros(len(wanted), 1).long(), torch.ones(len(wanted), 1))

        return maker

    how = {"leaks": Leaks.among(whole, run.space), "space": run.space, "seed": 0, "boldness": 1.0}
    said = make(model, given, forger(0.5), 60, **how)
    assert len(said.made) == 60
    assert said.left_out > 20
    assert not said.copied.any()
    assert (said.made.x.min(1).values > 20).all()
    assert len(make(model, given, forger(1.0), 20, **how).made) == 0
    kept = make(model, given, forger(0.5), 60, keep=True, **how)
    assert (len(kept.made), kept.left_out) == (60, 0)
    assert 20 < int(kept.copied.sum()) < 40


# Written and read again --------------------------------------------------------------------------------------------


def test_what_is_written_can_be_learned_from_and_traced(do, runs: dict[str, Run], tmp_path: Path) -> None:
    folder, file = tmp_path / "new", tmp_path / "new.npz"
    assert do("augment", runs["told"].path, "-n", "40", "--by", "samples", "-o", folder)[0] == 0
    code, out, _ = do("augment", runs["told"].path, "-n", "40", "--by", "jitter", "--originals", "-o", file, "--json")
    assert code == 0
    said = json.loads(out)
    read = open_data(folder)
    assert read.classes == tuple("0123456789")
    assert sum(len(split) for split in read.splits.values()) == 40
    head, *lines = [json.loads(line) for line in (folder / "provenance.jsonl").read_text().splitlines()]
    assert head["morphogen"]["weights"] == OpenRun(runs["told"]).weights
    assert len(lines) == 40
    assert all((folder / line["file"]).is_file() and line["file"].startswith(f"{line['class']}/") for line in lines)
    own = open_data("digits")
    with np.load(file, allow_pickle=False) as held:
        x, y, told = held["x"], held["y"], [json.loads(line) for line in held["provenance"]]
    assert len(x) == len(y) == len(told) == said["examples"] == 40 + len(own.splits["train"])
    source = told[-1]["sources"][0].split("/")
    assert source[:2] == ["digits", "train"]
    assert str(int(own.splits["train"].y[int(source[2])])) == y[-1] == told[-1]["class"]
    originals = own.space.write(own.space.read(own.splits["train"].x.gather(torch.arange(3)))).numpy()
    assert np.array_equal(x[:3], originals)
    assert open_data(file).space.shape == (1, 8, 8)
    assert do("recipe", file)[0] == 0
    before = folder / "provenance.jsonl"
    stamp = before.read_bytes()
    again = tmp_path / "again"
    assert do("augment", runs["told"].path, "-n", "40", "--by", "samples", "-o", again)[0] == 0
    assert (again / "provenance.jsonl").read_bytes() == stamp


@pytest.mark.parametrize("name", ["tokens", "vector"])
def test_other_kinds_of_data(do, runs: dict[str, Run], name: str, tmp_path: Path) -> None:
    file = tmp_path / "new.npz"
    code, _, err = do("augment", runs[name].path, "-n", "30", "--keep-copies", "-o", file)
    assert code == 0, err
    assert open_data(file).space.kind == name
    assert open_data(file).space.shape == runs[name].space.shape
    code, _, err = do("augment", runs[name].path, "-n", "5", "-o", tmp_path / "folder")
    assert code == 2
    assert ".npz" in err
    code, _, err = do("augment", runs["image"].path, file, "-n", "5", "-o", tmp_path / "x.npz")
    assert code == 2


def test_class_names_that_are_no_folders(runs: dict[str, Run], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.array(["T-shirt/top", "../up", "..", "a b"])[np.arange(40) % 4]
    np.savez(tmp_path / "odd.npz", x=rng.integers(0, 17, (40, 8, 8), dtype=np.uint8), y=y)
    said = OpenRun(runs["image"]).augment([str(tmp_path / "odd.npz")], n=8, out=tmp_path / "out")
    assert said["made"] == 8
    assert len(open_data(tmp_path / "out").classes) == 4
    assert {p.parent.parent for p in (tmp_path / "out").rglob("*.png")} == {tmp_path / "out"}


def test_labels_beside_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.array([1, -1, 0]))
    names = [f"{tmp_path / 'a.npz'}[{i}]" for i in range(3)]
    y, classes = labels_beside([tmp_path / "a.npz"], names, ("0", "1", "2"))
    assert (y.tolist(), classes) == ([1, -1, 0], ("0", "1", "2"))
    y, classes = labels_beside([tmp_path / "a.npz"], names, ("cat",))
    assert (y.tolist(), classes) == ([1, -1, 0], ("0", "1"))
    files = [f"{tmp_path}/{kind}/1.png" for kind in ("cat", "dog", "unlabelled")]
    y, classes = labels_beside([tmp_path], files, ())
    assert (y.tolist(), classes) == ([0, 1, -1], ("cat", "dog"))
    assert labels_beside([tmp_path], [f"{tmp_path}/cat/1.png"], ()) == (None, ())
    assert labels_beside([tmp_path / "cat/1.png"], [str(tmp_path / "cat/1.png")], ()) == (None, ())
    for other in (np.zeros(3), np.zeros((3, 2), int)):  # numbers to predict, one number for each class
        np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=other)
        assert labels_beside([tmp_path / "a.npz"], names, ()) == (None, ())
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(2, int))
    with pytest.raises(UserError, match="number or word for each"):
        labels_beside([tmp_path / "a.npz"], names, ())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("augment IMAGE x.npy -o new", "has no labels"),
        ("augment IMAGE one.npz -o new", "one class only"),
        ("augment IMAGE none.npz -o new", "has no labels"),
        ("augment IMAGE", "needs out"),
        ("augment IMAGE -o full", "not empty"),
        ("augment IMAGE -o full/x.txt", "as a folder"),
        ("augment IMAGE -o x.npy", "as a folder"),
        ("augment IMAGE -o there.npz", "not overwritten"),
        ("augment IMAGE -o new.png", "not .png"),
        ("augment IMAGE -o new --by samples", "label-conditional"),
        ("augment IMAGE -o new --by magic", "by = 'magic'"),
        ("augment IMAGE -o new -n 0", "n must be"),
        ("augment IMAGE -o new --boldness nan", "finite"),
        ("augment IMAGE -o new --boldness 0", "above 0"),
        ("augment IMAGE -o new --split tset", "no split"),
        ("augment POINT -o new --by jitter", "give --by mix"),
        ("augment IMAGE big.npz -o new", "shape"),
        ("augment IMAGE lopsided.npz -o new", "number or word"),
        ("augment TOLD other.npz -o new", "has no labels"),
        ("worth IMAGE --seeds 1", "seeds of 2"),
        ("worth IMAGE --share 0", "no share"),
        ("worth IMAGE --share 1.5", "no share"),
        ("worth IMAGE two.npz", "held out"),
        ("worth IMAGE --steps 3", "steps of 20"),
        ("worth IMAGE --each 9999", "ask for fewer"),
        ("worth TOKENS --each 5 --seeds 2", "classifier of numbers"),
    ],
)
def test_mistakes_are_told_in_a_line(do, runs: dict[str, Run], home: Path, line: str, words: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 17, (6, 8, 8), dtype=np.uint8)
    np.save(home / "x.npy", x)
    for name, y in {
        "one": [3] * 6,
        "none": [-1] * 6,
        "two": [1, 2] * 3,
        "lopsided": [1, 2],
        "other": ["a", "b"] * 3,
    }.items():
        np.savez(home / f"{name}.npz", x=x, y=np.array(y))
    np.savez(home / "big.npz", x=np.zeros((4, 9, 9), np.uint8), y=np.array([1, 2] * 2))
    (home / "full").mkdir(exist_ok=True)
    (home / "full/note.txt").write_text("mine")
    (home / "there.npz").write_bytes(b"mine")
    before = sorted(home.rglob("*"))
    for name in ("image", "told", "point", "tokens"):
        line = line.replace(name.upper(), str(runs[name].path))
    code, out, err = do(*line.split(" "))
    assert code == 2, (out, err)
    assert words in err
    assert err.count("\n") == 1
    assert sorted(home.rglob("*")) == before


# Worth -----------------------------------------------------------------------------------------------------------


def study(shift: float) -> tuple[float, float]:
    """Two classes apart in a hundred numbers, too many for six examples; what is made is `shift` times as far."""

    def two(count: int, seed: int, apart: float = 1.0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        y = torch.arange(count) % 2
        return torch.randn(count, 100, generator=generator) + 0.2 * apart * (2 * y[:, None] - 1.0), y

    test = [Batch(*two(1000, 99))]
    one = Study(Vector(100), 2, lambda s: two(6, s), lambda s: two(400, 500 + s, shift), test, 20, 0.5, lambda x: x)
    trial = Trial()
    for turn in range(6):
        trial.add(*one.repeat(turn))
    low, high = trial.facts()["interval"]
    return low, high


def test_the_verdict_on_planted_help_and_harm() -> None:
    assert verdict(*study(1.0)) == "helps"
    assert verdict(*study(-1.0)) == "harms"
    facts = Trial([0.5, 0.5, 0.6], [0.5, 0.51, 0.6]).facts()
    assert facts["verdict"] == "cannot tell"
    assert facts["gain"] == pytest.approx(0.01 / 3)


def test_the_interval_is_students() -> None:
    gain, low, high = interval([0.01, 0.02, 0.03])
    assert (gain, low, high) == pytest.approx((0.02, 0.02 - 4.303 * 0.01 / 3**0.5, 0.02 + 4.303 * 0.01 / 3**0.5))
    with pytest.raises(UserError, match="no interval"):
        interval([0.1])


def test_pairs_differ_in_nothing_but_what_was_made() -> None:
    real = (torch.arange(20.0)[:, None], torch.arange(20) % 2)
    made = (100 + torch.arange(30.0)[:, None], torch.arange(30) % 2)
    with_made = mixed_batches(real, made, seed=3, share=0.25, change=lambda x: x)(7)
    assert int((with_made.x >= 100).sum()) == 32
    alone = mixed_batches(real, None, seed=3, share=0.25, change=lambda x: x)(7)
    assert len(alone) == len(with_made) == 128
    assert float(alone.x.max()) < 100
    again = mixed_batches(real, made, seed=3, share=0.25, change=lambda x: x)(7)
    assert torch.equal(again.x, with_made.x)


def test_subsets_hold_so_many_of_each_class() -> None:
    y = torch.cat([torch.arange(100) % 3, torch.full((50,), -1)])
    rows = labelled_subset(y, 4, 0)
    assert y[rows].bincount().tolist() == [4, 4, 4]
    assert rows.tolist() != labelled_subset(y, 4, 1).tolist()
    with pytest.raises(UserError, match="ask for fewer"):
        labelled_subset(y, 34, 0)


def test_classical_augmentation_moves_pictures_a_little() -> None:
    change, _ = classical(Image(15, 15))
    x = torch.zeros(50, 1, 15, 15)
    x[:, :, 5:10, 5:10] = 1
    with noise.source(Noise(0)):
        moved = change(x)
    assert moved.shape == x.shape
    assert 0.7 < float(moved.sum() / x.sum()) < 1.3
    assert (moved.flatten(1) - x.flatten(1)).abs().sum(1).min() > 0.05
    line = torch.linspace(-1, 1, 15)
    middle = torch.stack([(moved * line[:, None]).sum((1, 2, 3)), (moved * line).sum((1, 2, 3))])
    assert float((middle / moved.sum((1, 2, 3))).abs().max()) <= 2 * 0.07 * 1.12 + 0.02
    plain, _ = classical(Vector(3))
    assert torch.equal(plain(x), x)


@pytest.mark.parametrize("name", ["vector", "image"])
def test_worth_says_what_it_did(do, runs: dict[str, Run], name: str) -> None:
    code, out, err = do("worth", runs[name].path, "--each", "5", "--seeds", "2", "--steps", "20", "-n", "20", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["protocol"]["repetitions"] == 2
    assert said["verdict"].split(":")[0] in ("helps", "harms", "cannot tell")
    assert said["interval"][0] <= said["gain"] <= said["interval"][1]
