"""The server: puts the rooms' parts together, starts and stops them. The one room that knows every other."""
