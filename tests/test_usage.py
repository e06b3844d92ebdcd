"""Usage: words that people try, options and help pages, errors for people and for programs, short names of settings."""

import inspect
import json
import re
import shlex
import subprocess
import sys

import pytest

from morphogen.errors import UserError
from morphogen.plan import Plan
from morphogen.recipe import find
from morphogen.shorthand import ALWAYS, TRAINING, spelled_out
from morphogen.synonyms import SYNONYMS, suggestion
from morphogen.tasks.task import tasks
from morphogen.usage import parser, placed, positional


@pytest.fixture
def home(tmp_path):
    return tmp_path


TRIED = {"generate": "sample", "inpaint": "restore", "denoise": "restore", "upscale": "restore", "anomaly": "detect",
         "outliers": "detect", "eval": "evaluate", "test": "evaluate", "predict": "classify", "doctor": "checks",
         "list": "runs", "diff": "compare", "rm": "prune"}  # fmt: skip


@pytest.mark.parametrize(("tried", "ours"), TRIED.items())
def test_the_words_of_others_are_answered_with_ours(do, tried, ours):
    code, out, err = do(tried)
    assert (code, out) == (2, "")
    assert err == f"morphogen: there is no command {tried!r}; did you mean {ours!r}?\n"


def test_a_synonym_stands_for_one_command_that_exists():
    said = [word for words in SYNONYMS.values() for word in words]
    assert len(said) == len(set(said))
    assert not set(said) & set(tasks())
    assert set(SYNONYMS) == set(tasks()) - {"directions", "direction"}


def test_a_strange_word_gets_one_short_line():
    assert suggestion("frobnicate", tasks()) == "see `morphogen --help`"
    assert suggestion("smaple", tasks()) == "did you mean 'sample'?"


@pytest.mark.parametrize("name", tasks())
def test_every_command_has_two_examples_that_can_be_typed(name):
    task = tasks()[name]
    assert len(task.examples) == 2
    for line in task.examples:
        words = shlex.split(line)
        assert words[:2] == ["morphogen", name]
        given, rest = parser(task).parse_known_args(words[2:])
        said = placed(task, positional(task, rest))
        said |= {k: v for k, v in vars(given).items() if v is not None}
        own = {a.name for a in task.arguments}
        task.read({k: v for k, v in said.items() if k in own})


@pytest.mark.parametrize("name", tasks())
def test_a_help_page_explains_every_option_and_groups_those_of_data(do, name):
    code, out, _ = do(name, "--help")
    assert code == 0
    task = tasks()[name]
    assert all(a.help for a in task.arguments), [a.name for a in task.arguments if not a.help]
    assert "examples:\n  morphogen " in out
    if any(a.name == "binary" for a in task.arguments):
        assert out.index("data options:") < out.index("--binary", out.index("data options:"))
        assert not re.search(r"^  --binary", out[: out.index("data options:")], re.MULTILINE)


def test_errors_name_the_program_once(do):
    for words in (["sample", "--frob"], ["sample"], ["recipes", "a", "b", "c"], ["train", "vae", "--steps", "5"]):
        _, _, err = do(*words)
        assert err.startswith("morphogen: ")
        assert not err.startswith("morphogen: morphogen")
        assert err.count("\n") == 1


def test_a_flag_that_is_a_setting_or_a_word_is_told_so(do):
    assert "settings go without dashes: steps=5" in do("train", "vae", "digits", "--steps", "5")[2]
    assert "settings go without dashes: lr=0.1" in do("train", "vae", "digits", "--lr=0.1")[2]
    assert "DATA goes without a flag" in do("train", "vae", "--data", "digits")[2]


def test_under_json_an_error_is_one_object_on_standard_output(do):
    for words, code, kind in (
        (["show", "nowhere"], 2, "usage"),
        (["frob"], 2, "usage"),
        (["sample", "x", "--frob"], 2, "usage"),
    ):
        got, out, err = do(*words, "--json")
        said = json.loads(out)
        assert (got, said["error"]["exit_code"], said["error"]["kind"], said["schema"]) == (code, code, kind, 1)
        assert err == f"morphogen: {said['error']['message']}\n"


# Short names ----------------------------------------------------------------------------------------------------


def test_the_table_of_training_is_what_a_plan_takes():
    assert sorted(TRAINING) == sorted(inspect.signature(Plan).parameters)


def test_short_names_stand_for_long_ones():
    said = spelled_out(
        find("vae"), ["steps=5", "batch=64", "lr=1e-3", "latent=8", "limit=9", "seed=1", "model.net=conv"]
    )
    assert said == ["train.steps=5", "train.batch=64", "train.lr=1e-3", "model.latent=8", "data.limit=9", "seed=1",
                    "model.net=conv"]  # fmt: skip


def test_what_training_alone_can_mean_is_never_ambiguous():
    """A gan has steps of its own, of its critic."""
    assert [spelled_out(find("gan"), [f"{name}=5"]) for name in ALWAYS] == [[f"train.{name}=5"] for name in ALWAYS]


def test_a_name_that_two_tables_know_is_refused_with_both():
    with pytest.raises(UserError, match=r"ambiguous: write train\.labelled=8 or model\.labelled=8"):
        spelled_out(find("conditional-vae"), ["labelled=8"])


def test_a_misspelt_short_name_is_answered_with_the_long_one(do):
    assert "did you mean 'model.latent'?" in do("train", "vae", "digits", "latnet=3")[2]


def test_a_mistake_is_told_before_torch_is_loaded():
    words = "import sys, morphogen.cli as c; c.main(sys.argv[1:]); print('torch' in sys.modules)"
    for line in (
        ["train", "vae", "digits", "--steps", "5"],
        ["generate"],
        ["sample", "x", "--sed", "1"],
        ["show", "x"],
    ):
        done = subprocess.run([sys.executable, "-c", words, *line], capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "False", line
