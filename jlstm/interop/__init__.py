"""Converters of weights from and to other libraries.

Every `from_*` returns a stack, a tuple of layers for `jlstm.stack_scan`; every `to_*` takes one.
Where only the layout differs, a round trip is exact; where two numbers have to be added, it is
exact to one rounding, and the docstring says so. Layers that the other library cannot represent
raise an error.
"""

from jlstm.interop import export as export
from jlstm.interop.cudnn import from_cudnn as from_cudnn
from jlstm.interop.cudnn import to_cudnn as to_cudnn
from jlstm.interop.equinox import from_equinox as from_equinox
from jlstm.interop.equinox import to_equinox as to_equinox
from jlstm.interop.flax.weights import from_flax as from_flax
from jlstm.interop.flax.weights import to_flax as to_flax
from jlstm.interop.flax.weights import to_nnx as to_nnx
from jlstm.interop.haiku import from_haiku as from_haiku
from jlstm.interop.haiku import to_haiku as to_haiku
from jlstm.interop.keras.weights import from_keras as from_keras
from jlstm.interop.keras.weights import to_keras as to_keras
from jlstm.interop.onnx.reader import from_onnx as from_onnx
from jlstm.interop.onnx.reader import onnx_states as onnx_states
from jlstm.interop.onnx.writer import to_onnx as to_onnx
from jlstm.interop.safetensors import load_safetensors as load_safetensors
from jlstm.interop.safetensors import save_safetensors as save_safetensors
from jlstm.interop.torch.weights import from_torch as from_torch
from jlstm.interop.torch.weights import to_torch as to_torch
