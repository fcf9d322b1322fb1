"""TensorFlow Lite Micro, built for Cortex-M4 from its checkout."""

import os
import pathlib
import shutil
import subprocess
import sys

MAKEFILE = "tensorflow/lite/micro/tools/make/Makefile"


def call(*command, **options):
    """Runs a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def tflm(checkout, kernels="", cmsis_nn=None):
    """Builds TensorFlow Lite Micro as an exported project's README says, unless that was done.

    Args:
        checkout: Its checkout.
        kernels: OPTIMIZED_KERNEL_DIR, or empty for the reference kernels.
        cmsis_nn: Checkout of CMSIS-NN in place of the one that make downloads, or `None`.

    Returns:
        Path of the archive.
    """
    compiler = shutil.which("arm-none-eabi-g++")
    # Its make runs Python, with Pillow and NumPy: this one's.
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    settings = ["TARGET=cortex_m_generic", "TARGET_ARCH=cortex-m4+fp"]
    if compiler:
        settings.append(f"TARGET_TOOLCHAIN_ROOT={pathlib.Path(compiler).parent}/")
    if kernels:
        settings.append(f"OPTIMIZED_KERNEL_DIR={kernels}")
    if cmsis_nn is not None:
        settings.append(f"CMSIS_NN_PATH={cmsis_nn.resolve()}")
    make = ["make", "-C", checkout, "-f", MAKEFILE, *settings]
    environment = {**os.environ, "PATH": path}
    # Whatever the downloads said comes before it.
    folder = call(*make, "-s", "list_gendir", env=environment).split()[-1]
    archive = checkout / folder / "lib" / "libtensorflow-microlite.a"
    if cmsis_nn is not None or not archive.exists():
        call(*make, "-j1", "microlite", env=environment)
    return archive
