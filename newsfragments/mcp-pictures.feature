Pictures that a tool of an MCP server answers with reach models that see.
