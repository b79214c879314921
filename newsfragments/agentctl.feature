`agentctl` lists and changes plugins, ports and models.
