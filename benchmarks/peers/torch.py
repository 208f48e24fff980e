"""PyTorch: `torch.nn.LSTM`, on CPU through oneDNN, on a GPU through cuDNN."""

import torch

XS = 0  # the index of the gradient of the inputs in the results of "train"


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


def streams(problem, dtype):
    """`(calls, wait)` on the GPU, if there is one: the calls return before they are computed."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    inputs, gates = problem.weight_ih.shape
    options = {
        "num_layers": 2 if problem.kind == "two layers" else 1,
        "bidirectional": problem.kind == "both directions",
    }
    lstm = torch.nn.LSTM(inputs, gates // 4, **options)
    cells = [problem] if problem.other is None else [problem, problem.other]
    values = [v for c in cells for v in (c.weight_ih.T, c.weight_hh.T, c.bias, 0 * c.bias)]
    _copy(lstm, values)
    lstm = lstm.to(device, getattr(torch, dtype))
    lstm.flatten_parameters()
    leaf = torch.from_numpy(problem.xs).to(device, getattr(torch, dtype)).requires_grad_()
    weights = [leaf, *lstm.parameters()]
    lengths = None if problem.lengths is None else torch.from_numpy(problem.lengths).long()

    def run():
        if lengths is None:
            return lstm(leaf)[0]
        packed = torch.nn.utils.rnn.pack_padded_sequence(leaf, lengths, enforce_sorted=False)
        return torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], total_length=len(leaf))[0]

    def forward():
        lstm.eval()  # inference: nothing is kept for a backward pass
        with torch.no_grad():
            return run()

    def train():
        lstm.train()
        return torch.autograd.grad(run().float().square().mean(), weights)

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    return {"forward": forward, "train": train}, wait


def device_times(call, count):
    """Milliseconds of one call by events in the stream of the GPU."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        call()
    end.record()
    torch.cuda.synchronize()
    return {"ms": start.elapsed_time(end) / count}


def without_tf32():
    """Exact float32 products, for a comparison with float64."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def step(problem):
    """One step of a stream at batch 1, with the state kept: `torch.nn.LSTMCell`."""
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
    _copy(lstm, values)
    return lstm


def _copy(lstm, values):
    with torch.no_grad():
        for weight, value in zip(lstm.parameters(), values, strict=True):
            weight.copy_(torch.from_numpy(value.copy()))
