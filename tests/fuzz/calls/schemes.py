"""Calls of the schemes."""

from keras_distill.schemes import TeacherEnsemble, catalogue
from tests.fuzz.cases import Call
from tests.fuzz.place import cnn
from tests.fuzz.rules import ANYTHING, NONE, keras_name, number, one_of, sequence_of

_KERAS = ANYTHING.of_keras()
_SHARES = sequence_of(number(low=0), 2, 2)


def _ensemble(place):
    arguments = {
        "teachers": [cnn(4, "a"), cnn(4, "b")],
        "weights": "uniform",
        "temperature": 4.0,
        "name": "ensemble",
    }
    return TeacherEnsemble, arguments


CALLS = [
    Call(
        "schemes.TeacherEnsemble",
        _ensemble,
        {
            "weights": one_of("uniform", "entropy", "confidence") | _SHARES,
            "temperature": NONE | number(low=0, low_is_allowed=False),
            "name": keras_name().of_keras(),
        },
        lambda place, ensemble, arguments: ensemble(place.x[:2]),
        module="schemes",
    ),
    Call("schemes.catalogue", lambda place: (catalogue, {}), module="schemes"),
]
