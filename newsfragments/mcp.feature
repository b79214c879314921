Models can use the tools of MCP servers, over stdio and streamable HTTP; a server that dies is started again.
