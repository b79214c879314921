"""Where third parties drop their plugins: a module here, or in a `llamaproxy/plugins` folder on `sys.path`."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
