A live stream holds less memory: neither the client's request nor the prompt is kept while the reply runs.
