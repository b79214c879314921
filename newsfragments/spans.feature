With the extra `otel` and `OTEL_EXPORTER_OTLP_ENDPOINT`, each turn is told to a collector as OpenTelemetry spans; the trace of a request goes on to the model's server.
