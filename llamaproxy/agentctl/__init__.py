"""The agentctl room: the operator's command line over the files in the home folder.

Every call starts fast, since scripts and `make run` call it often: nothing in here imports Twisted, and what only
a download needs is imported when there is one.
"""
