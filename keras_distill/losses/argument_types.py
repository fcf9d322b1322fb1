"""Types of the arguments that several losses take."""

from collections.abc import Sequence

import keras

Number = float | keras.optimizers.schedules.LearningRateSchedule
LayerNames = str | Sequence[str] | None
OutputNames = str | int | Sequence[str | int] | None
