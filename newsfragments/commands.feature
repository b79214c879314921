Commands for tools, limits, delegation and the system prompt, and a `!help` that fits a phone.
