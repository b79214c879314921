"""MCP servers: their tools beside our own. The `mcp` library is asyncio's, so it has a thread to itself."""
