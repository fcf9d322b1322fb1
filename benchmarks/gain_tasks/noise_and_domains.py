"""MNIST with wrong labels, and MNIST and scikit-learn's digits as domains of one another."""

import dataclasses

import tensorflow as tf

from gain_tasks import small_images
from gain_tasks.division import divide, with_wrong_labels
from gain_tasks.task import Split, Task, Training
from keras_distill import architectures, datasets

WRONG = 0.2
# The digits of scikit-learn fill their frame; those of MNIST have 4 pixels around them.
MARGIN, SIDE = 4, 8


def noisy(options):
    """MNIST at 14 x 14 pixels, a fifth of the labels wrong, those of the teacher too."""
    task = small_images.mnist14(options)
    data = small_images.small_mnist(options)
    y = with_wrong_labels(data.y_train, WRONG, data.num_classes)
    task.name = task.teacher_name = "noisy"
    task.title = (
        "MNIST at 14 x 14 pixels, 2,000 labels, 20 % of them wrong as are the teacher's; right "
        "ones in validation and test; CNN of 24,282 parameters to CNN of 1,414"
    )
    task.splits = [small_images.split_of(data, y, 2_000, unlabeled=8_000, validation=5_000)]
    # Fewer updates than with right labels: it would learn the wrong ones by heart.
    task.teacher_training = dataclasses.replace(small_images.MNIST_TEACHER, updates=600)
    return task


def _cropped(images):
    inner = images[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    return tf.image.resize(inner, (SIDE, SIDE), antialias=True).numpy()


def _mnist(options):
    data = datasets.load("mnist", options.data_dir, validation_split=0)
    return dataclasses.replace(
        data, x_train=_cropped(data.x_train), x_test=_cropped(data.x_test), range=(-0.1, 1.1)
    )


def _between(name, title, source, target, labels, teacher_images, unlabeled, validation):
    chosen = divide(source.y_train, [teacher_images])[0]
    labeled = chosen[divide(source.y_train[chosen], [labels])[0]]
    held_out, others = divide(target.y_train, [validation, unlabeled])[:2]
    split = Split(
        x=source.x_train[labeled],
        y=source.y_train[labeled],
        unlabeled=target.x_train[others],
        validation=(target.x_train[held_out], target.y_train[held_out]),
        test=(target.x_test, target.y_test),
        teacher_data=(source.x_train[chosen], source.y_train[chosen]),
    )
    return Task(
        name=name,
        title=f"{title}; both at 8 x 8 pixels; CNN of 99,754 parameters to CNN of 702",
        splits=[split],
        make_student=architectures.digits_student,
        training=Training(updates=1_000, rate=1e-2),
        make_teacher=architectures.digits_teacher,
        teacher_training=Training(updates=1_000, rate=2e-3, batch_size=64),
    )


def mnist_to_digits(options):
    """Labeled images of MNIST, unlabeled ones of scikit-learn, tested on the latter."""
    return _between(
        "domain",
        "From MNIST, 1,000 labels, to scikit-learn's digits, 897 without labels, tested on these",
        source=_mnist(options),
        target=datasets.load("digits", validation_split=0),
        labels=1_000,
        teacher_images=10_000,
        unlabeled=897,
        validation=400,
    )


def digits_to_mnist(options):
    """Labeled images of scikit-learn, unlabeled ones of MNIST, tested on the latter."""
    return _between(
        "domain-back",
        "From scikit-learn's digits, 400 labels, to MNIST, 10,000 without labels, tested on these",
        source=datasets.load("digits", validation_split=0),
        target=_mnist(options),
        labels=400,
        teacher_images=1_297,
        unlabeled=10_000,
        validation=5_000,
    )
