"""Real tasks for the question whether a distilled student beats the same student alone.

Each module holds functions from `Options` to a `Task`; `TASKS` lists them.
"""

from gain_tasks import cifar, clutter, motion, noise_and_domains, small_images, speech, text
from gain_tasks.task import Options, Split, Task, Training

TASKS = {
    "digits": small_images.digits,
    "mnist14": small_images.mnist14,
    "rows": small_images.rows,
    "noisy": noise_and_domains.noisy,
    "clutter": clutter.clutter,
    "motion": motion.motion,
    "spoken": speech.spoken,
    "spoken-large": speech.spoken_large,
    "domain": noise_and_domains.mnist_to_digits,
    "domain-back": noise_and_domains.digits_to_mnist,
    "sst2": text.sst2,
    "sst2-heads": text.sst2_heads,
    "cifar": cifar.cifar,
    "cifar16": cifar.cifar16,
}

__all__ = [
    "TASKS",
    "Options",
    "Split",
    "Task",
    "Training",
]
