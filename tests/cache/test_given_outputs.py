"""A cache of outputs that somebody already has teaches what the teacher that gave them does."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_distill import AttentionTransfer, FeatureModel, TeacherCache, losses
from keras_distill.cache import given_outputs
from keras_distill.cache.given_outputs import GivenOutputs
from tests.cache.conftest import COUNT, LOSSES, make_data, make_teacher
from tests.cache.test_teacher_cache import assert_same, batched, trained


def softmax_ended(model):
    return keras.Model(model.inputs, keras.layers.Softmax()(model.outputs[0]))


@functools.cache
def predicted():
    """What `predict` gives of the teacher: logits and the features that the losses tap."""
    teacher, (x, _) = make_teacher(), make_data()
    features = FeatureModel(teacher, ["stage1_out"]).predict(x, verbose=0)
    return {"output": teacher.predict(x, verbose=0), **features}


@pytest.fixture
def outputs():
    return dict(predicted())


@pytest.fixture
def keep(tmp_path, data, outputs):
    """Makes a cache of the outputs; arguments replace the usual ones."""

    def keep(**arguments):
        usual = {
            "directory": tmp_path / "given",
            "dataset": data,
            "outputs": outputs,
            "dtype": "float32",
            "batch_size": 8,
            "shard_size": 16,
            "verbose": 0,
        }
        return TeacherCache.from_outputs(**{**usual, **arguments})

    return keep


def in_files(outputs, folder):
    """Returns the paths of `.npy` files of the outputs."""
    for name, array in outputs.items():
        np.save(folder / f"{name}.npy", array)
    return {name: folder / f"{name}.npy" for name in outputs}


def test_the_student_is_that_of_a_built_cache_and_of_the_live_teacher(
    keep, build, teacher, student, data, outputs, tmp_path
):
    chosen = [*LOSSES, losses.HintLearning("stage1_out", "stage1_out")]
    live, _ = trained(teacher, student, batched(data, 16), chosen, run_eagerly=True)
    given = keep(outputs=in_files(outputs, tmp_path))
    for cache in (given, build(distillation_losses=chosen)):
        joined = cache.join(batched(data, 16))
        assert_same(trained(cache, student, joined, chosen, run_eagerly=True)[0], live, 1e-6)


def test_arrays_and_files_and_a_bare_output_make_the_same_files(keep, outputs, tmp_path):
    kept = [
        keep(directory=tmp_path / str(number), outputs=each)
        for number, each in enumerate(
            (outputs, in_files(outputs, tmp_path), {k: tf.constant(v) for k, v in outputs.items()})
        )
    ]
    files = [[file.read_bytes() for file in sorted(c.directory.glob("*.tfrecord"))] for c in kept]
    assert files[0] == files[1] == files[2] and len(files[0]) == 4
    alone = keep(directory=tmp_path / "alone", outputs=outputs["output"])
    assert [target.name for target in alone.targets] == ["output 0"]
    of_function = keep(directory=tmp_path / "logits", outputs={"logits": outputs["output"]})
    assert of_function.targets == alone.targets
    both = keep(directory=tmp_path / "both", outputs={**outputs, "logits": outputs["output"]})
    assert sorted(target.name for target in both.targets) == ["logits", "output 0", "stage1_out"]


def test_a_call_that_was_stopped_goes_on_and_ends_in_the_same_bytes(
    keep, outputs, tmp_path, monkeypatch
):
    whole = keep(directory=tmp_path / "whole")
    rows = GivenOutputs.rows

    def stopped(self, start, inputs):
        if start >= 24:
            raise KeyboardInterrupt
        return rows(self, start, inputs)

    monkeypatch.setattr(GivenOutputs, "rows", stopped)
    with pytest.raises(KeyboardInterrupt):
        keep()
    assert len(list((tmp_path / "given").glob("*.tfrecord"))) == 1
    with pytest.raises(ValueError, match="isn't finished"):
        TeacherCache(tmp_path / "given")
    monkeypatch.undo()
    goes_on = keep()
    for file in whole.directory.glob("*.tfrecord"):
        assert file.read_bytes() == (goes_on.directory / file.name).read_bytes()


def test_files_are_mapped_and_read_in_pieces(outputs, data, tmp_path, monkeypatch):
    monkeypatch.setattr(given_outputs, "_CHUNK_BYTES", 4096)
    spec = GivenOutputs(data, in_files(outputs, tmp_path), None, 32, "float32", None, None)
    for array in spec._arrays:
        assert isinstance(array.values.base, np.memmap)
        pieces = [len(rows) for _, rows in array.chunks()]
        assert sum(pieces) == COUNT
    assert len(pieces) > 5


@pytest.mark.parametrize("from_logits", ["auto", False])
def test_probabilities_teach_what_a_teacher_that_ends_in_softmax_does(
    keep, teacher, student, data, from_logits
):
    teacher, student = softmax_ended(teacher), softmax_ended(student)
    loss = losses.SoftTargets(2.0, from_logits=from_logits)
    live, _ = trained(teacher, student, batched(data, 16), loss, run_eagerly=True)
    probabilities = {"output": teacher.predict(data[0], verbose=0)}
    cache = keep(outputs=probabilities, output_activation="softmax", dtype="float16")
    joined = cache.join(batched(data, 16))
    assert_same(trained(cache, student, joined, loss, run_eagerly=True)[0], live, 1e-6)


def test_a_built_cache_of_whole_probabilities_serves_soft_targets_too(
    build, teacher, student, data
):
    teacher = softmax_ended(teacher)
    whole = losses.RelationalKD().with_layers(None, None)
    cache = build(teacher=teacher, distillation_losses=whole)
    live, _ = trained(teacher, student, batched(data, 16), "kd", run_eagerly=True)
    joined = cache.join(batched(data, 16))
    assert_same(trained(cache, student, joined, "kd", run_eagerly=True)[0], live, 1e-6)


def test_the_largest_logits_are_those_of_logits_and_of_probabilities(keep, outputs, data, tmp_path):
    logits = outputs["output"]
    probabilities = np.array(keras.ops.softmax(logits))
    order = np.argsort(-logits[:32])[:, :2]
    for values, activation in ((logits, None), (probabilities, "softmax")):
        folder = tmp_path / f"cut_{activation}"
        cache = keep(directory=folder, outputs=values, output_activation=activation, top_k=2)
        batch, _ = next(iter(cache.join(data, shuffle=False)))
        np.testing.assert_array_equal(batch.targets["output 0 (logits) classes"], order)
        (target,) = cache.targets
        kept = keras.ops.softmax(target.unpack(batch.targets))
        largest = np.take_along_axis(probabilities[:32], order, 1)
        np.testing.assert_allclose(np.take_along_axis(np.array(kept), order, 1), largest, rtol=1e-4)


def test_several_outputs_and_their_activations(keep, data):
    rng = np.random.default_rng(0)
    several = {"boxes": rng.normal(size=(COUNT, 4)), "kind": rng.dirichlet(np.ones(3), COUNT)}
    cache = keep(outputs={"output": several}, output_activation=["linear", "softmax"])
    assert cache.outputs == {"boxes": 0, "kind": 1}
    assert cache.output_activation(None) == ["linear", "softmax"]
    batch, _ = next(iter(cache.join(data, shuffle=False, batch_size=4)))
    np.testing.assert_allclose(batch.targets["output 1"], several["kind"][:4], rtol=1e-6)


def test_the_same_call_opens_it_and_other_outputs_are_refused(keep, outputs, data):
    cache = keep()
    before = {file.name: file.stat().st_mtime_ns for file in cache.directory.iterdir()}
    assert keep().targets == cache.targets
    changed = {**outputs, "output": outputs["output"] + 1e-3}
    with pytest.raises(ValueError, match=r"is of something else\. outputs: \w{8}… there, \w{8}…"):
        keep(outputs=changed)
    with pytest.raises(ValueError, match="is of something else"):
        keep(dataset=(data[0] + 1, data[1]))
    assert before == {file.name: file.stat().st_mtime_ns for file in cache.directory.iterdir()}


def test_a_build_refuses_its_folder_and_it_that_of_a_build(keep, build, tmp_path):
    keep()
    with pytest.raises(ValueError, match="is of something else"):
        build(directory=tmp_path / "given")
    cache = build()
    with pytest.raises(ValueError, match="is of something else"):
        keep(directory=cache.directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: {**o, "stage1_out": o["stage1_out"][:40]}, r"'stage1_out'\] of 40 rows"),
        (lambda o: {k: v[:40] for k, v in o.items()}, "of 40 rows, dataset of 50 samples"),
        (lambda o: {**o, "output": o["output"][:, 0]}, r"'output'\] must have a row per sample"),
        (lambda o: {**o, "output": np.where(o["output"] > 9e9, 0, np.nan)}, "first in row 0"),
        (lambda o: {**o, "output": 1e6 * np.ones((COUNT, 4))}, "infinity in float16"),
        (lambda o: {"output": np.full((COUNT, 4), 0.25)}, "look like probabilities"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_and_nothing_is_written(
    keep, outputs, tmp_path, change, message
):
    with pytest.raises(ValueError, match=message):
        keep(outputs=change(outputs), dtype="float16")
    assert not (tmp_path / "given").exists()


@pytest.mark.parametrize("rows", [40, 56])
def test_a_number_of_rows_that_only_reading_tells_leaves_nothing_behind(
    keep, outputs, data, tmp_path, rows
):
    resized = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in outputs.items()}
    with pytest.raises(ValueError, match=f"outputs of {rows} rows, dataset of"):
        keep(outputs=resized, dataset=batched(data))
    assert not (tmp_path / "given").exists()
    (tmp_path / "given").mkdir()
    with pytest.raises(ValueError, match=f"outputs of {rows} rows, dataset of"):
        keep(outputs=resized, dataset=batched(data))
    assert not list((tmp_path / "given").iterdir())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"outputs": {}}, TypeError, "outputs must be a dictionary"),
        ({"outputs": {1: np.ones((COUNT, 2))}}, TypeError, "outputs must be a dictionary"),
        ({"outputs": {"output": []}}, TypeError, r"'output'\] must be an array"),
        ({"outputs": {"output": 3}}, TypeError, r"'output'\] must be an array"),
        ({"outputs": {"a": np.array([["x"]] * COUNT)}}, TypeError, r"'a'\] must be an array of n"),
        ({"outputs": {"a": "missing.npy"}}, FileNotFoundError, r"outputs\['a'\].*missing.npy"),
        ({"output_activation": "relu"}, ValueError, "output_activation must be one of"),
        ({"output_activation": "softmax"}, ValueError, "rows sum to 1.*Received: output_acti"),
        ({"output_activation": "sigmoid"}, ValueError, "from 0 to 1.*Received: output_activ"),
        ({"output_activation": ["linear"] * 2}, ValueError, "a list of one per output"),
        ({"top_k": 9}, ValueError, "top_k must be at least 1 and below"),
        ({"outputs": {"a": np.ones((COUNT, 2))}, "top_k": 1}, ValueError, "top_k keeps"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of"),
    ],
)
def test_wrong_arguments_are_refused_by_name(keep, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        keep(**arguments)
    assert not (tmp_path / "given").exists()


def test_a_file_that_is_no_array_is_refused_by_name(keep, tmp_path):
    np.savez(tmp_path / "several.npz", a=np.ones(3))
    (tmp_path / "text.npy").write_text("logits")
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    for name, message in (
        ("several.npz", "archive of several"),
        ("text.npy", "can't be read as a .npy file"),
        ("objects.npy", "can't be read as a .npy file"),
    ):
        with pytest.raises(ValueError, match=rf"outputs\['output'\].*{message}.*{name}"):
            keep(outputs={"output": tmp_path / name})


def test_a_loss_that_it_does_not_serve_says_what_it_holds(keep, student):
    cache = keep()
    for chosen, message in (
        (AttentionTransfer("stage2_out", "stage1_out"), "It holds .*'stage1_out'"),
        ("at", "name the layers with teacher_layer_name"),
        ("simkd", "builds with the teacher's layers"),
    ):
        with pytest.raises(ValueError, match=message):
            trained(cache, student, None, chosen)


def test_a_folder_with_other_files_is_left_as_it_is(keep, tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "mine.tfrecord").write_bytes(b"years of work")
    with pytest.raises((ValueError, FileNotFoundError)):
        keep()
    assert [file.name for file in folder.iterdir()] == ["mine.tfrecord"]
