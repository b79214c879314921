"""Coding apps that really run against a server, whose model is scripted; `make test-apps` installs them.

What they send is theirs alone to change, so nothing here imitates them: a test says words to an app, and looks at what
the session holds afterwards. An app that is not installed skips its tests.
"""
