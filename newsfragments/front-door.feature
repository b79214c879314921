The server puts an agent behind Ollama's and OpenAI's HTTP dialects: `twistd -n llamaproxy`.
