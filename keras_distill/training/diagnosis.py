"""Diagnosis of a distillation: what each loss does, and what keeps it from helping."""

import dataclasses

import numpy as np

# A weighted gradient below this share of the labels' gradient changes nothing to speak of.
INERT = 0.01
# Above it, the student hardly hears the labels.
DROWNING = 10.0
# Probability that a teacher's softened answer leaves to the classes that it doesn't choose.
CERTAIN = 0.01
# Balanced accuracy, in the range from chance (0) to perfect (1).
NEAR_CHANCE = 0.2


@dataclasses.dataclass(frozen=True)
class Term:
    """One term of the total loss, as measured on some batches.

    Args:
        name: `"student_loss"`, or the name of the distillation loss.
        value: Mean of the unweighted loss.
        weight: Its weight in the total, at the present step.
        gradient: Norm of the weighted loss's gradient with respect to the student's weights, the
            root mean square over the batches.
        share: That norm as a share of the labels'; `None` without labels.
        cosine: Cosine between that gradient and the labels', in [-1, 1]; `None` without labels.
    """

    name: str
    value: float
    weight: float
    gradient: float
    share: float | None
    cosine: float | None


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that keeps distillation from helping, and what to do about it.

    Args:
        name: Short name of the finding, such as `"inert loss"`.
        message: What was found, and what to do.
    """

    name: str
    message: str

    def __str__(self):
        return f"{self.name}: {self.message}"


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What each term of the loss does, and the findings.

    Args:
        terms: List of `Term`, that of the labels first.
        findings: List of `Finding`, empty for a healthy distillation.
        samples: Number of samples that were looked at.
    """

    terms: list
    findings: list
    samples: int

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self):
        header = ("term", "value", "weight", "gradient", "share", "cosine")
        rows = [header, *(_row(term) for term in self.terms)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = [f"On {self.samples:,} samples:"]
        for row in rows:
            cells = [row[0].ljust(widths[0])]
            cells += [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells))
        lines.append(
            "share: of the labels' gradient, by norm; cosine: 1 where a loss pulls as the labels do"
        )
        lines += [f"- {finding}" for finding in self.findings] or ["Nothing is wrong."]
        return "\n".join(lines)


def _row(term):
    optional = ["-" if value is None else f"{value:.3g}" for value in (term.share, term.cosine)]
    numbers = [f"{value:.4g}" for value in (term.value, term.weight, term.gradient)]
    return (term.name, *numbers, *optional)


@dataclasses.dataclass
class Answers:
    """What teacher and student answered, over classes of which one holds.

    Args:
        teacher: Probabilities of the teacher, `(samples, classes)`.
        student: Probabilities of the student, `(samples, classes)`.
        labels: Classes `(samples,)`, -1 where there is none.
        softened: Pairs (name of a loss that softens, the teacher's probabilities as it does).
    """

    teacher: np.ndarray
    student: np.ndarray
    labels: np.ndarray
    softened: list


def findings_of(terms, answers, facts):
    """Returns what is wrong, a list of `Finding`.

    Args:
        terms: List of `Term`.
        answers: `Answers`, or `None` where the outputs aren't classes or aren't known.
        facts: Dictionary with the parameters of `"teacher"` (`None` if unknown) and `"student"`,
            whether the student has `"trainable"` weights, the list `"random"` of its layers that
            move images, the list `"spatial"` of the losses that compare positions, `"updates"` made
            so far, and `"schedules"`, pairs of what is scheduled and its length in updates.
    """
    found = [*_of_gradients(terms), *_of_sizes(facts)]
    if answers is not None:
        found += [*_of_teacher(answers), *_of_certainty(answers)]
    return found


def _of_gradients(terms):
    for term in terms:
        if term.name == "student_loss" or term.share is None:
            continue
        if term.weight == 0:
            yield Finding("inert loss", f"{term.name} has the weight 0 at this step.")
        elif term.share < INERT:
            yield Finding("inert loss", _inert(term))
        elif term.share > DROWNING:
            yield Finding(
                "drowning loss",
                f"the gradient of {term.name} is {term.share:.0f} times that of the labels, which "
                f"the student hardly hears. Divide its weight by about {_round(term.share)}, or "
                'take distillation_loss_weights="balanced".',
            )


def _inert(term):
    if not term.share:
        return (
            f"{term.name} has no gradient at all: teacher and student agree in what it compares, "
            "or no trainable weight of the student comes before it. Tap other layers."
        )
    return (
        f"the gradient of {term.name} is {term.share:.2%} of the labels': it changes nothing. "
        f"Raise its weight about {_round(0.3 / term.share)} times, or take "
        'distillation_loss_weights="balanced".'
    )


def _of_sizes(facts):
    teacher, student = facts["teacher"], facts["student"]
    if not facts["trainable"]:
        yield Finding(
            "frozen student",
            "no weight of the student is trainable, so it learns nothing. A clone of a frozen "
            "teacher is frozen too: set student.trainable = True.",
        )
    if teacher is not None and student > teacher:
        yield Finding(
            "large student",
            f"the student has {student:,} parameters and the teacher {teacher:,}: a student that "
            "can do more than its teacher gains little. Are the two swapped?",
        )
    if facts["random"] and facts["spatial"]:
        yield Finding(
            "augmentation in the student",
            f"{', '.join(facts['random'])} moves the images inside the student, and "
            f"{', '.join(facts['spatial'])} compares positions with those of the teacher, which "
            "sees them unmoved. Augment in the tf.data pipeline, so that both see the same.",
        )
    for what, length in facts["schedules"]:
        if 0 < facts["updates"] < length / 2:
            yield Finding(
                "schedule too long",
                f"{what} is planned for {length:,} updates and {facts['updates']:,} were made: it "
                "has hardly moved. Plan it for the number of updates, epochs times batches.",
            )


def _of_teacher(answers):
    has = answers.labels >= 0
    if not has.any():
        return
    labels = answers.labels[has]
    teacher = _balanced_accuracy(answers.teacher[has], labels)
    student = _balanced_accuracy(answers.student[has], labels)
    chance = 1.0 / answers.teacher.shape[-1]
    if (teacher - chance) / (1.0 - chance) < NEAR_CHANCE:
        yield Finding(
            "teacher near chance",
            f"the teacher is right on {teacher:.0%} of these samples (mean over the classes), and "
            f"guessing on {chance:.0%}. Is it trained, do the classes have the same order, and are "
            "its inputs scaled as in its training (teacher_input=)?",
        )
    elif teacher < student:
        yield Finding(
            "teacher behind the student",
            f"on these samples the teacher is right on {teacher:.1%} and the student on "
            f"{student:.1%} (means over the classes). Train the teacher further, or lower the "
            "weight of its answers towards the end.",
        )


def _of_certainty(answers):
    for name, probabilities in answers.softened:
        rest = float(np.mean(1.0 - probabilities.max(-1)))
        if rest < CERTAIN:
            yield Finding(
                "certain teacher",
                f"for {name} the teacher leaves {rest:.2%} of the probability to the classes that "
                "it doesn't choose: its answers say no more than labels. Raise the temperature, "
                "take SoftTargets(2.0, standardize=True) or DIST, or let it answer on data that "
                "it wasn't trained on.",
            )


def _balanced_accuracy(probabilities, labels):
    """Mean over the classes of the share of right answers, so that rare classes count."""
    right = probabilities.argmax(-1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _round(value):
    """Rounds to one digit, for advice."""
    return f"{float(f'{value:.0e}'):,g}"
