"""Options of a run, which the command line or a file in YAML or JSON gives."""

import argparse
import dataclasses
import json
import pathlib

from keras_distill.arguments import closest


@dataclasses.dataclass(frozen=True)
class Option:
    """Option of a command.

    Args:
        flag: Its flag, such as `--batch-size`; in files its name is `batch_size`.
        help: What it is.
        default: Value where neither the command line nor a file gives one.
        settings: Dictionary of further arguments of `argparse.ArgumentParser.add_argument`.
        replaces: Names of options that don't count in a file where this one is given beside it.
    """

    flag: str
    help: str
    default: object = None
    settings: dict = dataclasses.field(default_factory=dict)
    replaces: tuple = ()

    @property
    def name(self):
        """Its name in files."""
        return self.flag.removeprefix("--").replace("-", "_")

    def add_to(self, parser):
        """Adds it to a parser, which sets nothing where it isn't given."""
        shown = "" if self.default is None else f"; default: {self.default}"
        words = (self.help + shown).replace("%", "%%")
        parser.add_argument(self.flag, help=words, default=argparse.SUPPRESS, **self.settings)


CONFIG = Option(
    "--config",
    "a YAML or JSON file with any of these options by name, such as the run.yaml that a run "
    "writes; options given beside it are the ones that count",
    settings={"type": pathlib.Path, "metavar": "FILE"},
)


class RunOptions:
    """Options of a command that a file may hold too.

    Args:
        options: List of `Option`.
    """

    def __init__(self, options):
        self._options = {option.name: option for option in options}

    def add_to(self, parser):
        """Adds the options, and `--config`, to a parser."""
        for option in self._options.values():
            option.add_to(parser)
        CONFIG.add_to(parser)

    def completed(self, given):
        """Returns a namespace of all options: those given, or of the file, or the defaults.

        Args:
            given: Namespace of the options that were given on the command line.

        Raises:
            ValueError: If the file isn't there or isn't what it must be.
        """
        given = vars(given)
        defaults = {name: option.default for name, option in self._options.items()}
        of_file = self._of_file(given["config"]) if "config" in given else {}
        chosen = {name: value for name, value in given.items() if name in self._options}
        for name in chosen:
            for other in self._options[name].replaces:
                of_file.pop(other, None)
        return argparse.Namespace(**{**defaults, **of_file, **chosen})

    def _of_file(self, path):
        parser = _FileParser(path, self._options)
        words = []
        for key, value in _content(path).items():
            name = str(key).replace("-", "_")
            if name not in self._options:
                raise ValueError(
                    f"{path} holds {key!r}, which is no option.{closest(name, self._options)} "
                    f"Options: {', '.join(self._options)}"
                )
            words += _words(self._options[name].flag, value)
        return vars(parser.parse_args(words))

    def as_text(self, settings, command):
        """Returns the text of a YAML file that gives the same options.

        Args:
            settings: Namespace as `completed` returns.
            command: Name of the command.
        """
        import yaml

        # The defaults too, as those of another version may differ.
        content = {
            name: _plain(getattr(settings, name))
            for name in self._options
            if getattr(settings, name) is not None
        }
        written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        return f"# keras-distill {command} --config FILE --output FOLDER\n{written}"


class _FileParser(argparse.ArgumentParser):
    """A parser of the options in a file, whose errors name the file."""

    def __init__(self, path, options):
        super().__init__(add_help=False, allow_abbrev=False)
        self._path = path
        for option in options.values():
            option.add_to(self)

    def error(self, message):
        raise ValueError(f"{self._path}: {message.replace('argument --', '')}")


def _content(path):
    """Returns the dictionary in a file."""
    import yaml

    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    try:
        content = path.read_text("utf-8")
        content = json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} can't be read as YAML or JSON: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} must hold options by name, such as `epochs: 10`, and it holds a "
            f"{type(content).__name__}."
        )
    return content


def _words(flag, value):
    """Returns an option of a file as words of a command line."""
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, list):
        return [flag, *map(_word, value)]
    # In one word, so that it may start with a dash.
    return [f"{flag}={_word(value)}"]


def _word(value):
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return str(value) if isinstance(value, pathlib.Path) else value
