"""Modules of PyTorch and their settings, weights in other forms, and whole models."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import interop, variants
from tests.support.problems import assert_close, tolerance

FEATURES, UNITS, BATCH, TIME = 3, 5, 2, 7
XS = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES)).astype(np.float32)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:dropout option adds:UserWarning"),
    pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning"),
]

# What becomes of each argument: "carried" into the weights, "refused" by name, or of "no effect".
SEQUENCE = {
    "input_size": "carried", "hidden_size": "carried", "num_layers": "carried", "bias": "carried",
    "batch_first": "no effect", "dropout": "no effect", "bidirectional": "carried",
    "device": "carried", "dtype": "carried",
}  # fmt: skip
CELL = {
    "input_size": "carried", "hidden_size": "carried", "bias": "carried", "device": "carried",
    "dtype": "carried",
}  # fmt: skip
ARGUMENTS = {
    "LSTM": {**SEQUENCE, "proj_size": "carried"},
    "GRU": SEQUENCE,
    "RNN": {**SEQUENCE, "nonlinearity": "refused"},
    "LSTMCell": CELL,
    "GRUCell": CELL,
    "RNNCell": {**CELL, "nonlinearity": "refused"},
}
# The values that are tried: those of "no effect" and "carried" are compared in what they compute.
OTHER_VALUES = {
    "bias": False, "batch_first": True, "dropout": 0.5, "bidirectional": True, "num_layers": 2,
    "proj_size": 2, "dtype": "bfloat16", "device": "meta",
}  # fmt: skip


def close(found, expected, bound=None):
    assert_close(found, expected, bound or tolerance(jnp.float32))


def made(torch, kind, **options):
    if isinstance(options.get("dtype"), str):
        options["dtype"] = getattr(torch, options["dtype"])
    torch.manual_seed(0)
    return getattr(torch.nn, kind)(FEATURES, UNITS, **options).eval()


def outputs(torch, module):
    """The outputs of the module, time first."""
    xs = torch.tensor(XS).to(next(module.parameters()).dtype)
    with torch.no_grad():
        if type(module).__name__.endswith("Cell"):
            state = module(xs[0])
            return (state[0] if isinstance(state, tuple) else state).float().numpy()[None]
        batch_first = module.batch_first
        hs = module(xs.transpose(0, 1) if batch_first else xs)[0]
    return (hs.transpose(0, 1) if batch_first else hs).float().numpy()


def hs_of(layers, xs=XS):
    return jlstm.stack_scan(layers, None, xs)[1]


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_every_argument_is_classified(torch, kind):
    """An argument of a new version fails here until it is classified."""
    module = getattr(torch.nn, kind)
    base = module.__mro__[1]
    named = set()
    for init in (module.__init__, base.__init__):
        named |= set(inspect.signature(init).parameters)
    named -= {"self", "args", "kwargs", "mode", "num_chunks"}
    if kind in ("LSTM", "GRU", "RNN"):  # the base knows of projections, which the LSTM alone takes
        named -= {"proj_size"} if kind != "LSTM" else set()
        named |= {"nonlinearity"} if kind == "RNN" else set()
    assert named == set(ARGUMENTS[kind])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in ARGUMENTS.items() for name in names if name in OTHER_VALUES],
)
def test_every_argument(torch, kind, name):
    module = made(torch, kind, **{name: OTHER_VALUES[name]})
    simple = {"nonlinearity": "tanh"} if kind.startswith("RNN") else {}
    if name == "device":
        with pytest.raises(ValueError, match=r"weight_ih.* is on the meta device, which holds no"):
            interop.from_torch(module)
        return
    layers = interop.from_torch(module)
    also = interop.from_torch(module.state_dict(), **simple)
    jax.tree.map(np.testing.assert_array_equal, also, layers)
    xs = XS[:1] if kind.endswith("Cell") else XS
    if name == "dtype":
        assert {a.dtype for a in jax.tree.leaves(layers)} == {jnp.dtype(jnp.bfloat16)}
        close(
            hs_of(layers, xs.astype(jnp.bfloat16)).astype(np.float32), outputs(torch, module), 0.05
        )
        return
    close(hs_of(layers, xs), outputs(torch, module))


@pytest.mark.parametrize("kind", ["RNN", "RNNCell"])
def test_a_simple_rnn(torch, kind):
    relu = made(torch, kind, nonlinearity="relu")
    message = r"nonlinearity='relu'; jlstm.variants.RNNParams has tanh only"
    with pytest.raises(ValueError, match=message):
        interop.from_torch(relu)
    with pytest.raises(ValueError, match=message):
        interop.from_torch(relu.state_dict(), nonlinearity="relu")
    with pytest.raises(ValueError, match="nonlinearity is 'tanh', that of the module 'relu'"):
        interop.from_torch(relu, nonlinearity="tanh")
    tanh = made(torch, kind, nonlinearity="tanh")
    with pytest.raises(ValueError, match="may use tanh or relu: pass nonlinearity='tanh', or the"):
        interop.from_torch(tanh.state_dict())
    with pytest.raises(ValueError, match="must be 'tanh' or 'relu', got 'sigmoid'"):
        interop.from_torch(tanh.state_dict(), nonlinearity="sigmoid")
    with pytest.raises(ValueError, match=r"nonlinearity='tanh' is for torch.nn.RNN, but weight_hh"):
        interop.from_torch(made(torch, "LSTM"), nonlinearity="tanh")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_simple_rnns_there_and_back(torch, bidirectional):
    module = made(torch, "RNN", num_layers=2, bidirectional=bidirectional)
    layers = interop.from_torch(module)
    other = torch.nn.RNN(FEATURES, UNITS, 2, bidirectional=bidirectional)
    other.load_state_dict({k: torch.tensor(a) for k, a in interop.to_torch(layers).items()})
    close(hs_of(layers), outputs(torch, module))
    close(outputs(torch, other), outputs(torch, module))
    back = interop.from_torch(interop.to_torch(layers), nonlinearity="tanh")
    jax.tree.map(np.testing.assert_array_equal, back, layers)
    assert isinstance(jax.tree.leaves(layers, is_leaf=_is_rnn)[0], variants.RNNParams)


def _is_rnn(node):
    return isinstance(node, variants.RNNParams)


def trained(module):
    """Parameters changed from their initial values, at which a normed weight equals the weight."""
    for k, parameter in enumerate(module.parameters()):
        parameter.data.mul_(1.1 + 0.1 * k)
    return module


def forms(torch):
    from torch.nn.utils import prune

    utils = torch.nn.utils
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield utils.parametrizations.weight_norm(made(torch, "LSTM"), "weight_hh_l0")
        yield utils.parametrizations.weight_norm(made(torch, "GRU"), "weight_ih_l0", dim=None)
        yield utils.parametrizations.weight_norm(made(torch, "LSTM"), "weight_hh_l0", dim=1)
        yield utils.weight_norm(made(torch, "LSTM"), "weight_hh_l0")
        yield prune.l1_unstructured(made(torch, "LSTM"), "weight_hh_l0", amount=0.4)


def test_weights_in_other_forms_are_computed(torch):
    for module in forms(torch):
        expected = outputs(torch, trained(module))
        close(hs_of(interop.from_torch(module)), expected)
        whole = torch.nn.ModuleDict({"encoder": module}).state_dict()
        close(hs_of(interop.from_torch(whole)), expected)


def test_weights_in_forms_that_are_refused(torch):
    utils = torch.nn.utils
    spectral = utils.parametrizations.spectral_norm(made(torch, "LSTM"), "weight_hh_l0")
    with pytest.raises(ValueError, match=r"remove_parametrizations\(module, 'weight_hh_l0'\)"):
        interop.from_torch(spectral.state_dict())
    with pytest.raises(
        ValueError, match=r"parametrized by _SpectralNorm, .* module.eval\(\) first"
    ):
        interop.from_torch(spectral.train())
    close(hs_of(interop.from_torch(spectral.eval())), outputs(torch, spectral))
    old = utils.spectral_norm(made(torch, "LSTM"), "weight_hh_l0")
    with pytest.raises(ValueError, match=r"under spectral norm, .* torch.nn.utils.remove_spectral"):
        interop.from_torch(old)
    plain = made(torch, "LSTM").state_dict()
    for name, message in (
        (
            "weight_hh_l0_raw",
            "weight_hh_l0 and weight_hh_l0_raw, which differ, as after weight drop",
        ),
        (
            "weight_hh_l0_scale",
            "held as weight_hh_l0, weight_hh_l0_scale, an unknown form",
        ),
        ("weight_hh_l0_g", "held as weight_hh_l0, weight_hh_l0_g, an unknown form"),
        ("parametrizations.weight_hh_l0.original", "weight_hh_l0 is parametrized, held as"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.from_torch({**plain, name: 2 * plain["weight_hh_l0"]})
    two = {k: v for k, v in plain.items() if k != "weight_hh_l0"}
    for k in range(2):
        two[f"parametrizations.weight_hh_l0.original{k}"] = plain["weight_hh_l0"][:, : 2 + k]
    with pytest.raises(
        ValueError, match=r"shapes \(20, 2\) and \(20, 3\), which is not weight norm"
    ):
        interop.from_torch(two)


def test_weight_drop(torch):
    """The weights from before the drop are in the module, or in a wrapper."""
    plain = made(torch, "LSTM").state_dict()
    expected = interop.from_torch(plain)
    raw = plain["weight_hh_l0"]
    within = {k: v for k, v in plain.items() if k != "weight_hh_l0"} | {"weight_hh_l0_raw": raw}
    around = {f"rnns.0.module.{k}": v for k, v in plain.items()} | {"rnns.0.weight_hh_l0_raw": raw}
    for state_dict in (within, {**plain, "weight_hh_l0_raw": raw}, around):
        jax.tree.map(np.testing.assert_array_equal, interop.from_torch(state_dict), expected)
    around["rnns.0.module.weight_hh_l0"] = 2 * raw
    with pytest.raises(ValueError, match="which differ, as after weight drop: remove the first"):
        interop.from_torch(around)


def model(torch, **parts):
    """A model around recurrent modules, with other arrays."""
    whole = torch.nn.Module()
    whole.embed = torch.nn.Embedding(11, FEATURES)
    whole.tagger = torch.nn.ModuleDict(parts)
    whole.head = torch.nn.Linear(UNITS, 2)
    whole.register_buffer("scale", torch.ones(3, dtype=torch.int8))
    return whole.eval()


@pytest.mark.parametrize("wrap", ["", "DataParallel", "compile"])
def test_the_only_recurrent_module_of_a_model_is_found(torch, wrap):
    lstm = made(torch, "LSTM", num_layers=2)
    whole = model(torch, lstm=lstm)
    if wrap:
        whole = torch.nn.DataParallel(whole) if wrap == "DataParallel" else torch.compile(whole)
    expected = interop.from_torch(lstm)
    close(hs_of(expected), outputs(torch, lstm))
    prefix = {"": "", "DataParallel": "module.", "compile": "_orig_mod."}[wrap]
    for given in (whole, whole.state_dict()):
        for said in (None, prefix + "tagger", prefix + "tagger.lstm", prefix + "tagger.lstm."):
            jax.tree.map(np.testing.assert_array_equal, interop.from_torch(given, said), expected)
    with pytest.raises(ValueError, match=r"has no head.weight_ih_l0; it holds modules under"):
        interop.from_torch(whole, "head")


def test_several_recurrent_modules_are_listed(torch):
    lstm, gru = made(torch, "LSTM"), made(torch, "GRUCell")
    whole = model(torch, lstm=lstm, gru=gru)
    message = "2 recurrent modules, choose one by its prefix: 'tagger.gru.', 'tagger.lstm.'"
    for given in (whole, whole.state_dict()):
        with pytest.raises(ValueError, match=message):
            interop.from_torch(given)
        found = interop.from_torch(given, "tagger.gru")
        jax.tree.map(np.testing.assert_array_equal, found, interop.from_torch(gru))


def test_what_holds_no_module(torch):
    lstm = made(torch, "LSTM")
    checkpoint = {"epoch": 3, "model": lstm.state_dict(), "optimizer": {"state": {}}}
    for given, message in (
        (checkpoint, r"a checkpoint, of epoch, model, optimizer: pass state_dict\['model'\]"),
        ({"net": lstm}, r"a checkpoint, of net: pass state_dict\['net'\]"),
        (torch.nn.Linear(2, 3), "Linear holds no torch.nn.LSTM, GRU or RNN"),
        ({}, "state_dict has no weight_ih_l0; it holds nothing"),
    ):
        with pytest.raises(ValueError, match=message):
            interop.from_torch(given)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_without_numbers_of_16_bits(torch):
    lstm = made(torch, "LSTM")
    quantised = torch.ao.quantization.quantize_dynamic(
        torch.nn.Sequential(lstm), {torch.nn.LSTM}, dtype=torch.qint8
    )
    with pytest.raises(ValueError, match="0 is a quantised LSTM: pass the module from before"):
        interop.from_torch(quantised)
    with pytest.raises(ValueError, match=r"a quantised model, which holds 0._all_weight_values"):
        interop.from_torch(quantised.state_dict())
    for change, error, message in (
        (lambda a: a.to_sparse(), ValueError, "weight_ih_l0 is a torch.sparse_coo tensor"),
        (lambda a: torch.quantize_per_tensor(a, 0.1, 0, torch.quint8), ValueError,
         "weight_ih_l0 is a quantised tensor"),
        (lambda a: a.to(torch.float8_e4m3fn), TypeError, "of 16 bits or more, got torch.float8"),
        (lambda a: a.to(torch.int8), TypeError, "of 16 bits or more, got int8"),
        (lambda a: a.to(torch.complex64), TypeError, "of 16 bits or more, got complex64"),
    ):  # fmt: skip
        state_dict = {name: change(a) for name, a in lstm.state_dict().items()}
        with pytest.raises(error, match=message):
            interop.from_torch(state_dict)


def test_a_cell_with_arrays_of_its_own(torch):
    """Layer normalisation inside a cell, for instance, under the names of PyTorch's cell."""
    cell = made(torch, "LSTMCell")
    cell.add_module("norm", torch.nn.LayerNorm(UNITS))
    with pytest.raises(
        ValueError, match=r"has 'norm.weight', which is not a weight of an LSTM, GRU"
    ):
        interop.from_torch(cell.state_dict())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_torchscript(torch):
    lstm, rnn = made(torch, "LSTM"), made(torch, "RNN", nonlinearity="relu")
    found = interop.from_torch(torch.jit.script(lstm))
    jax.tree.map(np.testing.assert_array_equal, found, interop.from_torch(lstm))
    with pytest.raises(ValueError, match="nonlinearity='relu'"):
        interop.from_torch(torch.jit.script(rnn))


def test_modules_that_compute_something_else(torch):
    class Doubled(torch.nn.LSTM):
        def forward(self, *args):
            hs, state = super().forward(*args)
            return 2 * hs, state

    doubled = Doubled(FEATURES, UNITS)
    with pytest.raises(ValueError, match=r"is a Doubled with a custom forward"):
        interop.from_torch(doubled)
    assert len(interop.from_torch(doubled.state_dict())) == 1
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        module = made(torch, "GRU")
        handle = getattr(module, register)(lambda *args: None)
        with pytest.raises(ValueError, match="has a hook around its forward"):
            interop.from_torch(module)
        handle.remove()
        assert len(interop.from_torch(module)) == 1
