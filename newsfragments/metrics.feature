`/metrics` shows live and paused streams, tokens, times, model errors and the reactor's delay to Prometheus, and `--debug` logs whatever holds the server up for more than 50 ms.
