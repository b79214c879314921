"""llamaproxy: a personal AI agent behind the HTTP dialects that chat apps already speak."""

# Told to clients, and the package's own: `pyproject.toml` takes it from here. Asking for installed metadata would cost
# each child process of the server as much as the rest of its start.
__version__ = "0.1.0"
