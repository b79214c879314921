A turn of a session in PostgreSQL is one statement, and turns that end at the same time go over in one trip: half the processor time for node and database.
