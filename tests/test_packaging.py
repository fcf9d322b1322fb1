"""What is installed: the device side, the marker of types, the declared dependencies."""

import ast
import configparser
import importlib.resources
import pathlib
import re
import sys

import keras_distill

PACKAGE = pathlib.Path(keras_distill.__file__).parent
ROOT = pathlib.Path(__file__).parents[1]
DISTRIBUTIONS = {
    "IPython": "ipykernel",
    "ai_edge_litert": "ai-edge-litert",
    "keras_tuner": "keras-tuner",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "tflite_micro": "tflite-micro",
    "yaml": "pyyaml",
}
# Imported by what is declared, which doesn't declare it.
FOR_OTHERS = {"importlib_resources", "setuptools"}
# Modules that are named as text: run with `-m`, or imported by `importlib`.
NAMED = {"ethos-u-vela", "tensorflow-model-optimization", "tf_keras"}


def declared(lines):
    return {re.match(r"[\w-]+", line)[0] for line in lines.splitlines() if line.strip()}


def imported():
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    names -= {*sys.stdlib_module_names, "keras_distill"}
    return {DISTRIBUTIONS.get(name, name) for name in names}


def test_each_import_is_declared_and_what_is_declared_is_imported():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    needed = declared(config["options"]["install_requires"])
    extras = config["options.extras_require"]
    names = ("micro", "plot", "notebook", "compress", "ethos-u", "tune")
    optional = set().union(*(declared(extras[name]) for name in names))
    assert imported() | NAMED == (needed | optional) - FOR_OTHERS - {"keras_distill"}


def test_the_device_side_and_the_marker_of_types_are_installed():
    installed = importlib.resources.files("keras_distill.device")
    for path in (ROOT / "export").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            file = installed.joinpath(*path.relative_to(ROOT / "export").parts)
            assert file.read_bytes() == path.read_bytes()
    assert importlib.resources.files("keras_distill").joinpath("py.typed").is_file()
