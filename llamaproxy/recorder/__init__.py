"""The flight recorder: keeps the records of turns in bounded memory, and tells them. Never sees a word of a turn."""
