"""Arrays and curves in, numbers out: each file is one question, and imports only what it needs.

`transitions` and `segments`: where a curve changes, and its stages; `nulls` and `sharpness`: how sure and how steep.
`generalisation`: memorising, generalising, capabilities. `moments`: what to look at around a transition.
`attention`, `features`, `representations`: what arrays of one or more checkpoints have in common.
"""
