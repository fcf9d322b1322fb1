"""Each scheme that is a Keras model, with losses of each family: trained, saved, gone on, exported.

`distill_chain` and `BornAgain` train one `Distiller` after the other; `test_chain.py` has theirs.
`synthesize` and `sequence_targets` make data, and train nothing; `test_synthesis.py` and
`test_sequences.py` have them. `DataFreeDistiller` takes no data; `test_data_free_distiller.py` has
the same for it.
"""

import keras
import numpy as np
import pytest

from keras_distill import AttentionTransfer, Distiller, SoftTargets
from keras_distill.losses import HintLearning, SimilarityPreserving
from keras_distill.schemes import (
    AdversariallyRobust,
    BeYourOwnTeacher,
    DomainDistiller,
    LearningWithoutForgetting,
    MovingAverageTeacher,
    MutualDistiller,
    OnlineEnsemble,
    ProgressiveSelf,
    TeacherEnsemble,
)
from keras_distill.schemes.catalogue import catalogue
from keras_distill.tflite import export_tflite

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def cnn(channels=3):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(channels, 3, padding="same", activation="relu", name="stage1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(channels + 1, 3, padding="same", name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(name="stage2"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def losses(teacher="stage2", student="stage2"):
    """Soft targets, attention transfer, hints and relations."""
    of_layers = (AttentionTransfer, HintLearning, SimilarityPreserving)
    return [SoftTargets(2.0), *(each(teacher, student) for each in of_layers)]


SCHEMES = {
    "Distiller": lambda: Distiller(cnn(5), cnn(), losses()),
    "TeacherEnsemble": lambda: Distiller(
        TeacherEnsemble([cnn(5), cnn(4)], temperature=2.0), cnn(), losses("1/stage2")
    ),
    "MutualDistiller": lambda: MutualDistiller([cnn(), cnn(4)], losses()),
    "OnlineEnsemble": lambda: OnlineEnsemble([cnn(), cnn(4)], losses("1/stage2"), temperature=2.0),
    "BeYourOwnTeacher": lambda: BeYourOwnTeacher(cnn(), None, losses("stage2", "relu0")),
    "ProgressiveSelf": lambda: ProgressiveSelf(cnn(), 4, distillation_losses=losses()),
    "MovingAverageTeacher": lambda: MovingAverageTeacher(cnn(), 0.5, losses()),
    "DomainDistiller": lambda: DomainDistiller(
        cnn(5), cnn(), losses(), confidence_threshold=0.1, alignment="stage2"
    ),
    "LearningWithoutForgetting": lambda: LearningWithoutForgetting(cnn(), 2, losses()),
    "AdversariallyRobust": lambda: AdversariallyRobust(cnn(5), cnn(), losses(), steps=2),
}


def test_each_scheme_is_here():
    others = {"distill_chain", "BornAgain", "synthesize", "sequence_targets", "DataFreeDistiller"}
    assert {*SCHEMES} == {scheme.name for scheme in catalogue()} - others


@pytest.mark.parametrize("name", SCHEMES)
def test_it_trains_saves_loads_goes_on_and_its_student_exports(name, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 8, 8, 1), "float32"), rng.integers(0, 3, 12)
    model = SCHEMES[name]()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="right")]
    model.compile(keras.optimizers.Adam(0.01), LOSS, metrics, run_eagerly=True)
    settings = {"batch_size": 12, "epochs": 2, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, **settings).history
    of_families = ("soft_targets", "attention_transfer", "hint_learning", "similarity_preserving")
    for family in (*of_families, "right", "student_loss", "distillation_loss"):
        assert any(family in key for key in history)
    assert all(np.isfinite(values).all() for values in history.values())

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    settings["epochs"] = 1
    expected, found = (each.fit(x, y, **settings).history for each in (model, loaded))
    assert {*found} == {*expected}
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-5, atol=1e-6, err_msg=key)
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)

    # Two new classes have a bias and weights of 4 features each.
    added = 10 if name == "LearningWithoutForgetting" else 0
    assert loaded.student.count_params() == cnn().count_params() + added
    exported = export_tflite(loaded.student, tmp_path / "student.tflite", "int8", x)
    np.testing.assert_allclose(exported.predict(x), loaded.predict(x, verbose=0), atol=0.2)
