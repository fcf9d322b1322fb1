"""The installed command: what needs no Keras doesn't wait for it."""

import importlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from keras_distill.cli import main
from keras_distill.cli.command import parser
from keras_distill.version import __version__

HEAVY = "{'keras', 'tensorflow', 'sklearn'} & set(sys.modules)"
SCRIPT = f"""
import sys
from keras_distill_command import main
sys.argv = ["keras-distill", *sys.argv[1:]]
status = main()
print("imported", sorted({HEAVY}))
sys.exit(status)
"""
ENDING = """
try:
    status = main()
except SystemExit as ended:
    status = ended.code
"""


def run(*arguments):
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["inspect", "lint", "boards"])
def test_looking_into_a_file_imports_neither_keras_nor_tensorflow(command, int8_file):
    result = run(command, int8_file)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "imported []"


COMMANDS = ("demo", "distill", "tune", "search", "export", "inspect", "lint", "boards")
MODELS = ["--teacher", "resnet20", "--teacher-epochs", "1", "--student", "resnet8"]
WRONG = [
    (["--version"], 0, f"keras-distill {__version__}"),
    ([], 2, "required: COMMAND"),
    (["export"], 2, "required: model"),
    (["demo", "--seeds", "0"], 2, "a whole number of at least 1"),
    (["export", "absent.keras"], 2, "There is no file 'absent.keras'"),
    (["export", __file__, "--data", "absent.npy"], 2, "There is no file 'absent.npy'"),
    (["export", __file__, "--target", "arduino"], 2, "needs --data"),
    (["distill"], 2, "--teacher is missing"),
    (["distill", *MODELS, "--data", "absent.npz"], 2, "There is no file 'absent.npz'"),
    (["distill", *MODELS, "--data", "digits", "--config", "no.yaml"], 2, "There is no file 'no"),
]
EACH = f"""
import contextlib, io, json, sys
from keras_distill_command import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["keras-distill", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        {ENDING.strip().replace(chr(10), chr(10) + 8 * " ")}
    print(json.dumps([status, said.getvalue(), sorted({HEAVY})]))
"""


def test_what_is_wrong_is_said_before_keras_is_imported():
    given = json.dumps([arguments for arguments, _, _ in WRONG])
    command = [sys.executable, "-c", EACH, given]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    for (arguments, status, said), line in zip(WRONG, result.stdout.splitlines(), strict=True):
        ended, text, imported = json.loads(line)
        assert (ended, imported) == (status, []), arguments
        assert said in text and "Traceback" not in text, arguments


def test_a_reader_that_stops_is_no_error(int8_file):
    # As with `| head -1`: the pipe's other end is closed before anything is written.
    reading, writing = os.pipe()
    os.close(reading)
    script = SCRIPT.partition("print")[0] + "sys.exit(status)"
    command = [sys.executable, "-c", script, "boards", str(int8_file)]
    result = subprocess.run(command, stdout=writing, stderr=-1, text=True, check=False)
    os.close(writing)
    assert (result.returncode, result.stderr) == (141, "")


def test_help_names_the_commands_at_once():
    result = run("--help")
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_that_its_parser_takes(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    _, _, examples = capsys.readouterr().out.rpartition("example")
    commands = examples.partition("\n")[2].replace("\\\n", " ").splitlines()
    assert commands
    for command in commands:
        program, *words = command.split()
        assert program == "keras-distill" and words[0] == name
        parser().parse_args(words)


def test_inspect_measures_without_them_too(int8_file):
    result = run("inspect", int8_file, "--benchmark")
    assert " ms" in result.stdout and "imported []" in result.stdout, result.stderr


def test_what_needs_keras_imports_it_and_knows_all_names_and_layers(tmp_path):
    import keras
    import numpy as np

    from keras_distill import compression

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = np.random.default_rng(0).random((20, 3), "float32")
    compression.quantize_aware(model, x).save(tmp_path / "student.keras")
    # In one process, as importing Keras takes longer than all three.
    code = f"""
import contextlib, io, json, sys
import keras_distill_command, keras_distill as kd

def run(*arguments):
    sys.argv = ["keras-distill", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        status = keras_distill_command.main()
    return [status or 0, printed.getvalue(), sorted({HEAVY})]

recipes = run("inspect", "--recipes")
from keras_distill import Distiller
student = {str(tmp_path / "student.keras")!r}
names = [kd.export_tflite.__name__, kd.losses.SoftTargets.__name__, hasattr(kd, "absent")]
exported = run("export", student, "--quantization", "int8")
print(json.dumps([recipes, names, exported]))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    recipes, names, exported = json.loads(result.stdout.splitlines()[-1])
    assert recipes[0] == 0 and "reviewkd" in recipes[1] and "keras" in recipes[2]
    # Who imports the command first has all public names too.
    assert names == ["export_tflite", "SoftTargets", False]
    # It knows the layers of this package.
    assert exported[0] == 0
    assert (tmp_path / "student.tflite").is_file()


def test_the_installed_program_is_this_command(int8_file):
    program = shutil.which("keras-distill", path=str(sys.prefix) + "/bin")
    if program is None:
        pytest.skip("keras-distill isn't installed here")
    command = [program, "boards", str(int8_file)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Arduino Nano 33 BLE" in result.stdout


@pytest.fixture(scope="module")
def int8_file(tmp_path_factory):
    import keras
    import numpy as np

    from keras_distill.tflite import export_tflite

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = np.random.default_rng(0).random((20, 3), "float32")
    path = tmp_path_factory.mktemp("file") / "model.tflite"
    return export_tflite(model, path, "int8", x, target="mcu").path


class _Interrupted:
    """A module whose import is interrupted."""

    def __getattr__(self, name):
        raise KeyboardInterrupt


def test_an_interrupt_while_it_imports_is_one_line(monkeypatch, capsys):
    command = importlib.import_module("keras_distill_command")
    monkeypatch.setitem(sys.modules, "keras_distill.cli", _Interrupted())
    assert command.main(["boards"]) == 130
    assert capsys.readouterr().err == "keras-distill: interrupted\n"
