"""What a cache holds: its targets, the teacher's activations, and how it is saved by its place."""

import copy
import warnings
from typing import Any, Self

from keras_distill.arguments import check_text, shown
from keras_distill.cache import manifest
from keras_distill.cache.arguments import local_directory
from keras_distill.cache.targets import MASK, Target, check_top_k, read_target


class CacheContent:
    """Base of `TeacherCache`: what the manifest says, without the files."""

    def _describe(self, directory, content):
        self.directory = directory
        self._content = content
        self.made_of = content["made_of"]
        self.candidates = content["candidates"]
        self.outputs = content["outputs"]
        self._targets = {}
        for record in content["targets"]:
            target = read_target(record)
            self._targets.setdefault((target.path, target.reduction), []).append(target)
        self._output_activations = dict(content["output_activation"])

    @property
    def targets(self) -> list[Target]:
        """List of the `Target` objects that the cache keeps."""
        return [target for group in self._targets.values() for target in group]

    @property
    def nbytes(self) -> int:
        """Bytes of the cache's shards on the disk."""
        return sum(file["bytes"] for file in self._content["files"].values())

    def output_activation(self, path: str | None) -> str | list | None:
        """Names the activation of the teacher's output, or of a layer, as in `LossContext`.

        Args:
            path: Layer path, or `None` for the output.
        """
        return self._output_activations.get(None if path is None else check_text("path", path))

    def holds(self, path: str | None, reduction: str) -> bool:
        """Returns whether a target of this very reduction is kept.

        Args:
            path: Layer path, or `None` for the output.
            reduction: Name of the reduction, `""` for the whole.
        """
        return (path, reduction) in self._targets

    def mask_of(self, target: Target) -> Target | None:
        """Returns the target with the Keras mask that a target carries, or `None`.

        Args:
            target: `Target`.
        """
        masks = self._targets.get((target.path, MASK), [])
        return next((mask for mask in masks if mask.leaf == target.leaf), None)

    def targets_for(self, path: str | None, reduction: str, loss: Any = None) -> list[Target]:
        """Returns the targets that serve a loss.

        Args:
            path: Layer path, or `None` for the output.
            reduction: Name of the reduction that the loss takes; the whole serves too.
            loss: The loss, for the error.

        Raises:
            ValueError: If the cache has none.
        """
        if path is not None:
            check_text("path", path)
        for key in ((path, reduction), (path, "")):
            if key in self._targets:
                targets = self._targets[key]
                if any(target.top_k is not None for target in targets):
                    check_top_k(loss, self.output_activation(path))
                return targets
        what = f"{path or 'output'}{f' ({reduction})' if reduction else ''}"
        raise ValueError(
            f"The cache in {str(self.directory)!r} doesn't hold {shown(what)} of the teacher, "
            f"which {type(loss).__name__} needs. It holds "
            f"{[target.name for target in self.targets]}. "
            "Build one with this loss among its distillation_losses."
        )

    def __repr__(self):
        kept = ", ".join(target.name for target in self.targets)
        return (
            f"<TeacherCache {str(self.directory)!r}: {self.made_of['samples']} samples, "
            f"{self.made_of['views']} views, {self.made_of['dtype']}, {self.nbytes:,} bytes: "
            f"{kept}>"
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the folder and what the cache holds, without its files."""
        return {"directory": str(self.directory), "content": {**self._content, "files": {}}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Opens the cache that `get_config` described, without reading its files.

        Where it is no longer in its place it warns, and the result knows what the cache held.
        """
        try:
            # The constructor is that of `TeacherCache`.
            return cls(config["directory"], verify=False)  # type: ignore[call-arg]
        except FileNotFoundError as error:
            if "content" not in config:
                raise
            warnings.warn(
                f"{error} This distiller's cache isn't in its place: to train, join with "
                "TeacherCache of the new place, distiller.fit(TeacherCache(...).join(dataset)).",
                stacklevel=2,
            )
        cache = cls.__new__(cls)
        cache._describe(
            local_directory(config["directory"]),
            manifest.translated(copy.deepcopy(config["content"])),
        )
        return cache
