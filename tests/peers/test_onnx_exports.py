"""ONNX as PyTorch exports it: the layers, against the file in ONNX Runtime."""

import contextlib
import io
import itertools
import warnings

import numpy as np
import pytest

import jlstm
from jlstm import interop
from tests.peers.conftest import library
from tests.support.problems import assert_close

TOLERANCE = 2e-6  # both are float32, of a few products of tens of numbers
CASES = list(itertools.product(("LSTM", "GRU", "RNN"), (1, 2), (False, True), (False, True)))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def make(torch, kind, layers=1, both=False, first=False):
    torch.manual_seed(0)
    return getattr(torch.nn, kind)(
        3, 5, num_layers=layers, bidirectional=both, batch_first=first
    ).eval()


def export(torch, module, inputs, **options):
    """The bytes of a model, from either exporter."""
    out = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, inputs, out if not options["dynamo"] else None, **options
        )
    return program.model_proto.SerializeToString() if options["dynamo"] else out.getvalue()


def session(model):
    return library("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])


def run(model, *inputs):
    ready = session(model)
    return ready.run(None, dict(zip([i.name for i in ready.get_inputs()], inputs, strict=True)))


def scan(layers, states, xs, first):
    """The outputs of `stack_scan`, batch first where the model is."""
    hs = np.asarray(jlstm.stack_scan(layers, states, xs.swapaxes(0, 1) if first else xs)[1])
    return hs.swapaxes(0, 1) if first else hs


def given_states(kind, both, *states):
    """States as PyTorch takes them, one entry `(batch, hidden)` per layer and direction."""
    each = [jlstm.LSTMState(*s) if kind == "LSTM" else s[0] for s in zip(*states, strict=True)]
    pairs = zip(each[::2], each[1::2], strict=False) if both else ()
    return [jlstm.BiLSTMState(*pair) for pair in pairs] or each


@pytest.mark.parametrize(("kind", "layers", "both", "first"), CASES)
def test_the_legacy_exporter(torch, kind, layers, both, first):
    module = make(torch, kind, layers, both, first)
    x = torch.zeros(4, 6, 3)
    model = export(
        torch, module, (x,), dynamo=False, opset_version=14, input_names=["x"],
        dynamic_axes={"x": {0: "a", 1: "b"}},
    )  # fmt: skip
    stack = interop.from_onnx(model)
    for size in ((4, 6), (1, 7), (9, 1)):
        xs = draw(*size, 3)
        assert_close(scan(stack, None, xs, first), run(model, xs)[0], TOLERANCE)


@pytest.mark.parametrize("opset", range(7, 21))
@pytest.mark.parametrize("kind", ["LSTM", pytest.param("GRU", marks=pytest.mark.slow)])
def test_every_opset(torch, kind, opset):
    module = make(torch, kind, 2, True)
    options = {"dynamo": False, "opset_version": opset, "input_names": ["x"]}
    model = export(torch, module, (torch.zeros(4, 6, 3),), **options)
    xs = draw(4, 6, 3)
    found = scan(interop.from_onnx(model), None, xs, False)
    assert_close(found, module(torch.tensor(xs))[0].detach().numpy(), TOLERANCE)
    if opset > 8:  # before, PyTorch writes zeros by an operator that ONNX Runtime has dropped
        assert_close(found, run(model, xs)[0], TOLERANCE)


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("kind", "layers", "both", "first"), CASES[:16])
def test_states_that_are_inputs(torch, kind, layers, both, first, dynamo):
    module = make(torch, kind, layers, both, first)
    batch = 4 if first else 6
    parts = [draw(layers * (1 + both), batch, 5, seed=k) for k in range(1 + (kind == "LSTM"))]
    states = tuple(map(torch.tensor, parts))
    inputs = (torch.zeros(4, 6, 3), states if kind == "LSTM" else states[0])
    options = {"dynamo": True} if dynamo else {"dynamo": False, "opset_version": 15}
    if dynamo:
        library("onnxscript")
    model = export(torch, module, inputs, **options)
    stack = interop.from_onnx(model)
    assert interop.onnx_states(model) == (None,) * layers
    xs = draw(4, 6, 3)
    found = scan(stack, given_states(kind, both, *parts), xs, first)
    assert_close(found, run(model, xs, *parts)[0], TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "layers", "both", "first"), CASES[:16])
def test_the_new_exporter(torch, kind, layers, both, first):
    library("onnxscript")
    module = make(torch, kind, layers, both, first)
    model = export(torch, module, (torch.zeros(4, 6, 3),), dynamo=True)
    xs = draw(4, 6, 3)
    assert_close(scan(interop.from_onnx(model), None, xs, first), run(model, xs)[0], TOLERANCE)


def test_unrolled_steps_are_no_layer(torch):
    library("onnxscript")
    model = export(torch, make(torch, "RNN"), (torch.zeros(2, 6, 3),), dynamo=True)
    with pytest.raises(ValueError, match="model has no LSTM, GRU or RNN node; it holds Add"):
        interop.from_onnx(model)


def test_the_new_exporter_once(torch):
    library("onnxscript")
    module = make(torch, "LSTM", 2, True, True)
    model = export(torch, module, (torch.zeros(4, 6, 3),), dynamo=True)
    xs = draw(4, 6, 3)
    assert_close(scan(interop.from_onnx(model), None, xs, True), run(model, xs)[0], TOLERANCE)


def parts_of_a_model(torch):
    """A module with convolutions before the layers, and a head after them."""
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv1d(2, 3, kernel_size=3, stride=2)
            self.layers = nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(5, 4)

        def forward(self, x):
            x = torch.relu(self.convolution(x)).transpose(1, 2)
            hs, (h, _) = self.layers(x)
            return x, hs, self.head(h[-1])

    torch.manual_seed(0)
    return Tagger().eval()


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_layers_inside_a_model(torch, dynamo):
    if dynamo:
        library("onnxscript")
    options = {"dynamo": True} if dynamo else {
        "dynamo": False, "opset_version": 17, "input_names": ["x"],
        "dynamic_axes": {"x": {0: "batch", 2: "time"}},
    }  # fmt: skip
    model = export(torch, parts_of_a_model(torch), (torch.zeros(3, 2, 20),), **options)
    layers = interop.from_onnx(model)
    for batch, time in [(3, 20)] if dynamo else [(3, 20), (1, 31), (4, 12)]:
        xs, hs, _ = run(model, draw(batch, 2, time))
        assert_close(scan(layers, None, xs, True), hs, TOLERANCE)


def test_packed_sequences(torch):
    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = make(torch, "LSTM", 2, True)

        def forward(self, x, lengths):
            pack = torch.nn.utils.rnn
            packed = pack.pack_padded_sequence(x, lengths, enforce_sorted=True)
            return pack.pad_packed_sequence(self.layers(packed)[0])[0]

    lengths = np.array([7, 4, 4, 1])
    model = export(
        torch, Packed().eval(), (torch.zeros(7, 4, 3), torch.tensor(lengths)), dynamo=False,
        opset_version=17, input_names=["x", "lengths"],
        dynamic_axes={"x": {0: "time", 1: "batch"}, "lengths": {0: "batch"}},
    )  # fmt: skip
    layers, xs = interop.from_onnx(model), draw(7, 4, 3)
    hs = jlstm.stack_scan(layers, None, xs, lengths=lengths)[1]
    assert_close(hs, run(model, xs, lengths)[0], TOLERANCE)
