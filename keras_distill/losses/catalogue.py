"""The list of all distillation losses, for people who choose one."""

import dataclasses
import inspect

from keras_distill.losses import registry

_NEEDS = {
    "needs_labels": "labels",
    "needs_indices": "sample indices",
    "needs_input_gradient": "input gradients",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """What there is to know about a loss before it is used.

    Args:
        name: Name of the class.
        abbreviations: The field's short names, that `losses.get` takes too.
        family: `"response"`, `"attention"`, `"feature"` or `"relation"`.
        summary: One sentence.
        taps: What it compares of the two models.
        needs: What it needs beyond the two models: `"labels"`, `"sample indices"`,
            `"input gradients"`, `"no teacher"`, in any number.
        paper: The reference.
    """

    name: str
    abbreviations: tuple[str, ...]
    family: str
    summary: str
    taps: str
    needs: tuple[str, ...]
    paper: str

    @property
    def needs_labels(self) -> bool:
        """Whether the loss needs labels."""
        return any(need.startswith("labels") for need in self.needs)


def catalogue() -> list[Entry]:
    """Lists all distillation losses, family by family, the best known first.

    Returns:
        List of `Entry`.

    Example:

    ```python
    with_labels = [entry.name for entry in catalogue() if entry.needs_labels]
    assert "DecoupledKD" in with_labels
    ```
    """
    entries = [_entry(method) for method in registry.METHODS]
    families = list(dict.fromkeys(entry.family for entry in entries))
    return sorted(entries, key=lambda entry: families.index(entry.family))


def as_markdown(entries: list[Entry]) -> str:
    """Returns a table of losses for a README.

    Args:
        entries: List of `Entry`.

    Returns:
        Text of a Markdown table.
    """
    lines = [
        "| loss | short name | knowledge | taps | needs | paper |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        short = ", ".join(f"`{name}`" for name in entry.abbreviations)
        cells = (f"`{entry.name}`", short, entry.family, entry.taps, ", ".join(entry.needs))
        lines.append(f"| {' | '.join(cells)} | {entry.paper} |")
    return "\n".join(lines) + "\n"


def _entry(method):
    text = inspect.getdoc(method.loss_class)
    return Entry(
        name=method.loss_class.__name__,
        abbreviations=tuple(method.abbreviations),
        family=method.family,
        summary=text.partition("\n")[0],
        taps=method.loss_class.taps,
        needs=_needs(method.loss_class),
        paper=_paper(text),
    )


def _needs(loss_class):
    needs = []
    for attribute, need in _NEEDS.items():
        value = getattr(loss_class, attribute)
        # A need that depends on the settings is a property of the loss.
        if isinstance(value, property):
            needs.append(f"{need} (in one mode)")
        elif value:
            needs.append(need)
    return tuple(needs if loss_class.needs_teacher else [*needs, "no teacher"])


def _paper(text):
    reference = text.partition("Reference:\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in reference.splitlines()]
    return " ".join(line.removeprefix("- ") for line in lines)
