"""The doctor's room: what real clients require of a server's answers, to the last field. Knows nothing of ours."""
