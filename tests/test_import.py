"""What only some need isn't imported for all."""

import subprocess
import sys

HEAVY = (
    "ai_edge_litert",
    "keras_tuner",
    "matplotlib",
    "rich",
    "sklearn",
    "tensorflow_datasets",
    "tensorflow_model_optimization",
    "tf_keras",
    "tflite_micro",
)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        f"import sys, keras, tensorflow; heavy = set({HEAVY}) - set(sys.modules)\n"
        "import keras_distill; print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
