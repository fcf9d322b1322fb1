"""Geometry of a convolution or pooling: what its memory at run time depends on."""

import dataclasses

_SAME = 0


@dataclasses.dataclass(frozen=True)
class Side:
    """One spatial axis of a convolution.

    Args:
        input: Values of the input along it.
        output: Values of the output along it.
        kernel: Values of the kernel along it.
        stride: Values of the input from one output value to the next.
        dilation: Values of the input from one value of the kernel to the next.
        padding: Values that are put before the input.
    """

    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    padding: int


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Geometry of a convolution.

    Args:
        height: `Side`.
        width: `Side`.
        inputs: Channels of the input.
        outputs: Channels of the output.
        kernel_inputs: Channels that a kernel reads; fewer than `inputs` in a grouped convolution.
        batch: Samples.
    """

    height: Side
    width: Side
    inputs: int
    outputs: int
    kernel_inputs: int
    batch: int = 1

    @property
    def window(self):
        """Number of input values that one output value is computed from, all channels."""
        return self.height.kernel * self.width.kernel * self.inputs

    @property
    def is_pointwise(self):
        """Whether the kernel is 1x1, with neither padding nor groups."""
        return self.inputs == self.kernel_inputs and all(
            side.kernel == side.dilation == 1 and side.padding == 0
            for side in (self.height, self.width)
        )

    @property
    def has_padding(self):
        """Whether values are put before the input."""
        return self.height.padding > 0 or self.width.padding > 0

    @property
    def has_strides(self):
        """Whether it skips positions."""
        return self.height.stride > 1 or self.width.stride > 1

    @property
    def has_dilation(self):
        """Whether the kernel has holes."""
        return self.height.dilation > 1 or self.width.dilation > 1


def geometry_of(operator):
    """Returns the geometry of a convolution.

    Args:
        operator: `Operator` named `"CONV_2D"`, `"DEPTHWISE_CONV_2D"` or `"TRANSPOSE_CONV"`.

    Returns:
        `Geometry`. Of a transposed convolution, the sides' input is its input, too.
    """
    data, weights = operator.inputs[0], operator.inputs[1]
    if operator.name == "TRANSPOSE_CONV":
        data = operator.inputs[2]
    output, options = operator.outputs[0], operator.options
    sides = [
        _side(options, data.shape[axis], output.shape[axis], weights.shape[axis], *names)
        for axis, *names in ((1, "strideH", "dilationHFactor"), (2, "strideW", "dilationWFactor"))
    ]
    return Geometry(
        *sides,
        inputs=data.shape[3],
        outputs=output.shape[3],
        kernel_inputs=1 if operator.name == "DEPTHWISE_CONV_2D" else weights.shape[3],
        batch=data.shape[0],
    )


def _side(options, size, output, kernel, stride, dilation):
    stride, dilation = getattr(options, stride), getattr(options, dilation, 1)
    reach = (output - 1) * stride + (kernel - 1) * dilation + 1
    padding = max(reach - size, 0) // 2 if options.padding == _SAME else 0
    return Side(size, output, kernel, stride, dilation, padding)
