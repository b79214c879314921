A command `llamaproxy` runs the server and fetches missing weights first, so that `uv tool install` and `pipx install` are all it takes.
