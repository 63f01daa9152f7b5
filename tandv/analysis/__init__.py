"""Functions of arrays and curves that return numbers; each file answers one question and imports only what it needs.

`transitions`: where a curve changes, its stages, how certain and how steep. `generalisation`: memorisation, grokking,
capabilities. `reliance`: groups and spurious features. `moments` and `coordination`: the steps around a transition.
`attention`, `features`, `representations`: what arrays of one or more checkpoints show.
"""
