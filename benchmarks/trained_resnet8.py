"""A trained ResNet-8 in int8: whether the export keeps what it learned, on LiteRT and on TFLM.

Run: python benchmarks/trained_resnet8.py --data-dir FOLDER --teacher FILE [--epochs 6]

ResNet-8 of MLPerf Tiny, its softmax inside as in the published model, distilled on 20,000 images of
CIFAR-10 with the library's default from a trained ResNet-56 whose answers are kept in a cache. Then
exported to int8 with 500 images, and verified on 2,000 test images.
Writes benchmarks/results/trained_resnet8.md.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np
from gain_tasks.cifar import DEVIATION, MEAN

from keras_distill import Distiller, TeacherCache, architectures, datasets, export_tflite

RESULTS = pathlib.Path(__file__).parent / "results" / "trained_resnet8.md"
TRAINED, TESTED, REPRESENTATIVE = 20_000, 2_000, 500
BATCH, RATE, SEED = 64, 2e-3, 0


def as_teacher_takes(images):
    """Returns images in 0..1 as the teacher takes them."""
    return (images - np.array(MEAN, "float32")) / np.array(DEVIATION, "float32")


def trained(data, teacher, epochs, folder):
    """Returns the student and its logits' model, which share their layers.

    Args:
        data: `Dataset` of CIFAR-10.
        teacher: Trained model.
        epochs: Number of epochs.
        folder: Folder of the cache.
    """
    keras.utils.set_random_seed(SEED)
    logits = architectures.resnet8()
    samples = (data.x_train, data.y_train)
    cache = TeacherCache.build(folder, teacher, samples, "auto", teacher_input=as_teacher_takes)
    distiller = Distiller(cache, logits, "auto", student_loss_weight=None)
    decay = keras.optimizers.schedules.CosineDecay(RATE, epochs * (len(data.x_train) // BATCH))
    distiller.compile(
        keras.optimizers.Adam(decay), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    distiller.fit(cache.join(samples, batch_size=BATCH), epochs=epochs, verbose=2)
    return keras.Model(logits.input, keras.layers.Softmax()(logits.output), name="resnet8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, help="folder of tensorflow-datasets")
    parser.add_argument("--teacher", required=True, help="file of a trained ResNet-56")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    data = datasets.load("cifar10", data_dir=options.data_dir, max_train=TRAINED)
    teacher = keras.models.load_model(options.teacher)
    with tempfile.TemporaryDirectory() as folder:
        student = trained(data, teacher, options.epochs, f"{folder}/cache")
        result = export_tflite(
            student,
            f"{folder}/resnet8.tflite",
            quantization="int8",
            representative_data=data.x_train[:REPRESENTATIVE],
            target="mcu",
        )
        found = result.verify(student, data.x_test[:TESTED], data.y_test[:TESTED])
    print(found)
    rows = (
        ("Keras, float", found.accuracy_keras),
        ("int8 on LiteRT", found.accuracy_litert),
        ("int8 on TensorFlow Lite Micro", found.accuracy_tflm),
    )
    lines = [
        f"Made by `benchmarks/trained_resnet8.py --epochs {options.epochs}`, seed {SEED}: accuracy "
        f"in % on {TESTED:,} test images; `verify` {'passed' if found.passed else 'failed'}, the "
        f"lint has {len(result.lint())} findings.",
        "",
        "| ResNet-8, distilled on CIFAR-10 | accuracy |",
        "|---|---|",
        *(f"| {name} | {100 * accuracy:.2f} |" for name, accuracy in rows),
    ]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
