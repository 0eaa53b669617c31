"""The Gatehouse stack on one machine: AWS, gateway, demo authorization server and landing page in one process.

`stack` puts it together. Below it, each package imports only from those before it: `base`, `demo` (the authorization
server), `aws` (the emulated account), `gateway` (what calls the functions), `pages`.
"""
