"""The commands `export`, `inspect`, `lint` and `boards`."""

import argparse
import json
import math
import pathlib

from keras_distill.cli import command_input

# Kinds of projects, and how the printed line names them.
_PACKS = {
    "arduino": "Arduino library",
    "cmake": "CMake project",
    "raspberry_pi": "Python runner",
    "android": "Android files",
    "ios": "iOS files",
}
_ARRAYS = (".npy", ".npz")


def add_to(commands):
    """Adds the commands `export`, `lint` and `boards` to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    export = commands.add_parser(
        "export",
        help="convert a saved Keras model, check it, and pack it for a device",
        epilog="Exit status: 0 if it was written and holds; 1 if the conversion failed, a "
        "microcontroller wouldn't compute what the file says, or the model doesn't fit --board; 2 "
        "for wrong arguments, files or data. Warnings are printed.",
    )
    export.add_argument(
        "model", type=pathlib.Path, help="a .keras or .h5 file, or the folder of a SavedModel"
    )
    export.add_argument("--output", type=pathlib.Path, help="default: beside the model")
    export.add_argument(
        "--quantization", choices=["float32", "float16", "dynamic", "int8", "int16x8"]
    )
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
    export.add_argument("--target", choices=["mobile", "mcu", "arduino"], default="mobile")
    export.add_argument(
        "--labels",
        help="names of the classes, for what is packed: a text file with one a line, or names "
        "with commas between; default: those of a named data set",
    )
    export.add_argument("--board", help="a board of `keras-distill boards` that it must fit")
    export.add_argument(
        "--pack",
        nargs="+",
        choices=list(_PACKS),
        help="projects to write beside the file, with samples of --data; default: arduino for "
        "--target arduino",
    )
    export.add_argument(
        "--time-limit",
        type=count,
        default=3600,
        metavar="SECONDS",
        help="when to give a conversion up; default: 3600",
    )
    export.set_defaults(run=run_export, quantization="float32")
    lint = commands.add_parser(
        "lint",
        help="list what would fail on a device",
        epilog="Exit status: 0 if nothing was found, 1 if errors were, 3 if only warnings were, 2 "
        "for wrong arguments, a missing or a damaged file.",
    )
    _add_file(lint)
    lint.add_argument("--target", choices=["mobile", "mcu", "arduino"], default="mcu")
    lint.set_defaults(run=run_lint)
    boards = commands.add_parser(
        "boards",
        help="list the boards, and which of them a model fits",
        epilog="Exit status: 0 if they were listed, 1 if TensorFlow Lite Micro can't run the "
        "model, 2 for wrong arguments, a missing or a damaged file.",
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
    parser.add_argument("--threads", type=count, help="threads of the benchmark; default: 1")
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


def count(text):
    """Returns the whole number of at least 1 that an argument is.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, not {text!r}")
    return int(text)


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
    _check_folders(options, output)
    result, verification = _export(options, model, output, x, y)
    report = result.report()
    print(report)
    if given_labels is not None:
        labels = given_labels
    elif labels is not None and len(labels) != result.outputs[0].shape[-1]:
        labels = None
    for pack in _packs(options):
        print(f"wrote the {_PACKS[pack]} {_pack(result, pack, output, _first(x, 10), labels)}")
    if options.board and report.boards.get(options.board, ""):
        from keras_distill.tflite.analysis.boards import BOARDS

        print(f"{BOARDS[options.board].title}: {report.boards[options.board]}")
        return 1
    for_boards = options.target != "mobile"
    return int(for_boards and verification is not None and not verification.passed)


def _check_export(options):
    """Checks what can be known before Keras is imported; returns the path of the new file."""
    from keras_distill.tflite.analysis.boards import BOARDS

    if options.board is not None and options.board not in BOARDS:
        raise ValueError(
            f"board must be one of {', '.join(BOARDS)}. Received: board={options.board!r}"
        )
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


def _export(options, model, output, x, y):
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
            x,
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


def _check_folders(options, output):
    from keras_distill.tflite.deploy import project_folder

    for pack in _packs(options):
        project_folder.check(_folder(output, pack), pack)


def _pack(result, pack, output, samples, labels):
    """Writes a project beside the file."""
    folder = _folder(output, pack)
    return getattr(result, f"to_{pack}")(folder, labels, samples, output.stem)


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
