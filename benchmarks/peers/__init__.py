"""One module per implementation, all with the same weights and inputs.

A module of a JAX library has `layer(problem)`, which returns `(params, apply)` with
`apply(params, xs) -> hs`; `BATCH_MAJOR` says that it wants the batch first. Any other module has
`calls(problem)`, which returns functions without arguments by name: "forward" returns `{"hs"}`,
"train" the gradients of `mean(hs**2)`. `step(problem)` is one step of a stream.
"""
