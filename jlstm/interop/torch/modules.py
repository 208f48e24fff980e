"""Modules of PyTorch as a `state_dict`, with the settings checked that change the computation.

Does not import torch: modules are recognised by the names of their types.
"""

from __future__ import annotations

from typing import Any

from jlstm.interop.torch.names import PARAMETRIZED, choose_module

BASES = {"RNNBase", "RNNCellBase"}
# The names that TorchScript gives these classes.
SCRIPTED = {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"}


def is_module(value: Any) -> bool:
    """Return True for a `torch.nn.Module`."""
    return hasattr(value, "named_modules") and hasattr(value, "state_dict")


def read_module(
    module: Any, prefix: str | None, nonlinearity: str | None
) -> tuple[dict[str, Any], str, str | None]:
    """The `state_dict` of a module, and the prefix and nonlinearity of its recurrent module.

    Raises:
      ValueError: no recurrent module or several, a quantised one, or a nonlinearity other than the
        argument.
    """
    recurrent = {}
    for name, part in module.named_modules():
        place = f"{name}." if name else ""
        if ".quantized." in f"{type(part).__module__}.":
            raise ValueError(
                f"{name or 'the module'} is a quantised {type(part).__name__}: pass the module "
                "from before the quantisation"
            )
        if _is_recurrent(part):
            recurrent[place] = part
    if not recurrent:
        raise ValueError(
            f"{type(module).__name__} holds no torch.nn.LSTM, GRU or RNN and none of their cells; "
            "for a class that computes the same, pass its state_dict()"
        )
    prefix = choose_module(recurrent, prefix, recurrent)
    part = recurrent[prefix]
    _refuse_own_computation(prefix.removesuffix(".") or "the module", part)
    state_dict = dict(module.state_dict())
    for name, steps in getattr(part, "parametrizations", {}).items():
        kinds = [type(step).__name__ for step in steps]
        if part.training and kinds != ["_WeightNorm"]:
            raise ValueError(
                f"{prefix}{name} is parametrized by {', '.join(kinds)}, which may differ at each "
                "step of training: call module.eval() first"
            )
        start = f"{prefix}{PARAMETRIZED}{name}."
        state_dict = {k: v for k, v in state_dict.items() if not k.startswith(start)}
        state_dict[prefix + name] = getattr(part, name)
    return state_dict, prefix, _nonlinearity(part, nonlinearity)


def _is_recurrent(part: Any) -> bool:
    bases = {b.__name__ for b in type(part).__mro__ if b.__module__ == "torch.nn.modules.rnn"}
    return bool(bases & BASES) or getattr(part, "original_name", None) in SCRIPTED


def _refuse_own_computation(name: str, part: Any) -> None:
    """Check that a module runs the `forward` of its PyTorch class, without hooks."""
    owner = next((base for base in type(part).__mro__ if "forward" in vars(base)), None)
    other = owner is not None and owner.__module__.split(".")[0] != "torch"
    if other or "forward" in vars(part):
        raise ValueError(
            f"{name} is a {type(part).__name__} with a custom forward, which may compute something "
            "else: if it does not, pass its state_dict()"
        )
    hooks = [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]
    for hook in hooks:  # PyTorch's own hooks are those of weight norm and pruning
        if type(hook).__module__.split(".")[0] != "torch":
            raise ValueError(
                f"{name} has a hook around its forward, which may compute something else: remove "
                "it, or pass the state_dict()"
            )


def _nonlinearity(part: Any, given: str | None) -> str | None:
    """The nonlinearity of a simple RNN; None for an LSTM or a GRU."""
    mode = getattr(part, "mode", "")
    nonlinearity = mode.removeprefix("RNN_").lower() if mode.startswith("RNN_") else None
    nonlinearity = getattr(part, "nonlinearity", nonlinearity)
    if given is not None and nonlinearity is not None and given != nonlinearity:
        raise ValueError(f"nonlinearity is {given!r}, that of the module {nonlinearity!r}")
    return nonlinearity or given
