"""The commands of keras-distill for any Keras model and any TensorFlow Lite file."""

import json
import math
import pathlib

import numpy as np

# What can be packed, and what it is called when it is done.
_PACKS = {
    "arduino": "Arduino library",
    "cmake": "CMake project",
    "raspberry_pi": "Python runner",
    "android": "Android files",
    "ios": "iOS files",
}


def add_to(commands):
    """Adds the commands `export`, `lint` and `boards` to a parser.

    Args:
        commands: What `argparse.ArgumentParser.add_subparsers` returned.
    """
    export = commands.add_parser(
        "export", help="convert a saved Keras model, check it, and pack it for a device"
    )
    export.add_argument("model", type=pathlib.Path, help="a .keras or .h5 file")
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
    export.set_defaults(run=run_export, quantization="float32")
    lint = commands.add_parser("lint", help="list what would fail on a device")
    _add_file(lint)
    lint.add_argument("--target", choices=["mobile", "mcu", "arduino"], default="mcu")
    lint.set_defaults(run=run_lint)
    boards = commands.add_parser("boards", help="list the boards, and which of them a model fits")
    boards.add_argument("model", nargs="?", type=pathlib.Path, help="a .tflite file")
    boards.set_defaults(run=run_boards)


def add_inspection(parser, subjects):
    """Adds the arguments of `inspect MODEL` to its parser.

    Args:
        parser: `argparse.ArgumentParser` of the command.
        subjects: Its group of what can be inspected.
    """
    subjects.add_argument("model", nargs="?", type=pathlib.Path, help="a .tflite file")
    parser.add_argument("--benchmark", action="store_true", help="measure the time per inference")
    parser.add_argument("--threads", type=int, default=1, help="threads of the benchmark")
    parser.add_argument(
        "--ethos-u",
        metavar="PROCESSOR",
        nargs="?",
        const="ethos-u55-128",
        help="estimate it on Arm's Ethos-U; default: ethos-u55-128",
    )


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
    import keras

    from keras_distill.tflite import BOARDS, export_tflite, project_folder

    if options.board is not None and options.board not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, got {options.board!r}.")
    if not options.model.is_file():
        raise ValueError(f"There is no file {str(options.model)!r}.")
    x, y, labels = _data(options.data, options.data_dir)
    packs = _packs(options, x)
    model = keras.models.load_model(options.model, compile=False)
    output = options.output or options.model.with_suffix(".tflite")
    given_labels = _given_labels(options, packs, model)
    for pack in packs:
        project_folder.check(_folder(output, pack), pack)
    quantization = None if options.quantization == "float32" else options.quantization
    result = export_tflite(model, output, quantization, x, target=options.target)
    print(f"wrote {output} ({result.size:,} B)")
    for finding in result.lint():
        print(finding)
    verification = None
    if x is not None:
        verification = result.verify(model, _first(x, 500), None if y is None else y[:500])
        print(verification)
    report = result.report()
    print(report)
    if given_labels is not None:
        labels = given_labels
    elif labels is not None and len(labels) != result.outputs[0].shape[-1]:
        labels = None
    for pack in packs:
        print(f"wrote the {_PACKS[pack]} {_pack(result, pack, output, _first(x, 10), labels)}")
    if options.board and report.boards.get(options.board, ""):
        print(f"{BOARDS[options.board].title}: {report.boards[options.board]}")
        return 1
    for_boards = options.target != "mobile"
    return int(for_boards and verification is not None and not verification.passed)


def _packs(options, x):
    """Returns what is to be packed, each once."""
    packs = options.pack or (["arduino"] if options.target == "arduino" else [])
    if packs and x is None:
        raise ValueError(
            f"Packing for {', '.join(packs)} needs --data: stored samples with which the device "
            "checks itself."
        )
    return list(dict.fromkeys(packs))


def _first(x, count):
    """Returns the first samples of an array, or of each of several."""
    return {name: x[name][:count] for name in x} if isinstance(x, dict) else x[:count]


def _given_labels(options, packs, model):
    """Returns the names of classes that were given, one per output value, or `None`."""
    if options.labels is None:
        return None
    if not packs:
        raise ValueError("--labels names the classes for what is packed: give --pack too.")
    from keras_distill.tflite import labels

    if len(model.outputs) != 1:
        raise ValueError(f"--labels is for a model with one output, not {len(model.outputs)}.")
    given, shape = _labels(options.labels), model.output_shape[1:]
    return given if None in shape else labels.checked(given, math.prod(shape))


def _labels(source):
    """Returns the names of classes that a file or the command holds."""
    path = pathlib.Path(source)
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in source.split(",")]


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
    if path.suffix in (".npy", ".npz"):
        if not path.is_file():
            raise ValueError(f"There is no file {source!r}.")
        loaded = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return loaded, None, None
        y = loaded["y"] if "y" in loaded.files else None
        arrays = {name: loaded[name] for name in loaded.files if name != "y"}
        if not arrays:
            raise ValueError(f"{source} holds no inputs: name them x, or like the model's inputs.")
        several = len(arrays) > 1 and "x" not in arrays
        return arrays if several else arrays.get("x", next(iter(arrays.values()))), y, None
    from keras_distill import datasets

    data = datasets.load(source, data_dir=data_dir, max_train=500, max_test=500)
    return data.x_test, data.y_test, data.labels


def run_lint(options):
    """Prints what is wrong with a file on a target.

    Args:
        options: Parsed arguments of `keras-distill lint`.

    Returns:
        Exit status: 1 if there is an error among the findings.
    """
    from keras_distill.tflite.model import TFLiteModel

    findings = TFLiteModel(options.model).lint_for(options.target)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"nothing found: {options.model} for {options.target}")
    return int(any(finding.severity == "error" for finding in findings))


def run_boards(options):
    """Prints the boards, and for a model which of them it fits.

    Args:
        options: Parsed arguments of `keras-distill boards`.

    Returns:
        Exit status 0.
    """
    from keras_distill.tflite.boards import BOARDS
    from keras_distill.tflite.model import TFLiteModel

    fits = {} if options.model is None else TFLiteModel(options.model).report().boards
    if options.model is not None and not fits:
        raise ValueError(
            f"The arena of {options.model} is unknown, so whether it fits a board is too: "
            "install the extra `micro`, and see `keras-distill lint`."
        )
    for name, board in BOARDS.items():
        verdict = f"  {fits[name] or 'fits'}" if fits else ""
        memory = f"{board.sram // 1024:>5} KiB SRAM {board.flash // 1024:>6} KiB flash"
        print(f"{name:<28}{board.title:<38}{memory}{verdict}")
    return 0


def run_inspect(options):
    """Prints what a file holds and asks of a device, and how long it takes here.

    Args:
        options: Parsed arguments of `keras-distill inspect`.

    Returns:
        Exit status 0.
    """
    from keras_distill.tflite.latency import latency
    from keras_distill.tflite.model import TFLiteModel

    model = TFLiteModel(options.model)
    print(f"kind       {model.quantization or 'float32'}")
    for side, infos in (("input", model.inputs), ("output", model.outputs)):
        for info in infos:
            scale = f", scale {info.scale:g}, zero {info.zero_point}" if info.scale else ""
            shape = json.dumps(list(info.shape))
            print(f"{side:<11}{info.name}: {info.dtype} {shape}{scale}")
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
        print(latency(model, options.threads))
    if options.ethos_u:
        print(model.estimate_ethos_u(options.ethos_u))
    return 0
