A home is used by one server at a time: a second one is refused, and told of the first. `agentctl backup FILE` copies the conversations of a running server.
