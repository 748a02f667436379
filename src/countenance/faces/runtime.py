"""An ONNX file in, a callable network out. Which runtime runs it is known here only."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from countenance.errors import ModelError
from countenance.faces._lazy import need

__all__ = ["MAX_MODEL_BYTES", "Network", "cores", "read_model", "scratch", "scratch_in", "seconds_in_networks"]

#: Largest model file read, in bytes; protobuf itself ends at 2 GiB.
MAX_MODEL_BYTES = 1 << 30


_KEPT = threading.local()


def scratch(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A float32 array of this thread for ``name``, used again while its shape stays: fresh pages are slower.

    What it holds is old, and whoever asks for the same name next overwrites it.
    """
    arrays: dict[str, NDArray[np.float32]] | None = getattr(_KEPT, "arrays", None)
    if arrays is None:
        arrays = _KEPT.arrays = {}
    kept = arrays.get(name)
    if kept is None or kept.shape != shape:
        kept = arrays[name] = np.empty(shape, np.float32)
    return kept


@contextmanager
def scratch_in(arrays: dict[str, NDArray[np.float32]]) -> Iterator[None]:
    """Meanwhile, this thread's scratch arrays are those of ``arrays``, so that many threads can share few by turns."""
    before = getattr(_KEPT, "arrays", None)
    _KEPT.arrays = arrays
    try:
        yield
    finally:
        _KEPT.arrays = before


def seconds_in_networks() -> float:
    """How long this thread has been inside of networks so far, in seconds of the clock on the wall."""
    return float(getattr(_KEPT, "seconds", 0.0))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_model(path: Path) -> tuple[Any, list[str]]:
    """Read an ONNX file that nobody vouches for, with the tensors it keeps in files beside it.

    Returns:
        The ``onnx.ModelProto``, and the names of the files beside it that it uses.

    Raises:
        ModelError: too large, not ONNX, or its tensors lie outside of its folder.
    """
    onnx = need("onnx")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise ModelError(f"{path}: larger than {MAX_MODEL_BYTES >> 20} MiB: not a model for faces")
    try:
        model = onnx.load(path, load_external_data=False)
        names = _external_files(model)
        for name in names:
            if name != Path(name).name or name in ("", ".", "..") or "\\" in name:
                raise ModelError(f"{path}: keeps its weights in {name!r}, outside of its folder: refused")
            if not (path.parent / name).is_file():
                raise ModelError(f"{path}: its weights are in {name!r}, which is not beside it: copy it there")
            if (path.parent / name).stat().st_size > MAX_MODEL_BYTES:
                raise ModelError(f"{path.parent / name}: larger than {MAX_MODEL_BYTES >> 20} MiB")
        onnx.load_external_data_for_model(model, str(path.parent))
    except ModelError:
        raise
    except Exception as error:  # protobuf's and onnx's own errors share no base
        raise ModelError(f"{path}: not a readable ONNX model ({_first_line(error)})") from error
    if not model.graph.node:
        raise ModelError(f"{path}: not a readable ONNX model (it has no layers)")
    return model, names


def _external_files(model: Any) -> list[str]:
    """Name the files beside the model in which it keeps tensors, wherever in the graph they hang."""
    found: set[str] = set()

    def visit(graph: Any) -> None:
        tensors = list(graph.initializer)
        tensors += [t for s in graph.sparse_initializer for t in (s.values, s.indices)]
        for node in graph.node:
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors]
                for inner in (attribute.g, *attribute.graphs):
                    if inner.node or inner.initializer:
                        visit(inner)
        for tensor in tensors:
            found.update(entry.value for entry in tensor.external_data if entry.key == "location")

    visit(model.graph)
    return sorted(found)


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n", 1)[0] or type(error).__name__)[:200]


def _free_shapes(model: Any, *, sizes: bool) -> None:
    """Drop weights listed as inputs, and make the batch (and with ``sizes`` height and width) free."""
    helper = need("onnx.numpy_helper")
    weights = {w.name: w for w in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("n", "c", "h", "w"), strict=False):
            if name == "n" or (sizes and name in "hw"):
                dim.Clear()
                dim.dim_param = name
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    # A reshape to (1, -1, ...) pins the batch to one; 0 means "as the input has it".
    constants = {n.output[0]: n.attribute[0] for n in model.graph.node if n.op_type == "Constant" and n.attribute}
    for node in model.graph.node:
        if node.op_type != "Reshape":
            continue
        tensor = weights.get(node.input[1])
        if tensor is None and node.input[1] in constants:
            tensor = constants[node.input[1]].t
        if tensor is not None:
            shape = helper.to_array(tensor).copy()
            if shape.size > 1 and shape[0] == 1 and -1 in shape[1:]:
                shape[0] = 0
                tensor.CopyFrom(helper.from_array(shape, tensor.name))


class Network:
    """A network that is ready to run; safe to call from several threads at once.

    Args:
        model: an ``onnx.ModelProto``, or the bytes of one.
        threads: threads of one call.
        sizes: whether height and width of the input are free.
        name: for messages.

    Raises:
        ModelError: the runtime cannot load it.
    """

    def __init__(self, model: Any, *, threads: int, sizes: bool = False, name: str = "model") -> None:
        runtime, onnx = need("onnxruntime"), need("onnx")
        if isinstance(model, bytes):
            model = onnx.load_from_string(model)
        _free_shapes(model, sizes=sizes)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise ModelError(f"{name}: ONNX Runtime cannot load it ({_first_line(error)})") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{name}: has {len(inputs)} inputs where one image is expected")
        self.name = name
        self.input_shape: list[Any] = inputs[0].shape
        self.outputs = [o.name for o in self._session.get_outputs()]
        self._input = inputs[0].name
        self._one_by_one = False

    def __call__(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run on (n, 3, height, width) float32; the outputs in the model's order.

        A model that was exported for one image only is run on one after the other.

        Raises:
            ModelError: the network refuses the input.
        """
        if not self._one_by_one:
            try:
                outputs = self._run(batch)
                if len(batch) == 1 or all(o.shape[:1] == (len(batch),) for o in outputs):
                    return outputs
            except ModelError:
                if len(batch) == 1:
                    raise
            self._one_by_one = True
        each = [self._run(batch[i : i + 1]) for i in range(len(batch))]
        return [np.concatenate(parts) for parts in zip(*each, strict=True)]

    def _run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        began = time.perf_counter()
        try:
            return self._session.run(None, {self._input: batch})  # type: ignore[no-any-return]
        except Exception as error:
            raise ModelError(f"{self.name}: failed on input of shape {batch.shape} ({_first_line(error)})") from error
        finally:
            _KEPT.seconds = seconds_in_networks() + time.perf_counter() - began


def check_output(network: Network, card: Any) -> None:
    """Run a network once, and see that it takes and gives what its card says.

    Raises:
        ModelError: the input's or the output's shape is another, or the output is not finite.
    """
    if card.role == "detector":
        needed = {"centerface": 4, "yunet": 12}[card.decoder]
        outputs = network(np.full((1, 3, 320, 320), 127, np.float32))
        if len(outputs) != needed:
            raise ModelError(f"{card.name}: gives {len(outputs)} outputs; the decoder {card.decoder!r} needs {needed}")
        return
    width, height = card.input_size
    batch = np.linspace(-1, 1, 2 * 3 * height * width, dtype=np.float32).reshape(2, 3, height, width)
    outputs = network(batch)
    if outputs[0].shape != (2, card.dim):
        raise ModelError(
            f"{card.name}: gives {outputs[0].shape} for two faces; the card says dim {card.dim}, so (2, {card.dim})"
        )
    if not np.isfinite(outputs[0]).all():
        raise ModelError(f"{card.name}: gives values that are not finite: check mean, std and scale in its card")
    if not np.allclose(network(batch[1:])[0], outputs[0][1:], rtol=1e-3, atol=1e-4):
        raise ModelError(f"{card.name}: a face's template depends on the other faces of its batch: export it anew")
