"""llamaproxy: a personal AI agent behind the HTTP dialects that chat apps already speak."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("llamaproxy")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
