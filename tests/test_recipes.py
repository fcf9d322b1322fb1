"""Published configurations."""

import keras
import numpy as np
import pytest

from keras_distill import Distiller, losses, recipes


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_makes_losses_with_a_source(name):
    recipe = recipes.get(name, steps_per_epoch=10)
    assert len(recipe.distillation_losses) == len(recipe.distillation_loss_weights) >= 1
    assert len(recipe.source) > 20
    assert set(dict(**recipe)) == {
        "distillation_losses",
        "distillation_loss_weights",
        "student_loss_weight",
    }


def test_every_abbreviation_has_a_recipe():
    # "auto" is the library's own choice.
    assert set(losses.registry.abbreviations()) - {"auto"} <= set(recipes.names())


def test_a_recipe_is_the_arguments_of_a_distiller(make_cnn):
    distiller = Distiller(make_cnn(4), make_cnn(2), **recipes.get("at"))
    assert distiller.distillation_loss_weights == [1000.0]
    assert distiller.student_loss_weight is None


def test_published_numbers():
    dkd = recipes.get("dkd").distillation_losses[0]
    assert (dkd.alpha, dkd.beta, dkd.temperature) == (1.0, 8.0, 4.0)
    assert recipes.get("sp").distillation_loss_weights == [3000.0]
    assert recipes.get("simkd").student_loss_weight == 0.0


def test_weights_of_the_authors_code():
    for name, weight in {"cc": 100.0, "ab": 30.0, "ofd": 10.0, "ft": 500.0}.items():
        assert recipes.get(name).distillation_loss_weights == [weight]
    mlkd = recipes.get("mlkd").distillation_losses[0]
    assert (mlkd.instance_weight, mlkd.batch_weight, mlkd.class_weight) == (6.75, 2.25, 2.25)
    assert recipes.get("mgd").distillation_losses[0].masked == "channels"
    assert losses.get("amad").divergence == "kl"
    assert recipes.get("amad").distillation_loss_weights == [10.0, 1.0]


def test_where_no_weight_is_published_it_follows_the_gradients(make_cnn):
    for name in ("fma", "mip", "mips", "sals", "gat", "ickd"):
        assert recipes.get(name).distillation_loss_weights == ["balanced"]
        assert "gradient half as long as that of the labels" in recipes.get(name).source
    distiller = Distiller(make_cnn(4), make_cnn(2), **recipes.get("mip"))
    assert distiller.distillation_loss_weights == [losses.Balanced(0.5)]


def test_attention_with_soft_targets_is_weighed_as_published():
    recipe = recipes.get("at_kd")
    labels = recipe.student_loss_weight
    attention, soft = ((1 - labels) * weight for weight in recipe.distillation_loss_weights)
    assert (labels, soft, attention) == pytest.approx((0.1, 0.9, 1000.0))


def test_tinybert_compares_raw_scores_hidden_states_and_predictions(crossentropy, recwarn):
    def transformer(blocks, width):
        tokens = keras.Input((6,), dtype="int32")
        x = keras.layers.Embedding(20, width, mask_zero=True)(tokens)
        for index in range(blocks):
            attention = keras.layers.MultiHeadAttention(2, 4, name=f"attention_{index}")
            x = keras.layers.LayerNormalization(name=f"norm_{index}")(x + attention(x, x))
        pooled = keras.layers.GlobalAveragePooling1D(name="pool")(x)
        return keras.Model(tokens, keras.layers.Dense(3, name="logits")(pooled))

    distiller = Distiller(transformer(2, 8), transformer(1, 6), **recipes.get("tinybert"))
    assert distiller.describe().splitlines()[:-1] == [
        "head_attention (HeadAttention, weight 1.0):",
        "  teacher attention_1:raw_scores (None, 2, 6, 6)",
        "  student attention_0:raw_scores (None, 2, 6, 6)",
        "hidden_states (HiddenStates, weight 1.0):",
        "  teacher attention_0:input (None, 6, 8)",
        "  teacher pool:input (None, 6, 8)",
        "  student attention_0:input (None, 6, 6)",
        "  student pool:input (None, 6, 6)",
        "soft_targets (SoftTargets, weight 1.0):",
        "  teacher output (None, 3)",
        "  student output (None, 3)",
    ]
    distiller.compile("adam", crossentropy)
    tokens = np.random.default_rng(0).integers(0, 20, (32, 6))
    history = distiller.fit(tokens, np.zeros(32), epochs=2, verbose=0).history
    assert history["hidden_states"][1] < history["hidden_states"][0]
    assert not [warning for warning in recwarn if "mask" in str(warning.message)]


def test_contrast_by_name_says_what_it_is():
    assert "InfoNCE within the batch" in recipes.get("crd").source
    assert recipes.get("crd", samples=50).distillation_losses[0].needs_indices
    summary = {entry.name: entry.summary for entry in losses.catalogue()}
    assert "InfoNCE within the batch" in summary["ContrastiveRepresentation"]


def test_warm_up_needs_the_length_of_an_epoch():
    assert recipes.get("reviewkd").distillation_loss_weights == [5.0]
    (weight,) = recipes.get("reviewkd", steps_per_epoch=10).distillation_loss_weights
    assert [float(weight(step)) for step in (0, 100, 200, 400)] == [0.0, 2.5, 5.0, 5.0]


def test_arguments_reach_the_first_loss():
    recipe = recipes.get("at_kd", teacher_layer_name="a", student_layer_name="b")
    assert recipe.distillation_losses[0].teacher_layer_name == "a"


def test_an_unknown_recipe_lists_the_closest():
    with pytest.raises(ValueError, match=r"Unknown recipe 'dkdd'. Closest: 'dkd'"):
        recipes.get("dkdd")


@pytest.mark.parametrize("steps", [0, -1, 1.5, "many", True, 2**63])
def test_a_wrong_number_of_steps_is_refused(steps):
    with pytest.raises((TypeError, ValueError), match=r"steps_per_epoch must be .*Received: "):
        recipes.get("dkd", steps_per_epoch=steps)


@pytest.mark.parametrize("name", [["kd"], None, {"kd": 1}, 3])
def test_what_is_no_name_of_a_recipe_is_refused(name):
    with pytest.raises(ValueError, match=r"Unknown recipe.*Known: kd"):
        recipes.get(name)
