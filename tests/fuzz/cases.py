"""A call of the public API with one argument replaced, and how it is tried."""

import collections
import contextlib
import dataclasses
import inspect
import os
import random
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable

import keras

from tests.fuzz import rules
from tests.fuzz.judge import Verdict, judge_error, judge_result
from tests.fuzz.place import Place
from tests.fuzz.values import VALUES, changes_of

VALID, STRANGER, MISSING = "valid", "an_unknown_argument", "missing"


@dataclasses.dataclass(frozen=True)
class Call:
    """A valid call, each of whose arguments is replaced in turn.

    Args:
        name: Public name, such as `losses.SoftTargets`.
        make: Function from a `Place` to the function and its valid arguments.
        rules: Dictionary from argument to `Rule`; arguments without one may take nothing but
            their valid value.
        use: Function from the place, the result and the arguments, that uses the result, so that
            what the call doesn't check is found out.
        control: Function like `make` for the same call of plain Keras, with which a call is excused
            where Keras alone ends in the same kind of error.
        leave: Arguments that aren't replaced.
        values: Names of the values of all arguments, in place of the usual ones.
        without: Pairs of argument and value that are right and would never end.
        seconds: Time limit.
        module: Row of the table that the call counts in.
    """

    name: str
    make: Callable
    rules: dict = dataclasses.field(default_factory=dict)
    use: Callable = lambda place, result, arguments: None
    control: Callable | None = None
    leave: tuple = ()
    values: tuple = ()
    without: tuple = ()
    seconds: int = 20
    module: str = ""

    def rule(self, argument):
        """Returns the `Rule` of an argument."""
        # Keras's own classes refuse by themselves what they don't know.
        default = rules.NOTHING.of_keras() if argument == STRANGER else rules.NOTHING
        return self.rules.get(argument, default)


@dataclasses.dataclass(frozen=True, order=True)
class Case:
    """One call with one argument replaced: by itself enough to replay it."""

    call: str
    argument: str
    value: str

    def __str__(self):
        return f"{self.call}({self.argument}={self.value})"


@contextlib.contextmanager
def place_of_its_own(shared):
    """Makes a `Place` whose folder is the working directory, and removes it."""
    before = os.getcwd()
    folder = tempfile.mkdtemp(prefix="fuzz_")
    os.chdir(folder)
    try:
        yield Place(folder, shared)
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def arguments_of(function, given):
    """Returns the names of the arguments to replace."""
    parameters = inspect.signature(function).parameters.values()
    single = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return list(dict.fromkeys([*single, *given]))


def cases_of(call, shared):
    """Lists the cases of a call, the valid one first."""
    with place_of_its_own(shared) as place:
        function, given = call.make(place)
        cases = [Case(call.name, VALID, VALID)]
        cases += [] if call.values else [Case(call.name, STRANGER, "one")]
        defaults = inspect.signature(function).parameters
        # Keras flattens the arguments of a layer before the layer's constructor runs.
        is_layer = isinstance(function, type) and issubclass(function, keras.Layer)
        without = {"endless_list"} if is_layer else set()
        for argument in arguments_of(function, given):
            if argument in call.leave:
                continue
            if not call.values and argument in given and _is_needed(defaults.get(argument)):
                cases.append(Case(call.name, argument, MISSING))
            values = call.values or (*VALUES, *changes_of(given.get(argument)))
            cases += [
                Case(call.name, argument, value)
                for value in values
                if value not in without and (argument, value) not in call.without
            ]
    return cases


def _is_needed(parameter):
    return parameter is not None and parameter.default is parameter.empty


def sample(cases, count, seed):
    """Draws cases, the valid ones left out."""
    drawn = [case for case in cases if case.argument != VALID]
    return random.Random(seed).sample(drawn, min(count, len(drawn)))


def share_of(cases, fraction, seed):
    """Draws a share of the values of each argument, at least one, and keeps the valid calls."""
    values = collections.defaultdict(list)
    for case in cases:
        values[case.call, case.argument].append(case)
    drawn = []
    for (call, argument), ones in values.items():
        count = max(1, round(fraction * len(ones)))
        drawn += random.Random(f"{seed} {call} {argument}").sample(ones, count)
    return drawn


class OutOfTime(BaseException):
    """Raised in a call that takes too long."""


def try_case(call, case, shared):
    """Makes a call and judges it.

    Args:
        call: The `Call`.
        case: The `Case`.
        shared: Folder of files that are made once.

    Returns:
        `Verdict`.
    """

    def stop(*_):
        raise OutOfTime

    signal.signal(signal.SIGALRM, stop)
    try:
        with place_of_its_own(shared) as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _try(call, case, place)
    except OutOfTime:
        return Verdict("hang", f"over {call.seconds} s")
    finally:
        signal.alarm(0)


def _replace(given, call, case, place):
    """Replaces the argument of a case, and returns what it is replaced with."""
    value = None
    if case.argument == STRANGER:
        value = given[STRANGER] = 1
    elif case.value == MISSING:
        del given[case.argument]
    elif case.argument != VALID:
        changes = changes_of(given.get(case.argument))
        if call.values:
            value = case.value
        elif case.value in changes:
            value = changes[case.value](given[case.argument])
        else:
            value = VALUES[case.value](place)
        given[case.argument] = value
    return value


def _is_as_in_keras(error, call, case, place):
    if call.control is None or not call.rule(case.argument).is_keras:
        return False
    function, given = call.control(place)
    _replace(given, call, case, place)
    signal.alarm(call.seconds)
    try:
        function(**given)
    except Exception as alone:
        return type(alone) is type(error)
    return False


def _try(call, case, place):
    function, given = call.make(place)
    value = _replace(given, call, case, place)
    signal.alarm(call.seconds)
    try:
        result = function(**given)
        call.use(place, result, given)
    except Exception as error:
        signal.alarm(0)
        if case.argument == VALID:
            raise
        verdict = judge_error(error, call, case.argument, value, place)
        if verdict.kind == "obscure" and _is_as_in_keras(error, call, case, place):
            return Verdict("keras", verdict.text)
        return verdict
    except SystemExit as error:
        signal.alarm(0)
        return judge_error(error, call, case.argument, value, place)
    signal.alarm(0)
    if case.argument == VALID:
        return Verdict("works")
    return judge_result(call, case.argument, value, place)
