"""Base of pruned and clustered layers."""

import keras


class CompressedKernel:
    """Base of layers that compute with another kernel than the one that they train.

    A subclass comes before a class of Keras. `own_arguments` are the arguments that it adds to that
    class's constructor, and `compressed_as` says in errors what it is.
    """

    own_arguments = ()

    def save_own_variables(self, store):
        """Saves all variables; the class of Keras would save only the kernel and the bias."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads what `save_own_variables` saved."""
        keras.layers.Layer.load_own_variables(self, store)

    def plain_config(self):
        """Returns the config of the plain layer of Keras that replaces this one in the end."""
        config = self.get_config()
        return {name: config[name] for name in config if name not in self.own_arguments}
