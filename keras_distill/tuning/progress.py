"""The progress bar of a search."""

import contextlib


class Progress:
    """Shows how many trainings are done, and of which setting the running one is.

    Args:
        verbose: 0 for nothing.
        trainings: Number of trainings of the whole search, or `None` if it isn't known.
    """

    def __init__(self, verbose, trainings):
        self._stack = contextlib.ExitStack()
        self._trainings = trainings
        self._bar = self._task = None
        self._is_shown = bool(verbose)

    def __enter__(self):
        if self._is_shown:
            from rich import progress

            self._bar = self._stack.enter_context(
                progress.Progress(
                    progress.TextColumn("{task.description}"),
                    progress.BarColumn(),
                    progress.MofNCompleteColumn(),
                    progress.TimeElapsedColumn(),
                    progress.TimeRemainingColumn(),
                )
            )
            self._task = self._bar.add_task("teacher", total=self._trainings)
        return self

    def __exit__(self, *error):
        self._stack.close()

    def say(self, sentences):
        """Shows sentences above the bar.

        Args:
            sentences: List of strings.
        """
        if self._bar is not None:
            for sentence in sentences:
                self._bar.console.print(sentence)

    def begin(self, name, finished):
        """Shows a setting.

        Args:
            name: The setting in words.
            finished: Number of its trainings that an earlier run did.
        """
        if self._bar is not None:
            self._bar.update(self._task, description=name, advance=finished)

    def advance(self, count=1):
        """Counts trainings.

        Args:
            count: How many are done.
        """
        if self._bar is not None:
            self._bar.advance(self._task, count)
