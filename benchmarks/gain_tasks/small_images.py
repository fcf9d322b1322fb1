"""Handwritten digits: scikit-learn's 8 x 8 images, and MNIST at 14 x 14 pixels."""

import keras

from gain_tasks.division import divide
from gain_tasks.task import Split, Task, Training
from keras_distill import architectures, datasets

SIZE = (14, 14)


def split_of(data, y, labels, unlabeled, validation):
    """Returns a split of an image set, whose teacher knows the labels of all training images.

    Args:
        data: `Dataset`.
        y: Classes of the training images to learn from, right or not.
        labels: Number of images that students have labels of.
        unlabeled: Number of images that only the teacher has labels of.
        validation: Number of images to validate on, with the data's own labels.
    """
    parts = divide(data.y_train, [validation, labels, unlabeled])
    held_out, labeled, others = parts[:3]
    x = data.x_train
    of_teacher = [*labeled, *others]
    return Split(
        x=x[labeled],
        y=y[labeled],
        unlabeled=x[others],
        validation=(x[held_out], data.y_train[held_out]),
        test=(data.x_test, data.y_test),
        teacher_data=(x[of_teacher], y[of_teacher]),
    )


def digits(options):
    """The digits of scikit-learn, 200 of them labeled."""
    data = datasets.load("digits", validation_split=0)
    return Task(
        name="digits",
        title="Digits of scikit-learn, 200 labels; CNN of 99,754 parameters to CNN of 702",
        splits=[split_of(data, data.y_train, labels=200, unlabeled=797, validation=300)],
        make_student=architectures.digits_student,
        training=Training(updates=1_000, rate=1e-2),
        make_teacher=architectures.digits_teacher,
        teacher_training=Training(updates=400, rate=2e-3, batch_size=64),
        # The teacher has a hidden layer between its last feature map and its classifier.
        without=("catkd", "sdd"),
    )


def small_mnist(options):
    """Returns MNIST at 14 x 14 pixels."""
    return datasets.load("mnist", options.data_dir, image_size=SIZE, validation_split=0)


def mnist_teacher():
    """Returns an untrained CNN of 24,282 parameters."""
    return architectures.small_cnn((*SIZE, 1), 10, filters=(16, 32, 64))


def mnist_student():
    """Returns an untrained CNN of 1,414 parameters."""
    return architectures.small_cnn((*SIZE, 1), 10, filters=(4, 8, 12))


def strided_cnn(filters):
    """Returns an untrained CNN of images of MNIST, whose classifier knows where a feature is.

    Args:
        filters: Number of filters of each convolution.
    """
    layers = keras.layers
    inputs = x = keras.Input((28, 28, 1))
    for count in filters:
        x = layers.Conv2D(count, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(10, name="logits")(layers.Flatten()(x)))


def mnist28(options):
    """MNIST in its own size, 10,000 of the images labeled."""
    data = datasets.load("mnist", options.data_dir, validation_split=0)
    return Task(
        name="mnist28",
        title="MNIST at 28 x 28 pixels; CNN of 19,418 parameters to CNN of 3,214",
        splits=[split_of(data, data.y_train, labels=10_000, unlabeled=40_000, validation=5_000)],
        make_student=lambda: strided_cnn((4, 8, 12)),
        training=Training(updates=2_000, rate=1e-2),
        make_teacher=lambda: strided_cnn((16, 32, 32)),
        teacher_training=Training(updates=1_500, rate=5e-3, batch_size=64),
    )


MNIST_TEACHER = Training(updates=1_500, rate=5e-3, batch_size=64)


def mnist14(options):
    """MNIST at 14 x 14 pixels, 1,000 of the images labeled."""
    data = small_mnist(options)
    return Task(
        name="mnist14",
        title="MNIST at 14 x 14 pixels, 1,000 labels; CNN of 24,282 parameters to CNN of 1,414",
        splits=[split_of(data, data.y_train, labels=1_000, unlabeled=9_000, validation=5_000)],
        make_student=mnist_student,
        training=Training(updates=2_000, rate=1e-2),
        make_teacher=mnist_teacher,
        teacher_training=MNIST_TEACHER,
    )


def rows_student():
    """Returns an untrained recurrent network that reads an image row by row."""
    image = keras.Input((*SIZE, 1))
    rows = keras.layers.Reshape(SIZE, name="rows")(image)
    x = keras.layers.GRU(16, return_sequences=True, name="gru")(rows)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(10, name="logits")(x), name="gru_student")


def rows(options):
    """The same images and teacher, for a recurrent student that reads rows."""
    task = mnist14(options)
    task.name = "rows"
    task.title = "MNIST at 14 x 14 pixels, 1,000 labels; CNN to GRU of 1,706 that reads rows"
    task.make_student = rows_student
    task.training = Training(updates=2_000, rate=1e-2)
    return task
