"""Opening a graph on one provider, and making sure that it runs there and nowhere else.

``enable_fallback=0`` is not enough: onnxruntime-gpu without a driver answers a request for
CUDA with a session on the processor and a line on stderr (seen with 1.31). So the session
is asked afterwards where it and each of its nodes went.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from groundswell.errors import ModelError
from inference.device import PROVIDERS, Device
from inference.manifest import Tensor
from inference.processors import granted_processors

_ELEMENT = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16"} | {
    f"tensor({name})": name for name in ("int32", "int64", "int8", "uint8", "bool", "string")
}
#: Arithmetic on shapes, which the CUDA provider leaves to the processor on purpose: no data of a batch is in it.
# fmt: off
_OF_SHAPES: Final = frozenset({
    "Add", "And", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity", "Max", "Min",
    "Mul", "Not", "Or", "Range", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze",
    "Where",
})
# fmt: on


def open_session(
    runtime: Any,
    graph: bytes,
    device: Device,
    options: Mapping[str, str],
    *,
    sizes: Mapping[str, int] | None = None,
) -> Any:
    """An ``InferenceSession`` of ``graph`` on the provider of ``device``.

    ``options`` are the provider's own, ``sizes`` fix free axes by name. Raises
    :class:`ModelError` where the graph does not load, or any of its work would run elsewhere.
    """
    wanted = PROVIDERS[device.provider]
    settings = runtime.SessionOptions()
    # What goes wrong is raised; lines on stderr as well would be one a poisoned batch.
    settings.log_severity_level = 4
    settings.inter_op_num_threads = 1
    settings.intra_op_num_threads = 1 if device.on_gpu else device.threads or granted_processors()
    # Spinning threads would take the processors from the flow's own workers.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.on_gpu:
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    for name, size in (sizes or {}).items():
        settings.add_free_dimension_override_by_name(name, size)
    # The runtime raises many kinds; at this boundary each means that the graph cannot serve.
    try:
        session = runtime.InferenceSession(
            graph, sess_options=settings, providers=[(wanted, dict(options))], enable_fallback=0
        )
    except Exception as error:
        raise ModelError(f"onnxruntime cannot load the graph: {first_line(error)}") from error
    used = session.get_providers()[0]
    if used != wanted:
        raise ModelError(f"the graph would run on {used}, not on {wanted}: check the driver and its libraries")
    if device.on_gpu:
        require_placement(
            wanted,
            [
                (part.ep_name, node.op_type)
                for part in session.get_provider_graph_assignment_info()
                for node in part.get_nodes()
            ],
        )
    return session


def require_placement(wanted: str, placed: Sequence[tuple[str, str]]) -> None:
    """Raise :class:`ModelError` unless all work runs on ``wanted``; ``placed``: each node's provider and operator."""
    elsewhere = Counter(
        f"{operator} on {provider}"
        for provider, operator in placed
        if provider != wanted and operator not in _OF_SHAPES
    )
    if elsewhere:
        found = ", ".join(f"{number} × {what}" for what, number in elsewhere.most_common(5))
        raise ModelError(f"not all of the graph would run on {wanted} ({found}): choose another precision or provider")
    if not any(provider == wanted for provider, _ in placed):
        raise ModelError(f"nothing of the graph would run on {wanted}: check the driver and its libraries")


def check_signature(session: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Raise :class:`ModelError` unless the graph takes ``inputs`` and gives ``outputs``, names, types and axes."""
    for kind, wanted, offered in (("input", inputs, session.get_inputs()), ("output", outputs, session.get_outputs())):
        found = _said(
            Tensor(name=node.name, dtype=_ELEMENT.get(node.type, node.type), shape=tuple(node.shape))
            for node in offered
        )
        if found != _said(wanted):
            raise ModelError(
                f"the graph's {kind}s are {found}, its manifest says {_said(wanted)}: publish the model again"
            )


def first_line(error: Exception) -> str:
    """What the runtime said, without the lines on where in its code that was."""
    return str(error).strip().partition("\n")[0][:500]


def _said(tensors: Iterable[Tensor]) -> list[str]:
    return sorted(f"{tensor.name} {tensor.dtype}{list(tensor.shape)}" for tensor in tensors)
