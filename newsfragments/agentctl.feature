`agentctl` lists and changes plugins, ports, models, rate limits, depth limits, gate defaults, and the limits of sessions and their history.
