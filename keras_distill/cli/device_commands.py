"""The commands `export`, `inspect`, `lint` and `boards`."""

import json
import math
import pathlib

from keras_distill.cli import command_input
from keras_distill.cli.help_text import ending

# Kinds of projects, and how the printed line names them.
PACKS = {
    "arduino": "Arduino library",
    "cmake": "CMake project",
    "raspberry_pi": "Python runner",
    "android": "Android files",
    "ios": "iOS files",
}
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
TARGETS = ("mobile", "mcu", "arduino")
# Seconds after which a conversion is given up.
TIME_LIMIT = 3600
_ARRAYS = (".npy", ".npz")


def add_to(commands):
    """Adds the commands `export`, `lint` and `boards` to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    export = commands.add_parser(
        "export",
        help="convert a saved Keras model, check it, and pack it for a device",
        **ending(
            "Exit status: 0 if it was written and holds; 1 if the conversion failed, a "
            "microcontroller wouldn't compute what the file says, or the model doesn't fit "
            "--board; 2 for wrong arguments, files or data. Warnings are printed.",
            "keras-distill export model.keras --quantization int8 --data digits --target arduino",
        ),
    )
    export.add_argument(
        "model", type=pathlib.Path, help="a .keras or .h5 file, or the folder of a SavedModel"
    )
    export.add_argument("--output", type=pathlib.Path, help="default: beside the model")
    export.add_argument("--quantization", choices=QUANTIZATIONS)
    export.add_argument(
        "--data",
        help="inputs as in training: a .npy file, a .npz file (x, or arrays named like the "
        "model's inputs; y for accuracies), digits, or a tensorflow-datasets name",
    )
    export.add_argument("--data-dir", help="folder of tensorflow-datasets")
    export.add_argument(
        "--scale",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="what the pixels of --data reached from and to when the model was trained, such as 0 "
        "255 or -1 1; default: as they are, those of a named data set 0 to 1",
    )
    export.add_argument("--target", choices=TARGETS, default="mobile")
    export.add_argument(
        "--labels",
        help="names of the classes, for what is packed: a text file with one a line, or names "
        "with commas between; default: those of a named data set",
    )
    export.add_argument("--board", help="a board of `keras-distill boards` that it must fit")
    export.add_argument(
        "--pack",
        nargs="+",
        choices=list(PACKS),
        help="projects to write beside the file, with samples of --data; default: arduino for "
        "--target arduino",
    )
    export.add_argument(
        "--time-limit",
        type=command_input.count,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help=f"when to give a conversion up; default: {TIME_LIMIT}",
    )
    export.set_defaults(run=run_export, quantization="float32")
    lint = commands.add_parser(
        "lint",
        help="list what would fail on a device",
        **ending(
            "Exit status: 0 if nothing was found, 1 if errors were, 3 if only warnings were, 2 for "
            "wrong arguments, a missing or a damaged file.",
            "keras-distill lint model.tflite --target arduino",
        ),
    )
    _add_file(lint)
    lint.add_argument("--target", choices=TARGETS, default="mcu")
    lint.set_defaults(run=run_lint)
    boards = commands.add_parser(
        "boards",
        help="list the boards, and which of them a model fits",
        **ending(
            "Exit status: 0 if they were listed, 1 if TensorFlow Lite Micro can't run the model, 2 "
            "for wrong arguments, a missing or a damaged file.",
            "keras-distill boards model.tflite",
        ),
    )
    boards.add_argument("model", nargs="?", type=pathlib.Path, help="a .tflite file")
    boards.set_defaults(run=run_boards)


def add_inspection(parser, subjects):
    """Adds the arguments of `inspect MODEL` to its parser.

    Args:
        parser: `argparse.ArgumentParser` of the command.
        subjects: Its group of what can be inspected.
    """
    from keras_distill.tflite.analysis.ethos_u import ACCELERATORS

    subjects.add_argument("model", nargs="?", type=pathlib.Path, help="a .tflite file")
    parser.add_argument("--benchmark", action="store_true", help="measure the time per inference")
    parser.add_argument(
        "--threads", type=command_input.count, help="threads of the benchmark; default: 1"
    )
    parser.add_argument(
        "--ethos-u",
        metavar="PROCESSOR",
        choices=ACCELERATORS,
        nargs="?",
        const="ethos-u55-128",
        help="estimate it on Arm's Ethos-U; default: ethos-u55-128",
    )


def check_inspection(parser, options):
    """Refuses arguments of `inspect MODEL` that would do nothing.

    Args:
        parser: `argparse.ArgumentParser` of the command.
        options: Parsed arguments.
    """
    if options.model is None and (options.benchmark or options.ethos_u):
        parser.error("--benchmark and --ethos-u are for a MODEL")
    if options.threads is not None and not options.benchmark:
        parser.error("--threads is for --benchmark")


def _add_file(parser):
    parser.add_argument("model", type=pathlib.Path, help="a .tflite file")


def run_export(options):
    """Converts a model, prints how it compares, and packs it for devices.

    Args:
        options: Parsed arguments of `keras-distill export`.

    Returns:
        Exit status: 0, or 1 if TensorFlow Lite Micro doesn't compute what the file says, or the
        model doesn't fit the board.
    """
    output = _check_export(options)
    x, y, labels = _data(options.data, options.data_dir)
    if options.scale is not None:
        x = command_input.rescaled(x, *options.scale)
    model = command_input.load_model(options.model)
    given_labels = _given_labels(options, model)
    return convert(
        options, model, output, x, (x, y), labels if given_labels is None else given_labels
    )


def convert(options, model, output, calibration, samples, labels, project=None, sensor=None):
    """Converts a model, prints how it compares, and packs it for devices.

    Args:
        options: Namespace with `model` and `data`, which are named in errors, `quantization`,
            `target`, `board`, `pack`, `labels` and `time_limit`.
        model: `keras.Model`.
        output: `pathlib.Path` of the new file.
        calibration: Inputs that ranges are measured on, or `None`.
        samples: Tuple of inputs and labels to compare the model and the file on; each may be
            `None`.
        labels: Names of the classes for what is packed, or `None`.
        project: Path that the projects are named after; by default `output`.
        sensor: Preprocessing of `keras_distill.sensors` for an Arduino library, or `None`.

    Returns:
        Exit status: 0, or 1 if TensorFlow Lite Micro doesn't compute what the file says, or the
        model doesn't fit the board.
    """
    project = output if project is None else project
    check_projects(options, project)
    result, verification = _export(options, model, output, calibration, *samples)
    report = result.report()
    print(report)
    is_of_data = options.labels is None and labels is not None
    if is_of_data and len(labels) != result.outputs[0].shape[-1]:
        labels = None
    for pack in _packs(options):
        folder = _pack(result, pack, project, _first(samples[0], 10), labels, sensor)
        print(f"wrote the {PACKS[pack]} {folder}")
    if options.board and report.boards.get(options.board, ""):
        from keras_distill.tflite.analysis.boards import BOARDS

        print(f"{BOARDS[options.board].title}: {report.boards[options.board]}")
        return 1
    for_boards = options.target != "mobile"
    return int(for_boards and verification is not None and not verification.passed)


def _check_export(options):
    """Checks what can be known before Keras is imported; returns the path of the new file."""
    check_board(options.board)
    command_input.check_model_path(options.model)
    packs = _packs(options)
    if packs and options.data is None:
        raise ValueError(
            f"Packing for {', '.join(packs)} needs --data: stored samples with which the device "
            "checks itself."
        )
    if options.labels is not None and not packs:
        raise ValueError("--labels names the classes for what is packed: give --pack too.")
    if options.data is None and options.data_dir is not None:
        raise ValueError("--data-dir is the folder of a data set: give --data as well.")
    if options.scale is not None:
        if options.data is None:
            raise ValueError("--scale is for the pixels of a data set: give --data as well.")
        command_input.check_scale(*options.scale)
    if options.data is not None and pathlib.Path(options.data).suffix in _ARRAYS:
        command_input.check_file(pathlib.Path(options.data))
    return options.output or options.model.with_suffix(".tflite")


def check_board(board):
    """Checks that there is such a board, without Keras.

    Args:
        board: Its name, or `None`.

    Raises:
        ValueError: If there is none.
    """
    from keras_distill.tflite.analysis.boards import BOARDS

    if board is not None and board not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}. Received: board={board!r}")


def _export(options, model, output, calibration, x, y):
    """Converts the model and checks it on the data; returns both results."""
    import tensorflow as tf

    from keras_distill.tflite import export_tflite
    from keras_distill.tflite.runtime.verify import labels_of

    if y is not None:
        labels_of(y, len(x[next(iter(x))] if isinstance(x, dict) else x))
    quantization = None if options.quantization == "float32" else options.quantization
    try:
        result = export_tflite(
            model,
            output,
            quantization,
            calibration,
            target=options.target,
            time_limit=options.time_limit,
        )
        print(f"wrote {output} ({result.size:,} B)")
        for finding in result.lint():
            print(finding)
        verification = None
        if x is not None:
            verification = result.verify(model, _first(x, 500), None if y is None else y[:500])
            print(verification)
    except tf.errors.OpError as error:
        # Such as numbers of words beyond an embedding's.
        raise ValueError(
            f"{options.model} can't compute {options.data}: {error.message}"
        ) from error
    return result, verification


def _packs(options):
    """Returns the kinds of projects to write, each once."""
    packs = options.pack or (["arduino"] if options.target == "arduino" else [])
    return list(dict.fromkeys(packs))


def _first(x, count):
    """Returns the first samples of an array, or of each of several."""
    return {name: x[name][:count] for name in x} if isinstance(x, dict) else x[:count]


def _given_labels(options, model):
    """Returns the names of classes that were given, one per output value, or `None`."""
    if options.labels is None:
        return None
    from keras_distill.tflite.deploy import labels

    if len(model.outputs) != 1:
        raise ValueError(
            f"--labels is for a model with one output. Received: {len(model.outputs)} outputs"
        )
    given, shape = command_input.load_labels(options.labels), model.output_shape[1:]
    return given if None in shape else labels.checked(given, math.prod(shape))


def check_projects(options, project):
    """Checks that the folders of projects hold nothing else.

    Args:
        options: As for `convert`.
        project: As for `convert`.

    Raises:
        ValueError: If one does.
    """
    from keras_distill.tflite.deploy import project_folder

    for pack in _packs(options):
        project_folder.check(_folder(project, pack), pack)


def _pack(result, pack, project, samples, labels, sensor):
    """Writes a project beside the file."""
    folder = _folder(project, pack)
    of_sensor = {"sensor": sensor} if sensor is not None and pack == "arduino" else {}
    return getattr(result, f"to_{pack}")(folder, labels, samples, project.stem, **of_sensor)


def _folder(output, pack):
    """Returns the folder of a project: the Arduino library's name is its own, others add theirs."""
    return output.with_name(output.stem if pack == "arduino" else f"{output.stem}_{pack}")


def _data(source, data_dir):
    """Returns inputs, labels and names of classes that were named; `None` for what isn't there."""
    if source is None:
        return None, None, None
    path = pathlib.Path(source)
    if path.suffix in _ARRAYS:
        return *command_input.load_arrays(path), None
    from keras_distill import datasets

    data = datasets.load(source, data_dir=data_dir, max_train=500, max_test=500)
    return data.x_test, data.y_test, data.labels


def run_lint(options):
    """Prints what is wrong with a file on a target.

    Args:
        options: Parsed arguments of `keras-distill lint`.

    Returns:
        Exit status: 0 if there are no findings, 1 if there is an error among them, 3 if there are
        warnings only.
    """
    from keras_distill.tflite.model import TFLiteModel

    findings = TFLiteModel(options.model).lint_for(options.target)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"nothing found: {options.model} for {options.target}")
    if any(finding.severity == "error" for finding in findings):
        return 1
    return 3 if findings else 0


def run_boards(options):
    """Prints the boards, and for a model which of them it fits.

    Args:
        options: Parsed arguments of `keras-distill boards`.

    Returns:
        Exit status 0.
    """
    from keras_distill.tflite.analysis.boards import BOARDS
    from keras_distill.tflite.model import TFLiteModel

    fits = {}
    if options.model is not None:
        report = TFLiteModel(options.model).report()
        fits = report.boards
        if not fits:
            raise RuntimeError(
                f"The arena of {options.model} is unknown, so whether it fits a board is too. "
                f"{' '.join(report.notes)}"
            )
    for name, board in BOARDS.items():
        verdict = f"  {fits[name] or 'fits'}" if fits else ""
        memory = (
            f"{board.sram // 1024:>5} KiB SRAM {board.usable_arena // 1024:>4} KiB for an arena "
            f"{board.flash // 1024:>6} KiB flash"
        )
        print(f"{name:<28}{board.title:<38}{memory}{verdict}")
    return 0


def run_inspect(options):
    """Prints what a file holds and needs, and how long it takes on this computer.

    Args:
        options: Parsed arguments of `keras-distill inspect`.

    Returns:
        Exit status 0.
    """
    from keras_distill.tflite.analysis.latency import latency
    from keras_distill.tflite.model import TFLiteModel

    model = TFLiteModel(options.model)
    print(f"kind       {model.quantization or 'float32'}")
    for side, infos in (("input", model.inputs), ("output", model.outputs)):
        for info in infos:
            scale = f", scale {info.scale:g}, zero {info.zero_point}" if info.scale else ""
            shape = json.dumps(list(info.shape))
            print(f"{side:<11}{info.name or '(no name)'}: {info.dtype} {shape}{scale}")
    if model.metadata is not None:
        print(f"classes    {', '.join(model.metadata.labels) or 'without names'}")
    report = model.report()
    print(f"\n{'operator':<22}{'output':<20}{'MACs':>12}{'weights':>12}{'output':>12}  where")
    for cost in report.costs:
        shape = " x ".join(map(str, cost.shape))
        sizes = f"{cost.macs:>12,}{cost.constant_bytes:>10,} B{cost.output_bytes:>10,} B"
        print(f"{cost.name:<22}{shape:<20}{sizes}  {cost.where}")
    print(f"\n{report}")
    if options.benchmark:
        print(latency(model, options.threads or 1))
    if options.ethos_u:
        print(model.estimate_ethos_u(options.ethos_u))
    return 0
