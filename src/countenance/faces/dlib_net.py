"""dlib's face descriptor network, read from its ``.dat`` and written as ONNX.

The network is dlib's ``dnn_face_recognition_ex`` (King 2017): a ResNet of 29 convolutions, each followed by
an affine layer, a global average pool and a linear map to 128 numbers. The file holds each layer's
parameters as one tensor, in input-to-output order: a convolution's weights, then its biases; an affine
layer's gamma, then its beta; last the linear map (256 x 128).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from countenance.errors import ModelError

__all__ = ["dlib_to_onnx"]

#: Side of the chip, in pixels.
SIDE = 150

#: (channels, does it halve the size?) of the 14 residual blocks, from input to output.
BLOCKS: tuple[tuple[int, bool], ...] = (
    *[(32, False)] * 3,
    *[(64, True)] + [(64, False)] * 3,
    *[(128, True)] + [(128, False)] * 2,
    *[(256, True)] + [(256, False)] * 2,
    (256, True),
)


def _packed(number: int) -> bytes:
    """Write a positive integer as dlib does: the count of its bytes, then the bytes, little end first."""
    count = (number.bit_length() + 7) // 8
    return bytes([count]) + number.to_bytes(count, "little")


def _tensors(data: bytes, sizes: Iterator[int]) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Yield the parameter tensors of the given sizes, each found after the end of the one before.

    A tensor is serialised as version 2, four dimensions and little-endian float32 values.
    """
    position = 0
    for size in sizes:
        if size == 256 * 128:
            header = b"".join(_packed(n) for n in (2, 256, 128, 1, 1))
        else:
            header = b"".join(_packed(n) for n in (2, size, 1, 1, 1))
        start = data.find(header, position)
        end = start + len(header) + 4 * size
        if start < 0 or end > len(data):
            raise ModelError("the dlib model file lacks a layer's parameters: install face_recognition_models anew")
        yield np.frombuffer(data, "<f4", size, start + len(header))
        position = end


def _sizes() -> Iterator[int]:
    """Yield the sizes of all parameter tensors, from input to output."""
    channels = 32
    yield from (32 * 3 * 7 * 7 + 32, 2 * 32)
    for width, _ in BLOCKS:
        yield from (width * channels * 9 + width, 2 * width, width * width * 9 + width, 2 * width)
        channels = width
    yield 256 * 128


@dataclass
class _Graph:
    """Nodes and weights as they are added; every method returns the name of its output."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node."""
        from onnx import helper

        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        """Add a weight."""
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def pad(self, source: str, channels: int = 0, size: int = 0) -> str:
        """Add zero channels at the end, and zero rows and columns below and to the right."""
        return self.add("Pad", source, self.constant(np.array([0, 0, 0, 0, 0, channels, size, size], np.int64)))


def dlib_to_onnx(data: bytes) -> bytes:
    """Turn dlib's ``dlib_face_recognition_resnet_model_v1.dat`` into an ONNX model.

    The affine layers are folded into the convolutions in double precision.

    Args:
        data: the whole ``.dat``; its sha256 is the caller's to check.

    Returns:
        The ONNX file: input ``chips`` float32 (n, 3, 150, 150), the RGB values minus (122.782, 117.001,
        104.298), divided by 256; output ``descriptors`` float32 (n, 128).

    Raises:
        ModelError: a layer's parameters are not in the file.
    """
    import onnx
    from onnx import TensorProto, helper

    graph, tensors = _Graph(), _tensors(data, _sizes())

    def convolution(source: str, inputs: int, outputs: int, kernel: int, stride: int) -> str:
        weights_and_biases, affine = next(tensors).astype(np.float64), next(tensors).astype(np.float64)
        gamma, beta = affine[:outputs], affine[outputs:]
        weights = weights_and_biases[:-outputs].reshape(outputs, inputs, kernel, kernel)
        folded = (weights * gamma[:, None, None, None]).astype(np.float32)
        biases = (weights_and_biases[-outputs:] * gamma + beta).astype(np.float32)
        pad = kernel // 2 if stride == 1 else 0  # dlib pads only where the stride is one
        named = [graph.constant(folded), graph.constant(biases)]
        return graph.add("Conv", source, *named, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    x = graph.add("Relu", convolution("chips", 3, 32, 7, 2))
    x = graph.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    size, channels = ((SIDE - 7) // 2 + 1 - 3) // 2 + 1, 32
    for width, halves in BLOCKS:
        inner = graph.add("Relu", convolution(x, channels, width, 3, 2 if halves else 1))
        inner = convolution(inner, width, width, 3, 1)
        if halves:
            x = graph.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            convolved, size = (size - 3) // 2 + 1, size // 2
            # dlib adds tensors of unlike shape as if the smaller were filled up with zeros.
            if width > channels:
                x = graph.pad(x, channels=width - channels)
            if size > convolved:
                inner = graph.pad(inner, size=size - convolved)
        x, channels = graph.add("Relu", graph.add("Add", inner, x)), width
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    graph.nodes.append(
        helper.make_node("MatMul", [x, graph.constant(next(tensors).reshape(256, 128))], ["descriptors"])
    )
    chips = helper.make_tensor_value_info("chips", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    descriptors = helper.make_tensor_value_info("descriptors", TensorProto.FLOAT, ["n", 128])
    body = helper.make_graph(graph.nodes, "dlib_face_recognition_resnet_v1", [chips], [descriptors], graph.weights)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    out = io.BytesIO()
    out.write(model.SerializeToString(deterministic=True))
    return out.getvalue()
