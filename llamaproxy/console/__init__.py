"""The pages: the operator's console behind a door of its own, and a chat for whoever has no app."""
