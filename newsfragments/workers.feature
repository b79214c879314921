`--workers N` serves from N processes on one port that share all sessions; one that dies is started again, and the others' streams go on.
