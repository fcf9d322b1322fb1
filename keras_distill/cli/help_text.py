"""The end of a command's help: what its exit status means, and an example."""

import argparse
import textwrap

_WIDTH = 79


def ending(status, *examples):
    """Returns the arguments of `add_parser` for the end of a command's help.

    Args:
        status: What the exit status means, in a sentence or two.
        *examples: Commands that can be copied.
    """
    title = "examples:" if len(examples) > 1 else "example:"
    lines = [textwrap.fill(status, _WIDTH), "", title]
    for example in examples:
        # A shell joins what is divided like this.
        wrapped = textwrap.wrap(example, _WIDTH - 6, break_long_words=False, break_on_hyphens=False)
        lines.append("  " + " \\\n      ".join(wrapped))
    return {
        "epilog": "\n".join(lines).replace("%", "%%"),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
