"""Constructor arguments, remembered so that an object can be saved and made again."""

import inspect
from typing import Any, Self

from keras_distill.losses import schedule


class SavesArguments:
    """Mixin of classes whose configuration is what their constructor was given.

    Arguments that a subclass passes on as `*args` or `**kwargs` are part of it. One that is kept as
    an attribute of its own name is saved as it is then.
    """

    _given: dict[str, Any]

    def __new__(cls, *args, **kwargs):
        """Remembers what the constructor is given, for `get_config`."""
        made = super().__new__(cls)
        made._given = _bound_arguments(cls, args, kwargs)
        return made

    def clone(self) -> Self:
        """Returns a new object with the same settings and no variables."""
        return type(self).from_config(self.get_config())

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as a dictionary that `json` can write."""
        parameters = inspect.signature(type(self).__init__).parameters.values()
        defaults = {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and parameter.name != "self"
            and (parameter.default is not parameter.empty or hasattr(self, parameter.name))
        }
        return {
            name: schedule.serialize(getattr(self, name, value))
            for name, value in {**defaults, **self._given}.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Returns the object that `get_config` described."""
        return cls(**{name: schedule.deserialize(value) for name, value in config.items()})

    def __repr__(self):
        settings = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({settings})"


def _bound_arguments(cls, args, kwargs):
    """Returns a dictionary of the arguments given to a constructor, `**kwargs` among the others."""
    try:
        bound = inspect.signature(cls.__init__).bind(None, *args, **kwargs)
    except TypeError:
        # The constructor itself is about to say so.
        return {}
    given = dict(list(bound.arguments.items())[1:])
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name, {})
        elif parameter.kind is parameter.VAR_POSITIONAL:
            # Passed on to the class that is extended, which knows their names.
            names = inspect.signature(cls.__mro__[1].__init__).parameters
            given |= dict(zip(list(names)[1:], given.pop(parameter.name, ()), strict=False))
    return given
