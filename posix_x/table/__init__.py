"""The contract with guests as data: syscalls.toml, types.toml, and what is generated from them."""
