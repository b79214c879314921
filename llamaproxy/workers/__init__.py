"""The workers room: one server in several processes on one port.

The supervisor, which is what `twistd` runs, serves nothing itself. It binds the sockets, starts the workers and starts
them again. Each session belongs to one worker; a connection whose request is for another one's session is handed over.
"""
