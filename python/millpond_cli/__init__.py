"""The command ``millpond``: a package of its own, so that it starts without loading the engine."""
