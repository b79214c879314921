"""Databases: what a statement would touch, and how to run it on SQLite, PostgreSQL, MySQL and MariaDB."""
