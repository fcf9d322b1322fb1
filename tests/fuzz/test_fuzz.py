"""A sample of the fuzz test, and what makes its verdicts trustworthy.

All cases: `python -m tests.fuzz.run --long`; one: `... --case CALL ARGUMENT VALUE`.
"""

import inspect

import pytest

import keras_distill
from keras_distill import (
    architectures,
    cache,
    compression,
    datasets,
    losses,
    recipes,
    schemes,
    sensors,
    tflite,
    visualization,
)
from tests.fuzz import cases, damage, judge, rules, run, workers
from tests.fuzz.calls import CALLS
from tests.fuzz.cases import Call, Case, sample, try_case

SEED, EACH = 11, 1
# Calls that convert, train or measure for seconds: the long run has them.
SLOW = 25
# Public names that take nothing from a user, and those that are tried under another name.
LEFT_OUT = {
    "Board": "a record of the library's own table",
    "Chain": "a result",
    "Comparison": "a result",
    "CompressionSummary": "a result",
    "Entry": "a result",
    "Finding": "a result",
    "CachedBatch": "what a cache gives to a distiller",
    "KernelSummary": "a result",
    "LayerSensitivity": "a result",
    "LossContext": "what a distiller gives to a loss",
    "Recipe": "a result",
    "Report": "a result",
    "Sensitivity": "a result",
    "Scheme": "a result",
    "Sensor": "a base class",
    "TensorInfo": "a part of a TFLiteModel",
    "Verification": "a result",
    "require": "takes nothing",
}
MODULES = {
    "": (keras_distill, keras_distill.__all__),
    "losses.": (losses, losses.__all__),
    "cache.": (cache, cache.__all__),
    "schemes.": (schemes, schemes.__all__),
    "compression.": (compression, compression.__all__),
    "sensors.": (sensors, sensors.__all__),
    "tflite.": (tflite, tflite.__all__),
    "architectures.": (architectures, architectures.names()),
    "recipes.": (recipes, ("get", "names")),
    "datasets.": (datasets, datasets.__all__),
    "visualization.": (
        visualization,
        (
            "AttentionSummaries",
            "DistillationReport",
            "attention_map",
            "attention_maps",
            "calibration_error",
            "plot_agreement",
            "plot_attention",
            "plot_calibration",
            "plot_class_gains",
            "plot_curves",
            "plot_embeddings",
            "plot_gains",
            "plot_confusion",
            "plot_images",
            "plot_losses",
            "png",
        ),
    ),
}


def public_callables():
    for prefix, (module, names) in MODULES.items():
        for name in names:
            made = getattr(module, name)
            if callable(made) and name not in LEFT_OUT:
                yield prefix, name


@pytest.mark.parametrize(("prefix", "name"), public_callables())
def test_each_public_name_has_its_call(prefix, name):
    known = {call.rpartition(".")[2] for call in CALLS} | set(CALLS)
    assert f"{prefix}{name}" in known or name in known


@pytest.mark.parametrize("kind", ["Distiller", "TFLiteModel", "TeacherCache"])
def test_each_method_that_takes_something_has_its_call(kind):
    of_keras = {"build", "call", "compute_loss", "train_step", "test_step", "compute_metrics"}
    of_keras |= {
        "compile_from_config",
        "from_config",
        "build_from_config",
        "load_own_variables",
        "save_own_variables",
    }
    # What the cache itself gave is given back to it; the distiller checks what it passes on.
    of_keras |= {"mask_of", "make_branch"}
    own = vars(getattr(keras_distill, kind)).items()
    methods = {
        name
        for name, method in own
        if not name.startswith("_")
        and name not in of_keras
        and (inspect.isfunction(method) or isinstance(method, classmethod))
        and len(inspect.signature(getattr(method, "__func__", method)).parameters) > 1
    }
    assert {name for name in methods if f"{kind}.{name}" not in CALLS} == set()


def test_a_sample_of_bad_arguments_is_refused_clearly_or_acts(tmp_path):
    tried = []
    for index, call in enumerate(CALLS.values()):
        if call.seconds < SLOW:
            listed = cases.cases_of(call, tmp_path)
            tried += [listed[0], *sample(listed, EACH, SEED + index)]
    verdicts = run.run(tried, tmp_path)
    assert len(verdicts) == len(tried) > 200
    wrong = [
        f"{verdict.kind}: {case}: {verdict.text}"
        for case, verdict in verdicts
        if verdict.kind in ("silent", "crash", "hang", "obscure")
    ]
    assert not wrong, "\n".join(wrong)


def takes_a_number(value):
    if value is None:
        raise ValueError("something is wrong")
    if isinstance(value, str):
        raise ValueError(f"value must be a number. Received: value={value!r}")
    return 1 / value


def known_call():
    return Call(
        "takes_a_number",
        lambda place: (takes_a_number, {"value": 1.0}),
        {"value": rules.number(low=0)},
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [("half", "works"), ("minus_one", "silent"), ("none", "obscure"), ("zero", "obscure")],
)
def test_the_verdict_says_what_came_of_a_call(tmp_path, value, kind):
    verdict = try_case(known_call(), Case("takes_a_number", "value", value), tmp_path)
    assert verdict.kind == kind


def test_an_error_is_clear_if_it_is_raised_by_us_and_names_the_argument(tmp_path, monkeypatch):
    case = Case("takes_a_number", "value", "unknown_str")
    assert try_case(known_call(), case, tmp_path).kind == "obscure"
    monkeypatch.setattr(judge, "OURS", judge.pathlib.Path(__file__).parent)
    assert try_case(known_call(), case, tmp_path).kind == "clear"


def test_a_call_that_does_not_end_is_a_hang(tmp_path):
    def forever(value):
        while True:
            pass

    call = Call("forever", lambda place: (forever, {"value": 1}), seconds=1)
    assert try_case(call, Case("forever", "value", "none"), tmp_path).kind == "hang"


def test_a_harmed_file_of_the_users_is_silent_whatever_is_said(tmp_path):
    def delete(value):
        value.unlink()
        raise ValueError("value was deleted")

    call = Call("delete", lambda place: (delete, {"value": None}), {"value": rules.ANYTHING})
    verdict = try_case(call, Case("delete", "value", "text_path"), tmp_path)
    assert verdict.kind == "silent"


def test_a_process_that_dies_is_a_crash_and_the_rest_is_tried(tmp_path, monkeypatch):
    # A worker that can't even begin, as one that was killed: each case is a crash.
    monkeypatch.setattr(workers, "_COMMAND", ["/bin/sh", "-c", "kill -9 $$"])
    tried = [Case("architectures.names", "valid", "valid")] * 2
    verdicts = run.run(tried, tmp_path)
    assert [verdict.kind for _, verdict in verdicts] == ["crash", "crash"]


@pytest.mark.parametrize("name", damage.names(2))
def test_a_damage_changes_the_file_and_can_be_replayed(tmp_path, name):
    found = []
    for copy in ("a", "b"):
        path = tmp_path / copy
        path.write_bytes(bytes(range(256)) * 3)
        damage.damage(path, name)
        found.append(path.read_bytes() if path.is_file() else path.exists())
    assert found[0] == found[1] != bytes(range(256)) * 3
