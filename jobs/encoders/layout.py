"""The layout of an encoder, found by a small forward pass: its layers, what follows them, used parameters.

Axes: B texts, T tokens, D features.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PreTrainedModel

NUM_TOKENS = 6
"""Number of tokens of the small pass."""
_SPECIAL = ("pad", "bos", "eos", "cls", "sep", "mask", "unk", "decoder_start")


@dataclass(frozen=True)
class Layout:
    """Names of an encoder's modules and parameters, as in `named_modules` and `named_parameters`."""

    num_layers: int
    layers: tuple[tuple[str, ...], ...]
    """The modules of each layer from bottom to top: one, or several if an encoder keeps parts of its layers
    in parallel lists (XLM). Empty if layers share their weights (ALBERT)."""
    above: tuple[str, ...]
    """Modules applied to the state of the top layer, in order: a normalisation, or none."""
    depth_outside: Mapping[str, int]
    """Depth of the parameters outside the layers: 0 for embeddings and tables that every layer reads, L + 1
    for what follows the layers, 1 to L for what belongs to one layer (DeBERTa's convolution). Empty if layers
    share their weights."""
    unread: frozenset[str]
    """Parameters that no state depends on."""


class Output(Protocol):
    """Output of a forward pass with `output_hidden_states`."""

    last_hidden_state: torch.Tensor
    hidden_states: tuple[torch.Tensor, ...]


_LAYOUTS: "WeakKeyDictionary[PreTrainedModel, Layout]" = WeakKeyDictionary()


def layout_of(encoder: PreTrainedModel) -> Layout:
    """The layout, found once for each encoder.

    Raises:
        ValueError: the encoder does not map a text's tokens to states of every layer, or a parameter belongs
        to no layer.
    """
    if encoder not in _LAYOUTS:
        _LAYOUTS[encoder] = _found(encoder)
    return _LAYOUTS[encoder]


def find_layout_again(encoder: PreTrainedModel) -> None:
    """Find the layout of an encoder again after layers were removed."""
    _LAYOUTS[encoder] = _found(encoder)


def encoder_under(model: PreTrainedModel) -> PreTrainedModel:
    """The encoder under the heads of a model; the model itself if it has no heads."""
    return model.base_model  # type: ignore[return-value]  # transformers calls it any module


def layer_states(encoder: PreTrainedModel, output: Output) -> list[torch.Tensor]:
    """The state of every layer (B, T, D), 0 the embeddings, as the output of the encoder truncated above it.

    Modules applied to the top layer's state (a normalisation) are applied to every other state too.

    Args:
        output: The encoder's output with `output_hidden_states`.
    """
    modules = [encoder.get_submodule(name) for name in layout_of(encoder).above]
    return [*(_passed(modules, state) for state in output.hidden_states[:-1]), output.last_hidden_state]


def sample_ids(encoder: PreTrainedModel, num_tokens: int = NUM_TOKENS) -> torch.Tensor:
    """Token ids (1, T) without special tokens, in arbitrary order."""
    config = encoder.config
    special = {getattr(config, f"{name}_token_id", None) for name in _SPECIAL}
    weight_VD = encoder.get_input_embeddings().weight
    assert isinstance(weight_VD, torch.Tensor)
    rows = len(weight_VD)
    plain = [token for token in range(min(rows, 64)) if token not in special] or [0]
    step = next(step for step in (7, 5, 3, 1) if len(plain) % step) if len(plain) > 1 else 1
    return torch.tensor([[plain[(1 + step * place) % len(plain)] for place in range(num_tokens)]])


@contextmanager
def undisturbed(encoder: PreTrainedModel) -> Iterator[None]:
    """A context without dropout that restores random states and modes."""
    training = [module for module in encoder.modules() if module.training]
    encoder.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module in training:
            module.training = True


@dataclass(frozen=True)
class _Call:
    """One call of a module in the pass, with the order of its begin and end."""

    name: str
    begin: int
    end: int
    num_inputs: int
    output: object


def _found(encoder: PreTrainedModel) -> Layout:
    kind, config = type(encoder).__name__, encoder.config
    if config.is_encoder_decoder:
        raise ValueError(
            f"{kind} is an encoder with a decoder, and layerscope reads models that are one stack of layers: "
            "use one that is an encoder alone (BERT, RoBERTa, DeBERTa, ...) or decoder-only"
        )
    # A caller may be in inference mode, which records no autograd graph of what a state depends on.
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        undisturbed(encoder),
        _every_parameter_trained(encoder),
    ):
        calls, output, num_tokens = _pass(encoder)
        hidden = output.hidden_states or ()
        shapes = sorted({tuple(state.shape) for state in hidden})
        if (
            len(hidden) != config.num_hidden_layers + 1
            or len(shapes) != 1
            or shapes[0][:2] != (1, num_tokens)
        ):
            raise ValueError(
                f"{kind} does not give a state of every token for each of {config.num_hidden_layers} layers: "
                f"for a text of {num_tokens} tokens it gives {len(hidden)} states of the shapes "
                f"{', '.join(map(str, shapes)) or 'none'}"
            )
        layers = _layers(encoder, calls, config.num_hidden_layers)
        above = _above(encoder, calls, layers, output)
        reached = [_parameters_behind(state) for state in (*hidden[:-1], output.last_hidden_state)]
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    read_by_state = [{names[key] for key in found if key in names} for found in reached]
    assert read_by_state[-1], "states depend on parameters"
    return Layout(
        num_layers=config.num_hidden_layers,
        layers=layers,
        above=above,
        depth_outside=_depths_outside(encoder, calls, layers, above, read_by_state) if layers else {},
        unread=frozenset(names.values()).difference(*read_by_state),
    )


def _pass(encoder: PreTrainedModel) -> tuple[list[_Call], Output, int]:
    try:
        ids_1T = sample_ids(encoder).to(encoder.device)
        return *_recorded(encoder, ids_1T), ids_1T.shape[1]
    except Exception as error:  # Any error of a model family that needs other inputs.
        raise ValueError(
            f"{type(encoder).__name__} does not read a text from token ids and their mask alone: "
            f"{type(error).__name__}: {error}"
        ) from error


@contextmanager
def _every_parameter_trained(encoder: PreTrainedModel) -> Iterator[None]:
    frozen = [parameter for parameter in encoder.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _recorded(encoder: PreTrainedModel, ids_1T: torch.Tensor) -> tuple[list[_Call], Output]:
    clock = count()
    begun: dict[str, list[int]] = {}
    calls: list[_Call] = []

    def begin(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            begun.setdefault(name, []).append(next(clock))

        return hook

    def end(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            calls.append(_Call(name, begun[name].pop(), next(clock), len(arguments), output))

        return hook

    hooks = [
        hook
        for name, module in encoder.named_modules()
        if name
        for hook in (module.register_forward_pre_hook(begin(name)), module.register_forward_hook(end(name)))
    ]
    try:
        output = encoder(
            input_ids=ids_1T,
            attention_mask=torch.ones_like(ids_1T),
            output_hidden_states=True,
            return_dict=True,
        )
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(calls, key=lambda call: call.begin), output


def _layers(encoder: PreTrainedModel, calls: Sequence[_Call], num_layers: int) -> tuple[tuple[str, ...], ...]:
    """The outermost lists with one entry per layer whose entries the pass calls in order."""
    called = {call.name for call in calls}
    lists: list[str] = []
    for name, module in encoder.named_modules():
        is_inside = any(name.startswith(f"{outer}.") for outer in lists)
        if isinstance(module, nn.ModuleList) and len(module) == num_layers and not is_inside:
            lists.append(name)
    lists = [name for name in lists if all(_is_called(f"{name}.{k}", called) for k in range(num_layers))]
    return tuple(tuple(f"{name}.{k}" for name in lists) for k in range(num_layers)) if lists else ()


def _is_called(name: str, called: Iterable[str]) -> bool:
    return any(other == name or other.startswith(f"{name}.") for other in called)


def _above(
    encoder: PreTrainedModel,
    calls: Sequence[_Call],
    layers: Sequence[Sequence[str]],
    output: Output,
) -> tuple[str, ...]:
    """Modules called after the top layer that give the last state; of nested modules the outermost."""
    top = layers[-1] if layers else ()
    last = max((call.end for call in calls if _is_inside(call.name, top)), default=None)
    if last is None:
        return ()
    found: list[_Call] = []
    state: torch.Tensor | None = None
    for call in calls:
        if (
            call.begin > last
            and call.num_inputs == 1
            and isinstance(call.output, torch.Tensor)
            and call.output.shape[:-1] == output.last_hidden_state.shape[:-1]
            and not any(call.end < outer.end for outer in found)
        ):
            found.append(call)
            state = call.output
    if state is not None and not torch.equal(state, output.last_hidden_state):
        raise ValueError(
            f"{type(encoder).__name__} changes the state of its top layer in a way that no module of it "
            "computes"
        )
    return tuple(call.name for call in found)


def _passed(modules: Sequence[nn.Module], state_BTD: torch.Tensor) -> torch.Tensor:
    for module in modules:
        state_BTD = module(state_BTD)
    return state_BTD


def _is_inside(name: str, roots: Iterable[str]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def _parameters_behind(state: torch.Tensor) -> set[int]:
    """Ids of all parameters that a state depends on."""
    seen, open_nodes, found = set(), [state.grad_fn], set()
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        open_nodes.extend(following for following, _ in node.next_functions)
    return found


def _depths_outside(
    encoder: PreTrainedModel,
    calls: Sequence[_Call],
    layers: Sequence[Sequence[str]],
    above: Sequence[str],
    read_by_state: Sequence[set[str]],
) -> dict[str, int]:
    spans = [_span(calls, modules) for modules in layers]
    first_call: dict[str, _Call] = {}
    for call in calls:
        first_call.setdefault(call.name, call)
    depths = {}
    for name, _ in encoder.named_parameters():
        first = first_call.get(name.rpartition(".")[0])
        if any(_is_inside(name, modules) for modules in layers):
            continue
        if _is_inside(name, above) or name not in read_by_state[-1]:
            depths[name] = len(layers) + 1
        elif first is None:
            depths[name] = _first_changed(name, read_by_state)
        else:
            depths[name] = _layer_begun(first, spans)
    return depths


def _span(calls: Sequence[_Call], modules: Sequence[str]) -> tuple[int, int]:
    own = [call for call in calls if _is_inside(call.name, modules)]
    return min(call.begin for call in own), max(call.end for call in own)


def _layer_begun(call: _Call, spans: Sequence[tuple[int, int]]) -> int:
    """The last layer that begins before the module is called; 0 before the first layer, and during it."""
    begun = sum(begin < call.begin for begin, _ in spans)
    return 0 if begun == 1 and call.begin < spans[0][1] else begun


def _first_changed(name: str, read_by_state: Sequence[set[str]]) -> int:
    """Depth of a parameter that is read without a call of its module: the first state that it changes.

    A parameter that changes the first layer is a table that all layers read (DeBERTa's relative positions).
    """
    first = next(depth for depth, read in enumerate(read_by_state) if name in read)
    return 0 if first == 1 else first + (first == len(read_by_state) - 1)
