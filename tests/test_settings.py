"""Settings of recipes: listed with type, default and meaning, as a JSON schema that the recipes themselves obey."""

import inspect
import json

import jsonschema
import pytest

import morphogen as mg
from morphogen import recipe
from morphogen.core.build import SHELVES, check, constructor, hints, names, part, plain
from morphogen.core.meanings import SHARED, meaning
from morphogen.data.find import common
from morphogen.errors import UserError
from morphogen.plan import Plan
from morphogen.settings import recipe_schema, recipe_settings

PARTS = [(shelf, name) for shelf in SHELVES if shelf != "metrics" for name in names(shelf)]


@pytest.fixture
def home(tmp_path):
    return tmp_path


@pytest.mark.parametrize(("shelf", "name"), PARTS)
def test_every_setting_of_every_part_has_a_meaning(shelf, name):
    make = constructor(shelf, name)
    assert [word for word in hints(make) if not meaning(make, word)] == []


def test_every_meaning_is_of_a_setting():
    """A setting that goes takes its line with it."""
    taken = {word for shelf, name in PARTS for word in hints(constructor(shelf, name))}
    assert set(SHARED) <= taken
    for shelf, name in PARTS:
        lines = (inspect.getdoc(constructor(shelf, name)) or "").partition("\n\n")[2].splitlines()
        told = {line.partition(": ")[0] for line in lines if line.partition(": ")[0].isidentifier()}
        assert told <= set(hints(constructor(shelf, name))), (shelf, name)


@pytest.mark.parametrize("make", [Plan, common])
def test_training_and_data_have_meanings_too(make):
    assert [word for word in hints(make) if not meaning(make, word)] == []


@pytest.mark.parametrize("name", recipe.names())
def test_a_recipe_obeys_its_own_schema(name):
    schema = recipe_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    tree = recipe.find(name)
    jsonschema.validate(tree, schema)
    whole = tree | {"model": part("models", tree["model"]).spec, "train": Plan.complete(tree.get("train", {}))}
    jsonschema.validate(whole, schema)


@pytest.mark.parametrize(
    "wrong", ["model.latent='many'", "model.latent=0", "train.batch=1.5", "train.setps=3", "precision='float8'",
              "model.net.widths=[0]", "data.limit=0", "lr=3"]
)  # fmt: skip
def test_what_is_refused_the_schema_refuses_too(wrong):
    tree = recipe.find("vae")
    if wrong.startswith("lr"):
        tree["lr"] = 3
    else:
        tree = recipe.change(tree, [wrong])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, recipe_schema("vae"))


@pytest.mark.parametrize("name", ["vae", "gan", "ladder", "m1-m2", "tabular", "restorer"])
def test_every_setting_that_is_listed_can_be_set_to_its_default(name):
    """The rows are the resolved tree: set one by one, they give it again."""
    rows = [row for row in recipe_settings(name) if row["setting"].startswith("model.") and row["default"] is not None]
    inner = {row["setting"].rpartition(".")[0] for row in rows}  # a part's name alone would reset all below it
    before = part("models", recipe.find(name)["model"]).spec
    for row in rows:
        if row["setting"] not in inner and not isinstance(row["default"], list):
            word = f"{row['setting']}={recipe.to_toml({'x': row['default']}).removeprefix('x = ')}"
            assert part("models", recipe.change({"model": before}, [word])["model"]).spec == before, word


def test_rows_have_types_defaults_and_meanings():
    rows = {row["setting"]: row for row in recipe_settings("vae", "digits")}
    assert rows["model.latent"] == {
        "setting": "model.latent", "type": "integer > 0", "default": 32, "meaning": "dimensions of the latent code"
    }  # fmt: skip
    assert rows["model.net.widths"]["type"] == "list of integer > 0"
    assert rows["model.terms.1.weight"]["type"] == "number or schedule"
    assert rows["train.batch"]["default"] == 32
    assert rows["data.valid"]["default"] == 0.1
    assert rows["seed"]["default"] == 0
    assert all(row["meaning"] for row in rows.values())


def test_the_command_and_python_say_the_same(do):
    code, out, _ = do("recipes", "vae", "--json")
    assert code == 0
    schema = json.loads(out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (
        schema == json.loads(json.dumps(recipe_schema("vae"), default=str)) == json.loads(json.dumps(mg.recipes("vae")))
    )
    _, out, _ = do("recipes", "vae", "digits")
    for row in recipe_settings("vae", "digits"):
        assert row["setting"] in out
    assert "model.latent" in repr(mg.recipes("vae"))
    assert mg.recipe_settings("vae") == recipe_settings("vae")
    code, _, err = do("recipes", "vaee")
    assert (code, "'vae'" in err) == (2, True)


def test_a_wrong_value_is_told_with_what_it_may_be():
    with pytest.raises(UserError, match=r"train: track: 'wandb' is unknown; choose tensorboard or trackio"):
        check(Plan, {"track": ["wandb"]}, "train")
    with pytest.raises(UserError, match="latent = 'many' is not valid: it should be a valid integer"):
        part("models", {"use": "vae", "latent": "many"})
    assert plain(part("nets", "mlp")) == {
        "use": "mlp",
        "widths": [512, 512],
        "act": "relu",
        "norm": "none",
        "residual": 0,
    }
