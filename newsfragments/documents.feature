Anthropic's `document` blocks with text, `search_result` and `tool_reference`, and OpenAI's `file` and `input_file` that hold text are read. `count_tokens` takes whatever `messages` takes.
