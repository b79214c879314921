"""Sessions in PostgreSQL, which several nodes share. Whoever has the turn of a session is settled by the database."""
