"""One case per distillation loss: how it is made, and small inputs that suit it.

A loss of the registry that no case names has one by its family, so that the tests of every loss
hold for a new one too.
"""

import dataclasses
import functools

import numpy as np

from keras_distill import losses
from keras_distill.losses import registry

CLASSES, BATCH = 5, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss, and inputs that suit it.

    `zero` says whether the loss is zero where student and teacher show the same, `exact` whether
    it has no variables of its own, so that its gradient is checked in float64, `whole` whether its
    gradient is that of its value, no part of which is held fixed.
    """

    name: str
    make: object
    teacher: object
    student: object
    zero: bool = True
    exact: bool = True
    whole: bool = True

    def loss(self):
        """Returns the loss, built."""
        loss = self.make()
        if loss.own_layers:
            loss.prepare(shapes_of(self.teacher), shapes_of(self.student))
        if loss.needs_indices:
            # The first batch sets constants that are kept from then on.
            loss.compute_loss(*self.inputs(dtype="float32"), training=True, **known())
        return loss

    def inputs(self, seed=0, dtype="float64"):
        """Returns random inputs of the teacher and of the student."""
        rng = np.random.default_rng(seed)
        return draw(rng, self.teacher, dtype), draw(rng, self.student, dtype)


def known(seed=0):
    """Returns what a loss may know besides."""
    rng = np.random.default_rng(seed)
    return {"labels": rng.integers(0, CLASSES, BATCH), "indices": np.arange(BATCH)}


def shapes_of(spec):
    """Returns the shapes of a specification, the kind of numbers left out."""
    if isinstance(spec, list):
        return [shapes_of(part) for part in spec]
    return spec[1:] if isinstance(spec[0], str) else spec


def draw(rng, spec, dtype):
    """Draws random numbers: a list of shapes, or a shape, that may begin with a kind."""
    if isinstance(spec, list):
        return [draw(rng, part, dtype) for part in spec]
    if spec[0] == "scores":
        return rng.dirichlet(np.ones(spec[-1]), spec[1:-1]).astype(dtype)
    return rng.standard_normal(spec).astype(dtype)


LOGITS = (BATCH, CLASSES)
EMBEDDINGS = ((BATCH, 7), (BATCH, 6))
MAPS = ((BATCH, 6, 6, 4), (BATCH, 6, 6, 3))
STAGES = ([(BATCH, 8, 8, 3), (BATCH, 4, 4, 4)], [(BATCH, 8, 8, 2), (BATCH, 4, 4, 3)])
EQUAL_STAGES = ([(BATCH, 4, 4, 3), (BATCH, 2, 2, 4)],) * 2
CLASS_LOGITS = (
    [(BATCH, 6, 6, 4), (4, CLASSES), (CLASSES,)],
    [(BATCH, 6, 6, 3), (3, CLASSES), (CLASSES,)],
)
SCORES = (("scores", BATCH, 4, 5, 5), ("scores", BATCH, 2, 5, 5))
PAIRS = (["a", "b"], ["a", "b"])


def _case(name, shapes, make=None, **kwargs):
    return Case(name, make or getattr(losses, name), *shapes, **kwargs)


# What the losses of a family compare, where nothing else is said: one layer or output per side.
BY_FAMILY = {
    "response": (LOGITS, LOGITS),
    "attention": MAPS,
    "feature": MAPS,
    "relation": EMBEDDINGS,
}

_CASES = [
    _case("SoftenedLoss", (LOGITS, LOGITS), lambda: losses.SoftenedLoss("mse", 3.0)),
    *(
        _case("SoftTargets", (LOGITS, LOGITS), functools.partial(losses.SoftTargets, 2.0, kind))
        for kind in ("generalized_js", "skew_kl", "skew_reverse_kl")
    ),
    _case(
        "SoftTargets",
        (LOGITS, LOGITS),
        lambda: losses.SoftTargets(losses.CurriculumTemperature()),
        exact=False,
    ),
    # The last one of a name is the one whose arguments the fuzz test replaces.
    _case("SoftTargets", (LOGITS, LOGITS)),
    _case("NormalizedKD", (LOGITS, LOGITS), zero=False),
    _case("TransformedTeacher", (LOGITS, LOGITS), zero=False),
    _case("HardLabels", (LOGITS, LOGITS), zero=False),
    _case("ScaleDecoupled", CLASS_LOGITS, lambda: losses.ScaleDecoupled(scales=(1, 2, 3))),
    _case("VirtualTeacher", (LOGITS, LOGITS), zero=False),
    _case("AttentionTransfer", MAPS, lambda: losses.AttentionTransfer("a", "b")),
    _case(
        "AttentionCapture",
        ([(BATCH, 6, 6, 4), (BATCH, 3, 3, 5)], [(BATCH, 6, 6, 2)]),
        lambda: losses.AttentionCapture("fma", {"teacher": ["a", "b"], "student": ["a"]}),
    ),
    _case("AttentionMapAlignment", SCORES, zero=False),
    _case("HeadAttention", (SCORES[0], SCORES[0])),
    _case(
        "SelfAttentionRelation",
        ([(BATCH, 5, 4, 2)] * 3, [(BATCH, 5, 2, 2)] * 3),
        lambda: losses.SelfAttentionRelation("a", "a"),
    ),
    _case(
        "ClassAttentionTransfer",
        ([(BATCH, 4, 4, 4), (4, CLASSES)], [(BATCH, 4, 4, 3), (3, CLASSES)]),
        lambda: losses.ClassAttentionTransfer(["a", "k"], ["a", "k"]),
    ),
    _case("HintLearning", MAPS, exact=False),
    _case(
        "HiddenStates",
        ((BATCH, 5, 4),) * 2,
        lambda: losses.HiddenStates("a", "b", form="cosine", projector=None),
    ),
    _case(
        "PearsonFeatures",
        (MAPS[0], MAPS[0]),
        lambda: losses.PearsonFeatures("a", "b", projector=None),
    ),
    _case(
        "OneForAll",
        (LOGITS, STAGES[1]),
        lambda: losses.OneForAll(None, ["a", "b"], exponent=1.5),
        exact=False,
        zero=False,
    ),
    _case(
        "OneForAll",
        (LOGITS, LOGITS),
        lambda: losses.OneForAll(None, None, exponent=1.3),
        zero=False,
    ),
    _case(
        "SoftmaxRegression",
        ([(BATCH, 7), (7, CLASSES)], (BATCH, 4, 4, 6)),
        lambda: losses.SoftmaxRegression(["a", "k"], "b"),
        exact=False,
        zero=False,
    ),
    _case(
        "SingularVectors",
        EQUAL_STAGES,
        lambda: losses.SingularVectors(*PAIRS, count=2, projector=None),
    ),
    _case(
        "AdversarialFeatures",
        MAPS,
        lambda: losses.AdversarialFeatures("a", "b", units=6),
        exact=False,
        zero=False,
        whole=False,
    ),
    _case(
        "FlowOfSolution",
        EQUAL_STAGES,
        lambda: losses.FlowOfSolution(*PAIRS, projector=None),
    ),
    _case(
        "ActivationBoundary",
        (MAPS[0], MAPS[0]),
        lambda: losses.ActivationBoundary("a", "b", projector=None),
        zero=False,
    ),
    _case("OverhaulFeature", MAPS, exact=False, zero=False),
    _case("FactorTransfer", MAPS, exact=False, zero=False),
    _case(
        "VariationalInformation",
        STAGES,
        lambda: losses.VariationalInformation(*PAIRS),
        exact=False,
        zero=False,
    ),
    _case(
        "KnowledgeReview", STAGES, lambda: losses.KnowledgeReview(*PAIRS), exact=False, zero=False
    ),
    _case("SimpleKD", (MAPS[0], MAPS[0]), lambda: losses.SimpleKD("a", "b")),
    _case("MaskedGenerative", MAPS, exact=False, zero=False),
    _case("ChannelWise", (MAPS[0], MAPS[0]), lambda: losses.ChannelWise("a", "b", projector=None)),
    _case("SimilarityPreserving", MAPS),
    _case(
        "ContrastiveRepresentation",
        EMBEDDINGS,
        lambda: losses.ContrastiveRepresentation(samples=20, negatives=6, size=8),
        exact=False,
        zero=False,
        whole=False,
    ),
    _case(
        "ContrastiveRepresentation",
        EMBEDDINGS,
        lambda: losses.ContrastiveRepresentation(size=8),
        exact=False,
        zero=False,
    ),
    _case(
        "InterChannelCorrelation",
        (MAPS[0], MAPS[0]),
        lambda: losses.InterChannelCorrelation("a", "b", projector=None),
    ),
    _case(
        "InstanceGraph",
        (
            [(BATCH, 8, 8, 4), (BATCH, 4, 4, 6), (BATCH, 7), LOGITS],
            [(BATCH, 8, 8, 2), (BATCH, 4, 4, 3), (BATCH, 6), LOGITS],
        ),
        lambda: losses.InstanceGraph(
            teacher_layer_name=["a", "b", "c", "d"], student_layer_name=["a", "b", "c", "d"]
        ),
    ),
]
# Its inputs are gradients, which only a distiller takes.
NEED_A_DISTILLER = ("GradientAttentionTransfer",)


def cases():
    """Returns the cases of all losses of the registry, in its order."""
    made = []
    for method in registry.METHODS:
        name = method.loss_class.__name__
        own = [case for case in _CASES if case.name == name]
        if not own and name not in NEED_A_DISTILLER:
            make = method.loss_class
            own = [Case(name, make, *BY_FAMILY[method.family], exact=not make().own_layers)]
        made += own
    return made


CASES = cases()
