"""The command keras-distill, which imports Keras only for commands that need it.

`keras_distill/__init__.py` sees that this module was imported first.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command keras-distill.

    Args:
        arguments: As for `keras_distill.cli.main`, whose exit status it returns.
    """
    # An interrupt may come while this imports too.
    try:
        from keras_distill.cli import main as run
    except KeyboardInterrupt:
        print("keras-distill: interrupted", file=sys.stderr)
        return 130
    return run(arguments)
