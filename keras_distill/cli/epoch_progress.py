"""The progress of a run over all epochs of its trainings."""

from keras_distill.cli.epoch_backup import EpochBackup


class EpochProgress:
    """Bar over the epochs of all trainings, each of which is saved as it ends.

    Args:
        bar: `rich.progress.Progress`, started.
        epochs: Number of epochs of all trainings.
    """

    def __init__(self, bar, epochs):
        self._bar = bar
        self._task = bar.add_task("", total=epochs)

    def say(self, words):
        """Shows what is being done.

        Args:
            words: Text.
        """
        self._bar.update(self._task, description=words)

    def skip(self, epochs):
        """Counts epochs that were done before.

        Args:
            epochs: Number of epochs.
        """
        self._bar.advance(self._task, epochs)

    def finish(self):
        """Shows that all is done."""
        self._bar.update(self._task, description="done", completed=self._bar.tasks[0].total)

    def backup(self, folder, words):
        """Returns the callback that saves a training's epochs and counts them.

        Args:
            folder: As for `EpochBackup`.
            words: What is trained.
        """

        def on_start(done):
            self.say(words)
            self.skip(done)
            if done:
                self._bar.console.print(f"{words}: going on after epoch {done}", highlight=False)

        return EpochBackup(folder, on_start, lambda: self.skip(1))
