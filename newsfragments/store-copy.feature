`agentctl store-copy` takes conversations from a `sessions.db` to PostgreSQL and back, `agentctl nodes` shows who shares a store.
