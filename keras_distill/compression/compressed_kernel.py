"""What pruned and clustered layers have in common."""

import keras


class CompressedKernel:
    """Makes a layer compute with another kernel than the one that it trains.

    A class that has it comes before a class of Keras, and has what it adds to the constructor in
    `own_arguments`, and what it is, for errors, in `compressed_as`.
    """

    own_arguments = ()

    def save_own_variables(self, store):
        """Saves all variables, of which the layer's own class knows the kernel and bias alone."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` saved."""
        keras.layers.Layer.load_own_variables(self, store)

    def plain_config(self):
        """Returns the config of the layer of Keras that has this one's place when it is done."""
        config = self.get_config()
        return {name: config[name] for name in config if name not in self.own_arguments}
