"""Replies: one answer on its way out, whoever hears it. Knows neither sessions nor models by name."""
