"""Tool calls: which tools a model is offered, what stands between a call and its tool, and what comes of it."""
