`agentctl doctor [--client NAME] [URL]` plays the part of every client against a running server, and names the first call and field at which one would fail.
