"""BeYourOwnTeacher: exits inside one network, which its deepest classifier teaches."""

from collections.abc import Sequence
from typing import Any, Self

import keras

from keras_distill.arguments import check_count, check_model, shown
from keras_distill.features.automatic_layers import all_candidates
from keras_distill.features.layer_paths import symbolic
from keras_distill.features.model_branch import ModelBranch
from keras_distill.losses import HintLearning, SoftTargets
from keras_distill.losses.loss import same_shapes
from keras_distill.schemes.exits import FEATURES, ExitBranch, make_head
from keras_distill.schemes.several_learners import SeveralLearners, own_losses
from keras_distill.training.edge import Edge
from keras_distill.training.learner import Learner
from keras_distill.training.saving import deserialize_losses, serialize_losses

# Of soft targets and hints beside a weight of 0.7 for the labels: 0.3 and 0.03 in the total.
_WEIGHTS = (1.0, 0.1)


@keras.saving.register_keras_serializable("keras_distill")
class BeYourOwnTeacher(SeveralLearners):
    """Be your own teacher: exits inside one network, which its deepest classifier teaches.

    An exit is a classifier on an inner layer. The network and all exits are trained at once, each
    on the labels; its own classifier, the deepest, teaches the exits by soft targets, and by what
    enters it. It gets no gradient from that, but the layers below an exit do. No teacher is needed.

    `student` is the network without exits, which `predict` and `export` use; `exit_model(0)` is the
    network up to the first exit, smaller and faster. The history has for the network `accuracy`,
    `student_loss` (the labels') and `total_loss`, and for each exit what that of `Distiller` has,
    by its number: `exit_0_loss`, `exit_0_student_loss`, `exit_0_distillation_loss`,
    `exit_0_soft_targets`, `exit_0_accuracy`. `loss` is the sum of all totals.

    Args:
        model: Functional or Sequential `keras.Model` to train, with one output of shape `(batch,
            classes)`.
        exits: List of paths of the layers that get an exit, or a dictionary from such a path to a
            head, a `keras.Model` from the layer's output to an output like the model's. By default
            the end of each spatial stage but the last. A head that is made here has separable
            convolutions down to the size of the last stage, average pooling and a dense layer; on a
            layer without space, two dense layers.
        distillation_losses: As for `Distiller`, for each exit. A teacher's layer is one of the
            model, and a student's layer one of the head, where `"features"` is the pooled output of
            the heads made here. By default `SoftTargets(temperature=3)`, as in the authors' code,
            and hints: `HintLearning` of `"features"` and what enters the model's last dense layer.
        distillation_loss_weights: As for `Distiller`. By default 1 for soft targets and, as the
            authors' 0.03 is for a sum of squares, chosen here: 0.1 for hints.
        student_loss_weight: Weight of the labels' loss of each exit, as for `Distiller`; 0.7 as in
            the paper. The deepest classifier has the labels' loss alone.
        sample_index: As for `Distiller`.
        label_key: As for `Distiller`.
        name: Name of the model.
        **kwargs: Arguments of `keras.Model`.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If no layers for exits are found or known, the model has another output, or a
            head doesn't fit.

    Example:

    ```python
    x, y = np.random.rand(8, 8, 8, 1), np.random.randint(0, 3, 8)
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3),
    ])
    network = BeYourOwnTeacher(model)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.fit(x, y, verbose=0)
    assert network.exit_model(0).predict(x, verbose=0).shape == (8, 3)
    ```

    Reference:
        Zhang et al., "Be Your Own Teacher: Improve the Performance of Convolutional Neural Networks
        via Self Distillation", ICCV 2019.
    """

    def __init__(
        self,
        model: keras.Model,
        exits: Sequence[str] | dict | None = None,
        distillation_losses: Any = None,
        distillation_loss_weights: Any = None,
        student_loss_weight: Any = 0.7,
        sample_index: Any = None,
        label_key: str | None = None,
        name: str = "be_your_own_teacher",
        **kwargs: Any,
    ):
        output = _checked_output(check_model("model", model))
        known = all_candidates(model)
        heads = _heads(model, _paths(exits, known), known, output)
        super().__init__(model, student_loss_weight, sample_index, label_key, name, **kwargs)
        self.student = model
        self.exits = list(heads)
        self.heads = list(heads.values())
        if distillation_losses is None:
            distillation_losses, own_weights = _default_losses(exits, known)
            if distillation_loss_weights is None:
                distillation_loss_weights = own_weights
        self._network = network = ModelBranch(model, "model")
        network.tap([(path, None) for path in self.exits])
        learners = [Learner(network, [])]
        for index, (path, head) in enumerate(heads.items()):
            branch = ExitBranch(head, network, path, f"exit {index}")
            own = own_losses(distillation_losses)
            edge = Edge(own, distillation_loss_weights, f"exit_{index}_{{}}")
            edge.connect(network, branch, kept="An exit")
            learners.append(Learner(branch, [edge], f"exit_{index}"))
        self._set_learners(learners)
        self.built = True

    @property
    def distillation_losses(self) -> list:
        """List of the distillation losses by which the model teaches each exit."""
        return self._edges[0].losses

    @property
    def distillation_loss_weights(self) -> list:
        """List of the weights, a number, schedule or `Balanced` per distillation loss."""
        return self._edges[0].weights

    @property
    def trained_models(self) -> dict[str, keras.Model]:
        """Dictionary of the models up to each exit, `exit_0` and so on, and of the whole one."""
        exits = {f"exit_{index}": self.exit_model(index) for index in range(len(self.exits))}
        return {**exits, "student": self.student}

    def exit_model(self, index: int) -> keras.Model:
        """Returns the model up to an exit, a plain Keras model that shares its trained weights.

        Args:
            index: Number of the exit, from 0.

        Raises:
            TypeError: If it isn't an integer.
            ValueError: If there is no such exit.
        """
        index = check_count("index", index, low=0, high=len(self.exits) - 1)
        output = self.heads[index](self._network.cut_at(self.exits[index]))
        name = f"{self.student.name}_exit_{index}"
        return keras.Model(symbolic(self.student, "input"), output, name=name)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, the model and the heads among them."""
        serialize = keras.saving.serialize_keras_object
        losses, weights = serialize_losses(self.distillation_losses, self.distillation_loss_weights)
        return {
            **super().get_config(),
            "model": serialize(self.student),
            "exits": {
                path: serialize(head) for path, head in zip(self.exits, self.heads, strict=True)
            },
            "distillation_losses": losses,
            "distillation_loss_weights": weights,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Returns the model that `get_config` described."""
        deserialize = keras.saving.deserialize_keras_object
        names = ("distillation_losses", "distillation_loss_weights")
        losses = deserialize_losses(config[names[0]], config[names[1]], custom_objects)
        own = {
            "model": deserialize(config["model"], custom_objects),
            "exits": {
                path: deserialize(head, custom_objects) for path, head in config["exits"].items()
            },
            **dict(zip(names, losses, strict=True)),
        }
        return super().from_config({**config, **own}, custom_objects)


def _checked_output(model):
    """Returns the symbolic output of a model with one output of classes."""
    output = keras.tree.flatten(symbolic(model, "output"))
    if symbolic(model, "input") is None or len(output) != 1 or len(output[0].shape) != 2:
        raise ValueError(
            "model must be a Functional or Sequential model with one output of shape (batch, "
            f"classes). Received: model={shown(model)} with outputs of the shapes "
            f"{[tuple(each.shape) for each in output if each is not None]}"
        )
    if not model.trainable:
        raise ValueError(
            "model isn't trainable: set model.trainable = True. Received: a model with "
            "trainable=False"
        )
    return output[0]


def _paths(exits, known):
    """Returns the layers that get an exit: a list of paths, or a dictionary with their heads."""
    if exits is None:
        stages = [path for path, _ in known.get("stages", [])]
        if len(stages) < 2:
            raise ValueError(
                "exits must name the layers that get one, since the model has no two spatial "
                f"stages at whose ends they are put. Received: exits=None, stages {stages}"
            )
        return stages[:-1]
    if not isinstance(exits, (list, tuple, dict)) or not all(
        isinstance(path, str) for path in exits
    ):
        raise TypeError(
            "exits must be a list of layer paths, a dictionary from layer path to head, or None. "
            f"Received: exits={shown(exits)}"
        )
    if not exits:
        raise ValueError(f"exits is empty: name at least one layer. Received: exits={exits}")
    if with_suffix := [path for path in exits if ":" in path]:
        raise ValueError(
            "An exit is on the output of a layer: leave the suffix out. "
            f"Received: exits with {with_suffix}"
        )
    return dict(exits) if isinstance(exits, dict) else list(dict.fromkeys(exits))


def _heads(model, exits, known, output):
    """Returns a dictionary from the path of each exit to its head."""
    ends = [known["stages"][-1][0]] if "stages" in known else []
    ends += [known["embedding"]] if "embedding" in known else []
    probe = ModelBranch(model, "model")
    probe.tap([(path, None) for path in (*exits, *ends)])
    probe.learn_shapes()
    shapes = probe.shapes.features
    heads = {}
    for index, path in enumerate(exits):
        if isinstance(exits, dict):
            heads[path] = _checked_head(path, exits[path], shapes[path], output)
            continue
        if len(shapes[path]) < 2 or not ends:
            raise ValueError(
                "An exit is made on features (batch, ..., channels) of a model with a spatial "
                "stage or a Dense layer: give a head of your own, as in exits={path: head}. "
                f"Received: layer {path!r} with an output of shape {shapes[path]}"
            )
        deepest = shapes[ends[0] if len(shapes[path]) > 2 else ends[-1]]
        activation = probe.output_activation
        activation = activation if activation in ("softmax", "sigmoid") else None
        heads[path] = make_head(
            shapes[path], deepest, output.shape[-1], activation, f"exit_{index}", model.dtype_policy
        )
    return heads


def _checked_head(path, head, shape, output):
    check_model(f"exits[{path!r}]", head)
    for what, expected in (("input", shape), ("output", tuple(output.shape))):
        tensors = keras.tree.flatten(symbolic(head, what))
        found = [tuple(tensor.shape) for tensor in tensors if tensor is not None]
        if not same_shapes([each[1:] for each in found], [expected[1:]]):
            raise ValueError(
                f"The head on layer {path!r} must be a Functional or Sequential model with one "
                f"{what} of shape {expected}. "
                f"Received: exits[{path!r}] with {what}s of the shapes {found}"
            )
    return head


def _default_losses(exits, known):
    """Returns the losses of those who name none, and their weights."""
    losses = [SoftTargets(3.0)]
    if "embedding" in known and not isinstance(exits, dict):
        losses.append(HintLearning(known["embedding"], FEATURES))
    return losses, list(_WEIGHTS[: len(losses)])
