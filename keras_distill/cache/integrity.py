"""Checks that the files of a cache are those that its manifest records."""

from keras_distill.cache import manifest, shards


def check_files(directory, files, verify):
    """Checks that the shards of a cache are there and whole.

    Args:
        directory: Folder of the cache.
        files: Dictionary from name to size, checksum and number of records; empty if a distiller
            was loaded without its cache.
        verify: Whether to compare checksums too.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is damaged, or the cache was missing and is back.
    """
    if not files:
        manifest.read(directory)
        raise ValueError(
            f"The cache in {str(directory)!r} wasn't there when the distiller was loaded: "
            f"join with TeacherCache({str(directory)!r})."
        )
    for name, recorded in files.items():
        path = directory / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: call TeacherCache.build, or from_outputs, again with the "
                "same arguments, which makes it again."
            )
        is_whole = path.stat().st_size == recorded["bytes"] and (
            not verify or manifest.file_checksum(path) == recorded["checksum"]
        )
        if not is_whole:
            raise shards.damaged(path)
