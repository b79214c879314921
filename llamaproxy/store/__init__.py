"""The store room: sessions at rest."""
