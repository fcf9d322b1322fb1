"""Search spaces: what they may hold, and that exploring one finds all of its losses."""

import keras
import pytest

from keras_distill import losses, recipes
from keras_distill.tuning.settings import checked_settings, complexity, settings_of
from keras_distill.tuning.space import DefaultSpace, default_space, explore, space_of


def nested(hp):
    """A space in which a layer is chosen only beside attention transfer."""
    chosen, weights = [losses.SoftTargets(hp.Float("T", 1.0, 8.0))], [1.0]
    if hp.Boolean("attention"):
        with hp.conditional_scope("attention", [True]):
            layer = hp.Choice("layer", ["stage1", "stage2"])
        chosen.append(losses.AttentionTransfer(layer, layer))
        weights.append(hp.Int("weight", 1, 3))
    return {"distillation_losses": chosen, "distillation_loss_weights": weights}


def test_exploring_finds_every_loss_and_hyperparameter():
    known, examples = explore(nested)
    assert sorted(each.name for each in known.space) == ["T", "attention", "layer", "weight"]
    tapped = {
        loss.teacher_layer_name
        for _, settings in examples
        for loss in settings["distillation_losses"]
    }
    assert tapped == {None, "stage1", "stage2"}


def test_exploring_many_combinations_tries_each_value():
    def wide(hp):
        layers = [hp.Int(f"layer{index}", 0, 30) for index in range(4)]
        return {"distillation_losses": [losses.AttentionTransfer(f"t{n}", "s") for n in layers]}

    _, examples = explore(wide)
    for index in range(4):
        assert {values[f"layer{index}"] for values, _ in examples} == set(range(31))


def test_settings_are_made_again_of_their_values():
    values = {"T": 2.5, "attention": True, "layer": "stage2", "weight": 3}
    settings = settings_of(nested, values)
    assert settings["distillation_losses"][0].temperature == 2.5
    assert settings["distillation_losses"][1].student_layer_name == "stage2"
    assert settings["distillation_loss_weights"] == [1.0, 3]


def test_candidates_are_recipes_and_settings_and_come_one_by_one():
    space, is_list = space_of(["kd", recipes.get("dist"), {"distillation_losses": "logits"}])
    assert is_list
    _, examples = explore(space)
    assert [values["candidate"] for values, _ in examples] == ["kd", "dist", "candidate 2"]
    assert examples[0][1]["student_loss_weight"] == 0.1
    assert isinstance(examples[2][1]["distillation_losses"][0], losses.LogitMatching)


def test_each_setting_has_losses_of_its_own():
    loss = losses.SoftTargets()
    space, _ = space_of({"a": {"distillation_losses": [loss]}})
    made = [settings_of(space, {"candidate": "a"})["distillation_losses"][0] for _ in range(2)]
    assert made[0] is not made[1]
    assert loss not in made


def test_the_default_space_has_what_suits_the_models(make_cnn):
    teacher, student = make_cnn(8), make_cnn(2)
    space = default_space(teacher, student, lambda settings: True)
    known, examples = explore(space)
    names = {each.name for each in known.space}
    assert names == {
        "loss", "temperature", "weight", "share", "balanced",
        "attention", "attention_weight", "attention_share", "attention_layers",
    }  # fmt: skip
    assert {values["loss"] for values, _ in examples} == {"kd", "kd_standardized", "dist", "logits"}
    assert all("temperature" not in v for v, _ in examples if v["loss"] == "logits")
    assert {values.get("attention_layers") for values, _ in examples} == {
        None, "all", "stage1", "stage2",
    }  # fmt: skip


def test_without_features_over_space_there_is_no_attention_transfer():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    space = default_space(model, keras.models.clone_model(model), lambda settings: True)
    assert "attention" not in {each.name for each in explore(space)[0].space}


def test_losses_that_do_not_suit_are_left_out():
    def suits(settings):
        return isinstance(settings["distillation_losses"][0], losses.LogitMatching)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    space = default_space(model, keras.models.clone_model(model), suits)
    assert {values["loss"] for values, _ in explore(space)[1]} == {"logits"}
    with pytest.raises(ValueError, match="No response loss suits"):
        default_space(model, keras.models.clone_model(model), lambda settings: False)


def test_fewer_losses_and_smaller_weights_are_simpler():
    space = DefaultSpace(["kd"], (["t"], ["s"]))
    values = [
        {"loss": "kd", "temperature": 4.0, "weight": 1.0, "balanced": False, "attention": False},
        {"loss": "kd", "temperature": 4.0, "share": 9.0, "balanced": True, "attention": False},
        {"loss": "kd", "weight": 1.0, "attention": True, "attention_weight": 10.0},
    ]
    found = [complexity(settings_of(space, each)) for each in values]
    assert found == [(1, 1.0), (1, 9.0), (2, 11.0)]


@pytest.mark.parametrize(
    ("space", "error", "message"),
    [
        (3, TypeError, "space must be a function"),
        (lambda: {}, TypeError, "space must be a function"),
        ([], ValueError, "at least one candidate"),
        ({1: "kd"}, ValueError, "must be names"),
        (["kd", "kd"], ValueError, "has 'kd' twice"),
        (["kdd"], ValueError, "Unknown recipe 'kdd'"),
        ({"a": 5}, TypeError, "must be a dictionary with arguments of the Distiller"),
        ({"a": {"distillation_losses": "kd", "optimizer": "sgd"}}, ValueError, "has 'optimizer'"),
        ({"a": {"distillation_loss": "kd"}}, ValueError, "Closest: 'distillation_losses'"),
        ({"a": {"distillation_losses": []}}, ValueError, "must have distillation_losses"),
    ],
)
def test_other_spaces_are_refused(space, error, message):
    with pytest.raises(error, match=message):
        space_of(space)


def test_what_a_function_returns_is_checked():
    with pytest.raises(TypeError, match="What space returns must be a dictionary"):
        explore(lambda hp: ["kd"])
    with pytest.raises(ValueError, match="What space returns must have distillation_losses"):
        checked_settings({"student_loss_weight": 0.5}, "What space returns")
