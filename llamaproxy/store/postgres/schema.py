"""The tables in PostgreSQL, and the way to them from those of older versions.

Conversations lie in them as in SQLite's file (`store.schema`). Whatever is written of a session gives it another
`version`, which no session had before, so that a node knows whether what it remembers is what there is.

Who has the turn of a session is in `turns`, and who waits for it in `waiting`. What a node has to remember of a session
only for a while (how often its tools were called) goes with the turn, as its `memo`. `answers` are to what one node
asks the others, and `users` who talks at each. All these are unlogged: to take a turn costs no write to disk, and after
a crash of the database, which no node survives without a new connection, nobody has one. `used` is what callers with a
limit have used, and outlives that.
"""

# What several nodes must not do at the same time: migrate.
MIGRATION_LOCK = 0x6C6C616D61
# And let users in.
USERS_LOCK = 0x6C6C616D62
# With the number of a node, the lock that says that it lives.
NODE_LOCK = 0x6C6D

# Each entry leads from the schema version that is its index to the next.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE sessions (
            session_id text PRIMARY KEY,
            model text NOT NULL DEFAULT '',
            settings text NOT NULL DEFAULT '{}',
            created_at double precision NOT NULL,
            last_active double precision NOT NULL,
            branch bigint NOT NULL DEFAULT 1,
            version bigint NOT NULL DEFAULT 0
        )
        """,
        """
        CREATE TABLE branches (
            session_id text NOT NULL,
            branch bigint NOT NULL,
            parent bigint,
            start bigint NOT NULL DEFAULT 0,
            length bigint NOT NULL DEFAULT 0,
            left_branch bigint,
            PRIMARY KEY (session_id, branch)
        )
        """,
        """
        CREATE TABLE messages (
            session_id text NOT NULL,
            branch bigint NOT NULL,
            seq bigint NOT NULL,
            role text NOT NULL,
            content text NOT NULL,
            rest text,
            place text,
            PRIMARY KEY (session_id, branch, seq)
        )
        """,
        "CREATE INDEX places ON messages (session_id, place) WHERE place IS NOT NULL",
        "CREATE TABLE store (id text NOT NULL)",
        "INSERT INTO store (id) VALUES (replace(gen_random_uuid()::text, '-', ''))",
        "CREATE SEQUENCE versions",
        "CREATE SEQUENCE node_numbers AS integer CYCLE",
        """
        CREATE UNLOGGED TABLE nodes (
            node integer PRIMARY KEY,
            name text NOT NULL,
            version text NOT NULL,
            since double precision NOT NULL,
            users bigint NOT NULL DEFAULT 0
        )
        """,
        "CREATE UNLOGGED TABLE turns (session_id text PRIMARY KEY, node integer NOT NULL, ticket bigint NOT NULL)",
        """
        CREATE UNLOGGED TABLE waiting (
            ticket bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            session_id text NOT NULL,
            node integer NOT NULL
        )
        """,
        "CREATE INDEX waiting_for ON waiting (session_id, ticket)",
        "CREATE UNLOGGED TABLE memos (session_id text PRIMARY KEY, memo text NOT NULL)",
        """
        CREATE UNLOGGED TABLE answers (
            question text NOT NULL,
            node integer NOT NULL,
            answer text NOT NULL,
            at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (question, node)
        )
        """,
        "CREATE TABLE rulings (subject text NOT NULL, key text NOT NULL, ruling text NOT NULL, "
        "PRIMARY KEY (subject, key))",
    ),
    (
        """
        CREATE UNLOGGED TABLE users (
            session_id text NOT NULL,
            node integer NOT NULL,
            source text NOT NULL,
            at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
            PRIMARY KEY (session_id, node)
        )
        """,
        """
        CREATE TABLE used (
            source text NOT NULL,
            second bigint NOT NULL,
            messages bigint NOT NULL,
            tokens bigint NOT NULL,
            PRIMARY KEY (source, second)
        )
        """,
    ),
)
