MCP servers that say that their tools changed are listed again, and what their programs write to standard error goes to the log, by lines and bounded.
