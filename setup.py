"""The packages: those found here, and `export/`, which is shipped as `keras_distill.device`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["keras_distill", "keras_distill.*"]), "keras_distill.device"],
    package_dir={"keras_distill.device": "export"},
)
