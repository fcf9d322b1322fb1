"""The branch of several teachers: each runs once per batch, and their answers are mixed."""

import dataclasses
import warnings

import keras
from keras import ops

from keras_distill._compat import mask_of, set_mask
from keras_distill.arguments import shown
from keras_distill.features.branch import Branch, Forward, beyond_tensors, shape_of
from keras_distill.features.branch_kinds import branch_of
from keras_distill.features.layer_paths import symbolic
from keras_distill.losses.labels import labels_as_one_hot
from keras_distill.losses.logits import logits_of
from keras_distill.losses.loss import flat_shapes, same_shapes
from keras_distill.losses.masks import both, with_rank
from keras_distill.schemes.mixtures import (
    confidence_weights,
    cross_entropies,
    entropies,
    mixture_logits,
)


@dataclasses.dataclass(frozen=True)
class EnsembleForward(Forward):
    """A forward pass of several teachers.

    Args:
        members: List with the `Forward` of each.
    """

    members: tuple = ()


class EnsembleBranch(Branch):
    """A `TeacherEnsemble`.

    Args:
        source: `TeacherEnsemble`.
        name: As for `Branch`.
        input_function: As for `Branch`; it makes the inputs of every teacher.

    Raises:
        ValueError: If a teacher computes nothing, or the teachers' outputs differ.
    """

    # What errors call it and its members.
    title, members_are = "TeacherEnsemble", "teachers"

    def __init__(self, source, name="teacher", input_function=None):
        super().__init__(source, name, input_function)
        self.members = self._make_members()
        for index, member in enumerate(self.members):
            if not member.computes:
                raise ValueError(
                    "A TeacherEnsemble takes keras.Models and functions, which it runs on each "
                    f"batch. Received: teachers[{index}]={shown(member.source)}"
                )
        self.supports_jit = all(member.supports_jit for member in self.members)
        self.output_names = self.members[0].output_names
        self._kinds = None
        self._taps = {}
        self._check_activations()
        described = [symbolic(member.model, "output") for member in self.members if member.model]
        if len(described) == len(self.members) and None not in described:
            self._check_alike([keras.tree.map_structure(shape_of, each) for each in described])

    def _make_members(self):
        """Returns the branch of each teacher."""
        self.model = self.source
        name, teachers = self.name, self.source.teachers
        return [branch_of(teacher, name, self.input_function) for teacher in teachers]

    @property
    def needs_labels(self):
        """Whether the mixture depends on the labels of a batch."""
        return self.source.mixing == "confidence" and len(self.members) > 1

    @property
    def symbolic_inputs(self):
        """The first teacher's description of its inputs, or `None` if a teacher has none."""
        found = [member.symbolic_inputs for member in self.members]
        return None if any(inputs is None for inputs in found) else found[0]

    @property
    def output_activation(self):
        """The activation that all teachers' outputs have, `"linear"` if they differ."""
        found = {member.output_activation for member in self.members}
        return found.pop() if len(found) == 1 else "linear"

    def tap(self, wanted):
        """Taps each teacher's own layers, by paths that begin with the teacher."""
        of_member = [[] for _ in self.members]
        for layer_name, loss in wanted:
            for path in keras.tree.flatten(layer_name):
                if path is None:
                    self._compare_temperatures(loss)
                    continue
                index, rest = self._taps[path] = self._located(path)
                of_member[index].append((rest, loss))
        for member, of_one in zip(self.members, of_member, strict=True):
            member.tap(of_one)

    def _located(self, path):
        """Returns the number of the teacher that a path begins with, and its own path."""
        who, _, rest = path.partition("/")
        names = [getattr(member.source, "name", None) for member in self.members]
        known = {name: index for index, name in enumerate(names) if names.count(name) == 1}
        known |= {str(index): index for index in range(len(self.members))}
        if who not in known or not rest:
            listed = ", ".join(f"{index} ({name!r})" for index, name in enumerate(names))
            raise ValueError(
                f"A layer of {self.title} is named by the number or name of one of its "
                f'{self.members_are} and the layer, as in "0/conv4". '
                f"The {self.members_are}: {listed}. "
                f"Received: layer path {path!r}"
            )
        return known[who], rest

    def _compare_temperatures(self, loss):
        """Warns where a loss softens with another temperature than the teachers' mean was made."""
        own, other = self.source.temperature, getattr(loss, "temperature", None)
        is_number = isinstance(other, (int, float)) and not isinstance(other, bool)
        if len(self.members) > 1 and own is not None and is_number and own != other:
            warnings.warn(
                f"{self.title} takes the mean of probabilities at the temperature {own:g}, and "
                f"{type(loss).__name__} softens them with {other:g}: give both the same, as in "
                f"{self.title}(..., temperature={other:g}).",
                stacklevel=2,
            )

    def check_serves(self, loss):
        """Checks that a loss needs no more of the teachers than tensors of each sample."""
        reason = beyond_tensors(loss)
        if reason is not None:
            raise ValueError(
                f"{type(loss).__name__} {reason}, and {self.title} has several "
                f"{self.members_are}: take a scheme in which one teaches. "
                f"Received: {self.title} of {self._listed_sources()}"
            )

    def check_kinds(self, kinds):
        """Learns what the outputs are, and checks that the teachers' weights suit them."""
        self._kinds = list(kinds)
        if "numbers" in kinds and self.source.mixing in ("entropy", "confidence"):
            raise ValueError(
                f"weights={self.source.mixing!r} of {self.title} measures probabilities, and the "
                'student learns numbers, a regression: use weights="uniform" or numbers.'
            )

    def candidates(self, rule):
        """Raises: there is no rule for several teachers."""
        raise ValueError(
            f'"auto" chooses among the layers of one teacher: name the layers of {self.title} '
            'with teacher_layer_name, as in "0/conv4", and student_layer_name. '
            f"Received: {self.title} of {self._listed_sources()}"
        )

    def activation_of(self, layer_name, loss=None):
        """Returns the activation of what a loss taps, as in `LossContext`."""
        if layer_name is None:
            found = [member.activation_of(None) for member in self.members]
            if any(isinstance(ends, list) for ends in found):
                return [self._activation(leaf) for leaf in range(len(found[0]))]
            return self.output_activation
        places = [self._taps[path] for path in keras.tree.flatten(layer_name)]
        found = {self.members[index].activation_of(rest) for index, rest in places}
        return found.pop() if len(found) == 1 else None

    def _ends(self, leaf):
        """Returns the activation of each teacher at one output."""
        found = [member.activation_of(None) for member in self.members]
        return [ends[leaf] if isinstance(ends, list) else ends for ends in found]

    def _activation(self, leaf):
        found = set(self._ends(leaf))
        return found.pop() if len(found) == 1 else "linear"

    def _kind(self, leaf):
        """Says what an output is: the teachers' activations tell, or the student's labels."""
        for end in self._ends(leaf):
            if end in ("softmax", "sigmoid"):
                return end
        kinds = self._kinds or []
        return (kinds[leaf] if leaf < len(kinds) else None) or "softmax"

    def learn_shapes(self, inputs=None):
        """Finds the shapes of each teacher, and checks that their outputs are alike."""
        for member in self.members:
            member.learn_shapes(inputs)
        self._join_shapes()

    def learn_from(self, forward):
        """Finds the shapes of each teacher in its forward pass."""
        for member, of_member in zip(self.members, forward.members, strict=True):
            member.learn_from(of_member)
        self._join_shapes()

    def _join_shapes(self):
        shapes = [member.shapes for member in self.members]
        if any(of_member is None for of_member in shapes):
            return
        self._check_alike([of_member.output for of_member in shapes])
        features = {path: shapes[i].features[rest] for path, (i, rest) in self._taps.items()}
        self.shapes = Forward(shapes[0].output, features)

    def forward(self, x, training):
        """Runs each teacher once on a batch."""
        members = tuple(member.forward(x, training) for member in self.members)
        shapes = [keras.tree.map_structure(shape_of, forward.output) for forward in members]
        self._check_alike(shapes)
        features = {path: members[i].features[rest] for path, (i, rest) in self._taps.items()}
        return EnsembleForward(self._mixed(members), features, members=members)

    def with_labels(self, forward, labels, checks):
        """Returns the forward pass with the answers weighted by the labels, if they are to be."""
        if not self.needs_labels:
            return forward
        classes = labels.classes(self.title, checks)
        classes = classes if isinstance(classes, list) else [classes]
        if any(isinstance(of_output, dict) for of_output in classes):
            raise TypeError(
                f'weights="confidence" of {self.title} needs the labels of one output, and these '
                "are a dictionary: name the one that it is to use, as in Distiller(..., "
                "label_key=...)."
            )
        known = list(zip(classes, labels.has_class, strict=True))
        return dataclasses.replace(forward, output=self._mixed(forward.members, known))

    def _mixed(self, members, labels=None):
        """Returns the mixture of the teachers' outputs, in the structure of the first's.

        Args:
            members: `Forward` of each teacher.
            labels: List with the labels of each output, and which samples have one; or `None`.
        """
        if len(members) == 1:
            return members[0].output
        mixed = []
        for leaf, tensors in enumerate(
            zip(*(keras.tree.flatten(forward.output) for forward in members), strict=True)
        ):
            ends, kind = self._ends(leaf), self._kind(leaf)
            logits = [logits_of(t, "auto", end) for t, end in zip(tensors, ends, strict=True)]
            known = labels[leaf] if labels is not None and leaf < len(labels) else (None, None)
            weights = self._weights(logits, kind, *known)
            output = mixture_logits(logits, weights, self.source.temperature, kind)
            output = _activated(output, self._activation(leaf))
            mask = both(*(mask_of(tensor) for tensor in tensors))
            if mask is not None:
                set_mask(output, mask)
            mixed.append(output)
        return keras.tree.pack_sequence_as(members[0].output, mixed)

    def _weights(self, logits, kind, labels, has_label):
        """Returns the weight of each teacher, shape `(teachers, batch or 1, ..., 1)`."""
        rank, count = len(logits[0].shape), len(logits)
        if self.source.mixing == "entropy":
            return ops.expand_dims(confidence_weights(entropies(logits, kind)), -1)
        if self.source.mixing == "confidence" and labels is not None:
            one_hot = _one_hot(labels, logits[0], kind)
            weights = confidence_weights(cross_entropies(logits, one_hot, kind))
            if has_label is not None:
                has = with_rank(has_label, rank - 1)
                weights = ops.where(ops.expand_dims(has, 0), weights, 1.0 / count)
            return ops.expand_dims(weights, -1)
        return ops.reshape(ops.convert_to_tensor(self.source.shares), (count, *[1] * rank))

    def _check_activations(self):
        found = [set(keras.tree.flatten(member.activation_of(None))) for member in self.members]
        if {"softmax", "sigmoid"} <= set().union(*found) and len({*map(frozenset, found)}) > 1:
            raise ValueError(
                f"The {self.members_are} of {self.title} must end alike, and some end in softmax, "
                "others in sigmoid. "
                f"Received: {self._listed([sorted(map(str, one)) for one in found])}"
            )

    def _check_alike(self, shapes):
        flat = [[shape[1:] for shape in flat_shapes(of_member)] for of_member in shapes]
        if any(not same_shapes(flat[0], other) for other in flat[1:]):
            raise ValueError(
                f"The {self.members_are} of {self.title} must have outputs of the same shape, with "
                f"the same classes in the same order. Received: {self._listed(shapes)}"
            )

    def _listed(self, values):
        named = zip(self.members, values, strict=True)
        return ", ".join(
            f"{self.members_are}[{index}] {getattr(member.source, 'name', '')!r}: {value}"
            for index, (member, value) in enumerate(named)
        )

    def _listed_sources(self):
        return f"{self.members_are}={shown([member.source for member in self.members])}"


@dataclasses.dataclass(frozen=True)
class PeerMixture:
    """How the answers of students that are trained together are mixed.

    Args:
        mixing: How weights are found per sample, as `TeacherEnsemble.mixing`; or `None`.
        shares: Constant weights of the students.
        temperature: As for `TeacherEnsemble`.
    """

    mixing: str | None
    shares: list
    temperature: float | None


class PeersBranch(EnsembleBranch):
    """Students that are trained together, as one teacher: it runs none, and mixes their answers.

    Args:
        source: `PeerMixture`.
        members: List of the students' branches.
    """

    title, members_are = "OnlineEnsemble", "students"

    def __init__(self, source, members):
        self._given = members
        super().__init__(source, "ensemble")

    def _make_members(self):
        return self._given

    @property
    def parts(self):
        """The students' branches."""
        return tuple(self.members)

    def as_source(self, forwards):
        """Returns the mixture, made once for all whom it teaches."""
        if self not in forwards:
            members = tuple(member.as_source(forwards) for member in self.members)
            features = {path: members[i].features[rest] for path, (i, rest) in self._taps.items()}
            forwards[self] = EnsembleForward(self._mixed(members), features, members=members)
        return forwards[self]

    def learn_shapes(self, inputs=None):
        """Joins the shapes of the students, which have learned theirs."""
        self._join_shapes()

    def learn_from(self, forward):
        """Joins the shapes of the students, which have learned theirs."""
        self._join_shapes()


def _activated(logits, activation):
    if activation == "softmax":
        return ops.softmax(logits, axis=-1)
    return ops.sigmoid(logits) if activation == "sigmoid" else logits


def _one_hot(labels, logits, kind):
    if kind == "sigmoid":
        return ops.reshape(ops.cast(labels, logits.dtype), ops.shape(logits))
    return labels_as_one_hot(labels, logits)
