`agentctl sessions list`, `show`, `export` (Markdown or JSON) and `delete` work on the conversations at rest as well.
