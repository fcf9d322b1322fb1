"""The list of all schemes, for people who choose one."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scheme:
    """What there is to know about a scheme before it is used.

    Args:
        name: Its public name.
        summary: One sentence.
        take_this_when: The situation that it is for.
        passes: What a training step costs, in passes of the models.
        paper: The reference.
    """

    name: str
    summary: str
    take_this_when: str
    passes: str
    paper: str


# The single list of the schemes, in the order in which the guide shows them.
SCHEMES = [
    Scheme(
        "Distiller",
        "A frozen teacher teaches a student.",
        "you have a teacher that is better than the student",
        "1 teacher (0 with a cache), 1 student",
        "Hinton, Vinyals, Dean, 2015",
    ),
    Scheme(
        "TeacherEnsemble",
        "Several teachers in the place of one.",
        "you have several trained models, or can train one several times",
        "1 of each teacher (0 with a cache), 1 student",
        "You et al., KDD 2017; Zhang et al., ICASSP 2022",
    ),
    Scheme(
        "distill_chain",
        "Teacher, assistants and student, each taught by the one before it.",
        "the student is far smaller than the teacher",
        "1 teacher, 1 student, in each link",
        "Mirzadeh et al., AAAI 2020",
    ),
    Scheme(
        "MutualDistiller",
        "Students that are trained together and teach each other.",
        "there is no trained teacher, and you can train two models or more at once",
        "1 of each student",
        "Zhang et al., CVPR 2018",
    ),
    Scheme(
        "OnlineEnsemble",
        "Students that are trained together, each taught by the ensemble of all.",
        "there is no trained teacher, and you can train three models or more at once",
        "1 of each student",
        "Lan et al., NeurIPS 2018; Guo et al., CVPR 2020",
    ),
    Scheme(
        "BornAgain",
        "Generations of one network, each taught by the one before it.",
        "there is no larger teacher, and time to train the network several times",
        "1 teacher, 1 student, in each generation",
        "Furlanello et al., ICML 2018",
    ),
    Scheme(
        "BeYourOwnTeacher",
        "Exits inside one network, which its deepest classifier teaches.",
        "there is no larger teacher, or a device takes an early exit of the network",
        "1 student, and the heads of its exits",
        "Zhang et al., ICCV 2019",
    ),
    Scheme(
        "ProgressiveSelf",
        "The student of the last epoch softens the labels of this one.",
        "there is no larger teacher, and the network is sure of wrong answers",
        "1 of the student as it was, 1 student",
        "Kim et al., ICCV 2021",
    ),
    Scheme(
        "MovingAverageTeacher",
        "The teacher is the moving average of the student's own weights.",
        "there is no larger teacher, and many samples have no label",
        "1 of the average, 1 student",
        "Tarvainen, Valpola, NeurIPS 2017",
    ),
    Scheme(
        "DomainDistiller",
        "A teacher's answers on unlabeled samples of another domain.",
        "labels are of one domain, and the student is for another",
        "1 teacher (0 with a cache), 1 student, of both domains",
        "Asami et al., ICASSP 2017; Sun, Saenko, ECCV Workshops 2016",
    ),
    Scheme(
        "LearningWithoutForgetting",
        "A trained classifier learns new classes and keeps its old ones.",
        "new classes come to a trained classifier, and the old samples are gone",
        "1 of the classifier as it was, 1 student",
        "Li, Hoiem, TPAMI 2017",
    ),
    Scheme(
        "AdversariallyRobust",
        "The student keeps the teacher's clean answers where its inputs are attacked.",
        "the student must hold against perturbed inputs, and the teacher does",
        "1 teacher (0 with a cache), 2 student, and `steps` student for the attack",
        "Goldblum et al., AAAI 2020",
    ),
    Scheme(
        "synthesize",
        "Images for the student, made from what the teacher's batch normalizations remember.",
        "there is a teacher of images with batch normalization, and no data",
        "`steps` teacher for each image, before the training",
        "Yin et al., CVPR 2020",
    ),
    Scheme(
        "DataFreeDistiller",
        "A generator learns from the teacher to make the images that teach the student.",
        "there is a teacher of images, with or without batch normalization, and no data",
        "1 generator, 1 teacher, 1 student, each with its gradient",
        "Chen et al., ICCV 2019",
    ),
    Scheme(
        "sequence_targets",
        "The sequences that the teacher writes become the student's labels.",
        "teacher and student write sequences, such as translations",
        "`max_length` teacher for each beam of each sample, before the training",
        "Kim, Rush, EMNLP 2016",
    ),
]


def catalogue() -> list[Scheme]:
    """Lists all schemes, the plainest first.

    Returns:
        List of `Scheme`.

    Example:

    ```python
    situations = {scheme.name: scheme.take_this_when for scheme in catalogue()}
    assert "BornAgain" in situations
    ```
    """
    return list(SCHEMES)


def as_markdown(schemes: list[Scheme]) -> str:
    """Returns a table of schemes for a guide.

    Args:
        schemes: List of `Scheme`.

    Returns:
        Text of a Markdown table.
    """
    lines = ["| scheme | take this when | passes per step | paper |", "|---|---|---|---|"]
    for scheme in schemes:
        cells = (f"`{scheme.name}`", scheme.take_this_when, scheme.passes, scheme.paper)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
