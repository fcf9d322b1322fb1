"""What the benchmark of methods says of its rows, and how it counts them."""

import pathlib
import sys

import pytest

from keras_distill import losses

BENCHMARKS = pathlib.Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def path_of_benchmarks():
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def holds(method, way, share=0.5):
    from method_arms import MethodArm

    return MethodArm(method, way, 240, share).holds()


def test_rows_say_what_they_hold():
    assert holds("kd", "published") == "0.1 labels + 0.9 soft targets (T 4.0)"
    assert "soft targets (T 4.0)" in holds("amad", "published")
    tinybert = "1 tinybert + 1 hidden states"
    assert holds("tinybert", "published") == f"{tinybert} + 1 soft targets (T 1.0)"
    soft = holds("tinybert", "+ soft targets")
    assert soft == f"0.1 labels + 0.9 soft targets (T 4.0) + {tinybert}"
    assert holds("at", "published") == "1 labels + 1000 at"
    assert "instance_weight 6.75" in holds("mlkd", "published")
    assert holds("sp", "balanced") == "1 labels + balanced to 0.5 sp"
    assert holds("hidden_states", "balanced", 0.3) == "1 labels + balanced to 0.3 hidden states"
    at_kd = "1 labels + balanced to 0.5 at + balanced to 0.5 soft targets (T 4.0)"
    assert holds("at_kd", "balanced") == at_kd


def test_a_warm_up_takes_a_twelfth_of_the_updates():
    from method_arms import MethodArm

    weight = MethodArm("reviewkd", "published", 2_400).settings({})["distillation_loss_weights"][0]
    assert [float(weight(step)) for step in (0, 100, 200, 2_400)] == [0.0, 2.5, 5.0, 5.0]


def test_every_recipe_runs_in_some_task():
    from method_arms import methods_of

    from keras_distill import recipes

    assert set(recipes.names()) < {*methods_of("digits"), *methods_of("sst2-heads")}


def test_arms_are_the_chosen_methods_in_the_chosen_ways():
    import methods
    from gain_tasks import Task, Training

    task = Task("digits", "Digits", [], None, Training(240, 0.1))
    both = [*methods.arms_of(task, ["sp", "kd"], None, [0.5])]
    assert both == ["alone", "sp balanced", "kd balanced", "sp published", "kd published"]
    # Soft targets aren't added to soft targets.
    added = [*methods.arms_of(task, ["sp", "kd"], ["+ soft targets", "balanced"], [0.3])]
    assert added == ["alone", "sp balanced 0.3", "kd balanced 0.3", "sp + soft targets"]
    arm = methods.arms_of(task, ["sp"], ["balanced"], [0.3])["sp balanced 0.3"]
    assert arm.settings({})["distillation_loss_weights"] == [losses.Balanced(0.3)]
    with pytest.raises(ValueError, match="no methods of this task: minilm"):
        methods.arms_of(task, ["minilm"], None, [1.0])


def test_the_page_counts_what_gains_and_what_loses():
    from method_tables import page

    gains = {
        ("alone", 0): 0.0,
        ("alone", 1): 0.0,
        ("sp balanced", 0): 1.0,
        ("sp balanced", 1): 3.0,
        ("sp published", 0): -1.0,
        ("sp published", 1): -3.0,
        ("at balanced", 0): 1.0,
        ("at balanced", 1): -2.0,
    }
    lines = {
        ("digits", arm, seed): {
            "arm": arm,
            "seed": seed,
            "test": 90.0 + gain,
            "teacher": {"test": 99.0},
            "holds": "1 labels + 3000 sp",
            "training": "Few updates.",
            "title": "Digits",
        }
        for (arm, seed), gain in gains.items()
    }
    text = page(lines, ["rows", "digits"], "test")
    assert "| digits | published | 1 | -2.0 | 0 | 1: sp |" in text
    # Within one standard error of the student alone, at is below it by 0.5 ± 1.5.
    assert "| digits | balanced | 2 | +0.8 | 1 | 0 |" in text
    assert "| sp | -2.0 ± 1.0 | +2.0 ± 1.0 | 1 labels + 3000 sp |" in text
    assert "| at |  | -0.5 ± 1.5 |  |" in text


def test_refusals_for_devices_are_clear_if_they_name_a_layer_and_a_way_out():
    import keras
    from device_zoo import names_layer_and_way_out

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="scores")])
    assert names_layer_and_way_out(model, "can't run it (at 'scores_1'). Use another layer")
    assert not names_layer_and_way_out(model, "can't run it. Use another layer")
    assert not names_layer_and_way_out(model, "can't run scores")


def test_models_of_devices_are_built_and_their_targets_are_of_their_shape():
    from device_models import MODELS
    from device_zoo import samples_of, targets_of

    assert len(MODELS) > 120
    for name in ("two outputs", "tokens and numbers", "U-Net"):
        model = MODELS[name]()
        arrays = samples_of(model, 4, 0)
        assert [a.shape[1:] for a in arrays] == [t.shape[1:] for t in model.inputs]
        targets = targets_of(model, arrays)
        assert [a.shape[1:] for a in targets] == [t.shape[1:] for t in model.outputs]
