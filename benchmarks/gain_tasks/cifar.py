"""CIFAR-10 with 5,000 labels: a trained ResNet-56 to ResNet-8, and small CNNs at 16 x 16."""

import keras
import numpy as np
import tensorflow as tf

from gain_tasks.division import divide
from gain_tasks.small_images import split_of
from gain_tasks.task import Split, Task, Training
from keras_distill import TeacherCache, architectures, datasets

LABELS, UNLABELED, VALIDATION = 5_000, 10_000, 5_000
VIEWS, PADDING = 4, 4
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalized(images):
    """Returns images as the teacher takes them.

    Args:
        images: Array of shape `(images, 32, 32, 3)` in 0..1.
    """
    return ((images - np.array(MEAN)) / np.array(DEVIATION)).astype("float32")


def augmented(image, seed):
    """Mirrors and shifts an image at random.

    Args:
        image: Tensor of shape `(32, 32, 3)`.
        seed: Integer tensor of shape `(2,)`.
    """
    image = tf.image.stateless_random_flip_left_right(image, seed)
    padded = tf.pad(image, [[PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    return tf.image.stateless_random_crop(padded, (32, 32, 3), seed + 1)


def stages(teacher):
    """Returns the last layer of each of the three spatial stages of a ResNet.

    Args:
        teacher: `keras.Model`.
    """
    last = {}
    for layer in teacher.layers:
        shape = layer.output.shape
        # Some shortcuts of converted models put their channels first on the way.
        if len(shape) == 4 and shape[1] == shape[2] and shape[1] in (32, 16, 8):
            last[shape[1]] = layer.name
    return [last[size] for size in (32, 16, 8)]


def joined(cache, x, y):
    """Reads all views of a cache as one batch of arrays.

    Args:
        cache: `TeacherCache` of `x`.
        x: Inputs.
        y: Classes.
    """
    batches = cache.join((x, y), augment=augmented, batch_size=500, shuffle=False)
    pieces = [batch for batch, _ in batches.as_numpy_iterator()]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *pieces)


def rows_of(batch, chosen, samples):
    """Returns some samples of a batch that holds all views, in all views.

    Args:
        batch: As `joined` returns it.
        chosen: Indices of samples.
        samples: Number of samples in a view.
    """
    rows = np.concatenate([view * samples + chosen for view in range(VIEWS)])
    return tf.nest.map_structure(lambda array: array[rows], batch)


def cifar16(options):
    """CIFAR-10 at 16 x 16 pixels, with a teacher that is trained here."""
    size = (16, 16)
    data = datasets.load("cifar10", options.data_dir, image_size=size, validation_split=0)

    def cnn(*filters):
        return architectures.small_cnn((*size, 3), 10, filters=filters)

    return Task(
        name="cifar16",
        title="CIFAR-10 at 16 x 16 pixels, 5,000 labels; CNN of 95,210 parameters to CNN of 1,830",
        splits=[split_of(data, data.y_train, LABELS, 40_000, VALIDATION)],
        make_student=lambda: cnn(4, 8, 16),
        training=Training(updates=2_000, rate=1e-2),
        make_teacher=lambda: cnn(32, 64, 128),
        teacher_training=Training(updates=3_000, rate=3e-3, batch_size=64),
    )


def cifar(options):
    """CIFAR-10 with augmented images, whose teacher's answers are computed once."""
    if not options.teacher:
        raise ValueError("cifar takes a trained teacher: --teacher cifar10_resnet56.keras")
    data = datasets.load("cifar10", options.data_dir, validation_split=0)
    held_out, labeled, others = divide(data.y_train, [VALIDATION, LABELS, UNLABELED])[:3]
    chosen = np.concatenate([labeled, others])
    x, y = normalized(data.x_train[chosen]), data.y_train[chosen]
    teacher = keras.models.load_model(options.teacher)
    teacher_layers = stages(teacher)
    attention = {
        "teacher_layer_name": teacher_layers,
        "student_layer_name": ["stage1_out", "stage2_out", "stage3_out"],
    }
    cache = _cache(options, teacher, (x, y), teacher_layers)
    batch = joined(cache, x, y)
    split = Split(
        x=rows_of(batch, np.arange(LABELS), len(x)),
        y=y[:LABELS],
        unlabeled=rows_of(batch, np.arange(LABELS, len(x)), len(x)),
        validation=(normalized(data.x_train[held_out]), data.y_train[held_out]),
        test=(normalized(data.x_test), data.y_test),
        views=VIEWS,
        cache=cache,
    )
    return Task(
        name="cifar",
        title=(
            "CIFAR-10, 5,000 labels, 10,000 more images without; ResNet-56 that was trained on all "
            "50,000 to ResNet-8"
        ),
        splits=[split],
        make_student=architectures.resnet8,
        training=Training(updates=2_000, rate=3e-3, batch_size=64, unlabeled=64),
        load_teacher=lambda: teacher,
        layers={"at": attention},
        # Features of the last stage of all views would take a gigabyte.
        without=("sp",),
    )


def _cache(options, teacher, data, teacher_layers):
    from keras_distill import AttentionTransfer

    losses = ["kd", AttentionTransfer(teacher_layers, teacher_layers)]
    return TeacherCache.build(
        options.work / "cifar_cache",
        teacher,
        data,
        losses,
        batch_size=100,
        augment=augmented,
        views=VIEWS,
    )
