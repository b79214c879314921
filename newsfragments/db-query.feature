Models can query a database with `db_query`: an SQLite file, PostgreSQL, MySQL or MariaDB. Each statement is judged by the tables it reads and writes before the gates let it run.
