"""PyTorch: `torch.nn.LSTM`, on CPU through oneDNN."""

import torch


def calls(problem):
    """Calls without arguments, by name; each returns NumPy arrays."""
    lstm = _load(torch.nn.LSTM, problem)
    xs = torch.from_numpy(problem.xs)
    leaf = torch.from_numpy(problem.xs).requires_grad_()
    weights = dict(lstm.named_parameters())

    def forward():
        with torch.inference_mode():
            return {"hs": lstm(xs)[0].numpy()}

    def train():
        hs = lstm(leaf)[0]
        d_xs, d_ih, d_hh, d_b, _ = torch.autograd.grad(
            hs.square().mean(), [leaf, *weights.values()]
        )
        gradients = {"xs": d_xs, "weight_ih": d_ih.T, "weight_hh": d_hh.T, "bias": d_b}
        return {name: gradient.numpy() for name, gradient in gradients.items()}

    return {"forward": forward, "train": train}


def step(problem):
    """One step at batch 1 of a stream, and the state after it: `torch.nn.LSTMCell`."""
    cell = _load(torch.nn.LSTMCell, problem)
    x = torch.from_numpy(problem.xs[0])
    zeros = torch.zeros(x.shape[0], problem.weight_hh.shape[0])
    state = (zeros, zeros)

    def call():
        nonlocal state
        with torch.inference_mode():
            state = cell(x, state)
        return state[0].numpy()

    return call


def _load(module, problem):
    inputs, gates = problem.weight_ih.shape
    lstm = module(inputs, gates // 4)
    values = (problem.weight_ih.T, problem.weight_hh.T, problem.bias, 0 * problem.bias)
    with torch.no_grad():
        for weight, value in zip(lstm.parameters(), values, strict=True):
            weight.copy_(torch.from_numpy(value.copy()))
    return lstm
