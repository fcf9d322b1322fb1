"""The TensorFlow Lite converter in a subprocess, because some models crash it.

The subprocess is reused for some seconds, since importing the converter takes longer than most
conversions.
"""

import pathlib

from keras_distill.tflite.reused_process import ReusedProcess

# How long the subprocess waits for the next conversion. It holds some 300 MB meanwhile.
IDLE_SECONDS = 10.0
_SCRIPT = pathlib.Path(__file__).with_name("converter_process.py")


def convert(folder, time_limit):
    """Converts what lies in a folder.

    Each conversion runs in a child of the reused subprocess on Linux, and in a subprocess of its
    own elsewhere.

    Args:
        folder: Folder of a job, as `converter_process` describes it.
        time_limit: Seconds after which the conversion is ended.

    Returns:
        Tuple of the exit status, negative for a signal, and what the converter printed.

    Raises:
        RuntimeError: If the subprocess can't be started, dies or takes too long.
    """
    advice = (
        "give fewer samples of representative_data, or a higher time_limit. Received: "
        f"time_limit={time_limit:g}"
    )
    status = _reused.do(folder, time_limit, advice, IDLE_SECONDS)
    log = folder / "log.txt"
    return status, log.read_text("utf-8", "replace") if log.is_file() else ""


_reused = ReusedProcess(_SCRIPT, "The process of the converter", "The conversion")
