"""What a provider is: the keys of its file and of a registration, and how the layers of both become one.

`vocabulary` has every key and its check, `merging` makes a `Registration` of the layers. There is no I/O, and no
provider's name: what a provider does in its own way is data in `functions/providers/NAME.toml`.
"""
