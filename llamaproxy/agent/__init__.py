"""The agent room: sessions, the turn loop, commands and prompts; knows neither HTTP nor a vendor."""
