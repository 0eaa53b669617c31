"""What a provider is: the keys of its file and of a registration, and how the layers of both become one.

`vocabulary` has every key and its check, `assembling` what has to fit together. `rules` say what refusals mean.
There is no I/O, and no provider's name: what one does its own way is data in `functions/providers/NAME.toml`.
"""
