"""The progress bar over the runs of a comparison."""


class Progress:
    """Gives the runs one by one, and shows how far they are.

    Args:
        runs: List of tuples of an arm and a seed.
        verbose: 1 for a bar, 0 for none.
    """

    def __init__(self, runs, verbose):
        self._runs = runs
        self._verbose = verbose

    def __iter__(self):
        if not self._verbose or not self._runs:
            yield from self._runs
            return
        from rich import progress
        from rich.markup import escape

        columns = (
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
        )
        with progress.Progress(*columns) as bar:
            task = bar.add_task("", total=len(self._runs))
            for arm, seed in self._runs:
                bar.update(task, description=escape(f"{arm.name}, seed {seed}"))
                yield arm, seed
                bar.advance(task)
            bar.update(task, description="done")
