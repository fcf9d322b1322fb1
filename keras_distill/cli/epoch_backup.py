"""Backup of a training after each epoch, from which a killed one goes on."""

import json

import keras

from keras_distill._compat import start_at_epoch
from keras_distill.files import write_whole


class EpochBackup(keras.callbacks.Callback):
    """Callback that saves weights, optimizer and history after each epoch, and goes on from them.

    With an `EpochOrder` beside it a training that goes on ends with the weights of one that was
    never stopped. Random numbers of layers that have no seed generator of their own are others.

    `keras.callbacks.BackupAndRestore` doesn't keep the history, and a kill while it saves leaves
    the weights of one epoch beside the number of another.

    Args:
        folder: `pathlib.Path` of the folder of this training alone.
        on_start: Function that is called with the number of epochs that are done already.
        on_epoch: Function that is called after each epoch.
    """

    def __init__(self, folder, on_start=lambda epochs: None, on_epoch=lambda: None):
        super().__init__()
        self._folder = folder
        self._on_start, self._on_epoch = on_start, on_epoch
        self._history = {}

    def on_train_begin(self, logs=None):
        """Loads the last epoch that was saved."""
        done = 0
        for file in self._saved()[-1:]:
            done = int(file.stem.removeprefix("epoch_"))
            content = json.loads(file.read_text("utf-8"))
            self._history = content["history"]
            optimizer = self.model.optimizer
            if not optimizer.built:
                optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self._weights(done))
            for state, value in zip(self._random_states(), content["random"], strict=True):
                state.assign(value)
            start_at_epoch(self.model, done)
        self._on_start(done)

    def on_epoch_end(self, epoch, logs=None):
        """Saves the epoch. What makes it count is the file of the history, which is written last.

        The last epoch isn't saved, as `fit` can't go on without one.
        """
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        done = epoch + 1
        if done < self.params["epochs"]:
            self._folder.mkdir(parents=True, exist_ok=True)
            earlier = [*self._saved()]
            self.model.save_weights(self._weights(done), overwrite=True)
            random = [state.numpy().tolist() for state in self._random_states()]
            content = json.dumps({"history": self._history, "random": random})
            write_whole(self._folder / f"epoch_{done}.json", content.encode())
            for file in earlier:
                file.unlink()
                self._weights(int(file.stem.removeprefix("epoch_"))).unlink(missing_ok=True)
        self._on_epoch()

    def on_train_end(self, logs=None):
        """Gives the model's history the epochs before the kill."""
        self.model.history.history = self._history

    def _random_states(self):
        """Returns the states of dropout and its like, which Keras saves in no file of weights."""
        weights = {id(weight) for weight in self.model.weights}
        return [each for each in self.model.variables if id(each) not in weights]

    def _saved(self):
        """Returns the files of finished epochs, of which a kill may leave two, by number."""
        files = self._folder.glob("epoch_*.json")
        return sorted(files, key=lambda file: int(file.stem.removeprefix("epoch_")))

    def _weights(self, done):
        return self._folder / f"epoch_{done}.weights.h5"
