Agents written in Python are models of type `PYTHON`: any async generator, coroutine, generator or function.
