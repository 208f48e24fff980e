"""PyTorch as the oracle: stacks, both directions, ragged batches, projection, GRU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jlstm
from jlstm import variants
from tests.support.problems import assert_close

FEATURES, BATCH, TIME = 4, 5, 9
LENGTHS = [9, 1, 4, 7, 2]  # PyTorch refuses a length of 0


def numbers(tensor):
    return tensor.detach().numpy()


def layer_of(module, k, suffix, kind):
    """One layer of a `torch.nn` module in the layout of this library."""
    end = f"l{k}{suffix}"
    weight_ih, weight_hh = (numbers(getattr(module, f"weight_{p}_{end}")).T for p in ("ih", "hh"))
    bias_ih, bias_hh = (numbers(getattr(module, f"bias_{p}_{end}")) for p in ("ih", "hh"))
    if kind == "gru":
        hidden = weight_hh.shape[0]
        folded = bias_ih + np.concatenate([bias_hh[: 2 * hidden], np.zeros(hidden)])
        return variants.GRUParams(weight_ih, weight_hh, folded, bias_hh[2 * hidden :])
    params = jlstm.LSTMParams(weight_ih, weight_hh, bias_ih + bias_hh)
    if kind == "projected":
        return variants.ProjectedParams(*params, numbers(getattr(module, f"weight_hr_{end}")).T)
    return params


def gradients_of(module, k, suffix, kind):
    """The gradients that PyTorch left, in the structure of the layer; both biases have the same."""
    end = f"l{k}{suffix}"

    def grad(name):
        return numbers(getattr(module, f"{name}_{end}").grad)

    found = [grad("weight_ih").T, grad("weight_hh").T, grad("bias_ih")]
    if kind == "gru":
        hidden = found[1].shape[0]
        return variants.GRUParams(*found, grad("bias_hh")[2 * hidden :])
    if kind == "projected":
        return variants.ProjectedParams(*found, grad("weight_hr").T)
    return jlstm.LSTMParams(*found)


def make(torch, kind, layers, bidirectional, seed=0):
    torch.manual_seed(seed)
    options = {"num_layers": layers, "bidirectional": bidirectional, "dtype": torch.float64}
    if kind == "gru":
        module = torch.nn.GRU(FEATURES, 6, **options)
    else:
        more = {"proj_size": 3} if kind == "projected" else {}
        module = torch.nn.LSTM(FEATURES, 6, **options, **more)
    for parameter in module.parameters():  # PyTorch's own are small
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def each(module, kind, layers, bidirectional, read):
    """`read(module, k, suffix, kind)` of every layer and direction."""
    found = []
    for k in range(layers):
        forward = read(module, k, "", kind)
        if bidirectional:
            forward = jlstm.BiLSTMParams(forward, read(module, k, "_reverse", kind))
        found.append(forward)
    return tuple(found)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", ["lstm", "projected", "gru"])
def test_values_and_gradients(torch, kind, layers, bidirectional, ragged, x64):
    module = make(torch, kind, layers, bidirectional)
    stack = each(module, kind, layers, bidirectional, layer_of)
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(TIME, BATCH, FEATURES))
    states = jax.tree.map(
        lambda a: rng.normal(size=a.shape), jlstm.init_stack_state(stack, (BATCH,))
    )

    # PyTorch holds the states of all layers and directions in one array.
    flat = jax.tree.leaves(states, is_leaf=lambda s: isinstance(s, jlstm.LSTMState))
    if kind == "gru":
        first = torch.tensor(np.stack(flat), requires_grad=True)
        given = first
    else:
        given = tuple(
            torch.tensor(np.stack([getattr(s, name) for s in flat]), requires_grad=True)
            for name in "hc"
        )
    their_xs = torch.tensor(xs, requires_grad=True)
    read = their_xs
    if ragged:
        read = torch.nn.utils.rnn.pack_padded_sequence(their_xs, LENGTHS, enforce_sorted=False)
    out, last = module(read, given)
    if ragged:
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=TIME)
    ends = (last,) if kind == "gru" else last
    weights = [rng.normal(size=tuple(a.shape)) for a in (out, *ends)]
    loss = sum((a * torch.tensor(w)).sum() for a, w in zip((out, *ends), weights, strict=True))
    loss.backward()

    lengths = np.array(LENGTHS) if ragged else None

    def ours(stack, states, xs):
        states, hs = jlstm.stack_scan(stack, states, xs, lengths=lengths)
        flat = jax.tree.leaves(states, is_leaf=lambda s: isinstance(s, jlstm.LSTMState))
        if kind == "gru":
            return hs, jnp.stack(flat)
        return hs, jnp.stack([s.h for s in flat]), jnp.stack([s.c for s in flat])

    def our_loss(*arrays):
        return sum((a * w).sum() for a, w in zip(ours(*arrays), weights, strict=True))

    arrays = jax.tree.map(jnp.asarray, (stack, states, xs))
    assert_close(ours(*arrays), [numbers(a) for a in (out, *ends)], 1e-12)
    d_stack, d_states, d_xs = jax.grad(our_loss, argnums=(0, 1, 2))(*arrays)
    assert_close(d_stack, each(module, kind, layers, bidirectional, gradients_of), 1e-11)
    assert_close(d_xs, numbers(their_xs.grad), 1e-11)
    flat = jax.tree.leaves(d_states, is_leaf=lambda s: isinstance(s, jlstm.LSTMState))
    for k, state in enumerate(flat):
        theirs = [given.grad[k]] if kind == "gru" else [a.grad[k] for a in given]
        assert_close(state, [numbers(a) for a in theirs], 1e-11)
