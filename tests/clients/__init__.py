"""The official client libraries, in child processes, against a real server: embedded model and scripted one."""
