"""Types: what editors and type checkers are told is what the tasks take, and the package's public names are few."""

import importlib.util
from pathlib import Path

import morphogen as mg
from morphogen.tasks.task import tasks

ROOT = Path(__file__).resolve().parent.parent


def stubs():
    place = importlib.util.spec_from_file_location("make_stubs", ROOT / "docs" / "make_stubs.py")
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return module


def test_the_stub_is_what_the_signatures_say():
    made = stubs()
    assert made.STUB.read_text(encoding="utf-8") == made.stub(), "run python docs/make_stubs.py"


def test_the_package_shows_its_public_names_alone():
    assert dir(mg) == sorted(mg.__all__)
    assert set(mg.FREE) < set(mg.__all__)
    for name in mg.__all__:
        assert getattr(mg, name), name
    assert set(mg.FREE) <= {name for name, task in tasks().items() if not task.of_a_run}
