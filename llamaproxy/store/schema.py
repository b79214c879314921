"""The tables of the sessions' database, and the way to them from those of older versions.

A conversation is a tree, kept as branches. A branch has rows for its own messages only, from position `start` on; the
messages before that are those of its `parent`. So an append is one row a message at the end of a range of the key, and
the newest messages are one read from there, or a few where branches are short.
"""

# In the file's header (`application_id`) while a server has it: its newest turns may stand beside it then, in its -wal.
OPEN, AT_REST = 0x6C6C616D, 0

# Each entry leads from the schema version that is its index to the next.
#
# `seq` is a message's position in the conversation, counted from its root; the next one's is the branch's `length`, so
# that no statement ever counts or searches a history. `rest` is JSON of what most messages lack: images, tool calls,
# `interrupted`. `place` is where a message stands in the app's history, to be found by. `left_branch` was active before
# this one.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE sessions (
            session_id TEXT PRIMARY KEY,
            model TEXT NOT NULL DEFAULT '',
            settings TEXT NOT NULL DEFAULT '{}',
            message_count INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            last_active REAL NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE messages (
            session_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            rest TEXT,
            PRIMARY KEY (session_id, seq)
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE sessions ADD COLUMN branch INTEGER NOT NULL DEFAULT 1",
        """
        CREATE TABLE branches (
            session_id TEXT NOT NULL,
            branch INTEGER NOT NULL,
            parent INTEGER,
            start INTEGER NOT NULL DEFAULT 0,
            length INTEGER NOT NULL DEFAULT 0,
            left_branch INTEGER,
            PRIMARY KEY (session_id, branch)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO branches (session_id, branch, length)
        SELECT session_id, 1, message_count FROM sessions WHERE message_count > 0
        """,
        "ALTER TABLE sessions DROP COLUMN message_count",
        "ALTER TABLE messages RENAME TO messages_1",
        """
        CREATE TABLE messages (
            session_id TEXT NOT NULL,
            branch INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            rest TEXT,
            place TEXT,
            PRIMARY KEY (session_id, branch, seq)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO messages (session_id, branch, seq, role, content, rest)
        SELECT session_id, 1, seq, role, content, rest FROM messages_1
        """,
        "DROP TABLE messages_1",
        "CREATE INDEX places ON messages (session_id, place) WHERE place IS NOT NULL",
    ),
    # Which store this is: copies of it have the same.
    (
        "CREATE TABLE store (id TEXT NOT NULL)",
        "INSERT INTO store (id) VALUES (lower(hex(randomblob(16))))",
    ),
)
