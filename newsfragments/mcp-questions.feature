A tool of an MCP server that asks the user something (elicitation) is answered in the chat like a gate, with `gate_mode` `ask`: `!yes <code> <answer>`.
