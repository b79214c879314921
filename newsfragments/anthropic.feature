Models of type `ANTHROPIC` speak the Messages API: streaming, tools, thinking and pictures.
