"""What lies beyond a database's own tables: the host's files and programs, accounts and sessions, and what tables of
the database itself show of all others. It has gates of its own."""

import re
from collections.abc import Iterable

from ...seams.gates import ACCOUNTS, ALL, HOST

# Of a name with its schema, what must be open besides; the first one that fits counts.
_TABLES: dict[str, tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = {
    "sqlite": (
        (re.compile(r"(temp\.)?(sqlite_stat\d|sqlite_dbpage|sqlite_dbdata|sqlite_dbptr|dbstat)"), (ALL,)),
    ),
    "postgres": (
        (
            re.compile(
                r"pg_catalog\.(pg_authid|pg_shadow|pg_users?|pg_roles|pg_group|pg_auth_members|pg_user_mappings?"
                r"|pg_db_role_setting|pg_subscription\w*|pg_stat_(activity|replication|ssl|gssapi|wal_receiver"
                r"|subscription\w*|progress_\w+)|pg_prepared_\w+|pg_cursors|pg_locks|pg_replication_\w+)"
                r"|information_schema\._?pg_user_mappings?|information_schema\.user_mapping\w*"
            ),
            (ACCOUNTS,),
        ),
        (re.compile(r"(\w+\.)?pg_stat_statements\w*"), (ACCOUNTS, ALL)),
        (
            re.compile(
                r"pg_catalog\.(pg_(?>\w+?_file_)\w+|pg_hba_file_rules|pg_file_settings|pg_settings|pg_config)"
            ),
            (HOST,),
        ),
        (re.compile(r"pg_catalog\.(pg_stats\w*|pg_statistic\w*|pg_largeobject)|pg_toast\..*"), (ALL,)),
    ),
    "mysql": (
        (re.compile(r"mysql\.(\w+_stats|gtid_\w+|innodb_\w+)"), (ALL,)),
        (re.compile(r"mysql\.(help_\w+|time_zone\w*)"), ()),
        (re.compile(r"mysql\..*"), (ACCOUNTS,)),
        (re.compile(r"(performance_schema|sys)\..*"), (ACCOUNTS, ALL)),
        (re.compile(r"information_schema\.(processlist|.*(privileges|roles?|user\w*))"), (ACCOUNTS,)),
        (re.compile(r"information_schema\..*"), (ACCOUNTS, ALL)),
    ),
}

# Words of statements that nobody can judge as a whole, which tell at least that much.
_HOST_WORD = re.compile(
    r"pg_read_\w+|pg_ls_\w+|pg_file_\w+|pg_stat_file|pg_current_logfile|lo_(im|ex)port|lo_(get|put|from_bytea)"
    r"|dblink\w*|load_(file|extension)|outfile|dumpfile|infile|program|attach|detach|readfile|writefile|fsdir|edit"
    r"|copy|load|install|uninstall|extension|server|soname|tablespace|shutdown|system|vacuum|import|plugin|wrapper"
    r"|fts3_tokenizer|handlersocket|sys_exec|sys_eval"
)
_ACCOUNTS_WORD = re.compile(
    r"grant|revoke|kill|processlist|password|privileges|identified|authorization|role|reassign"
    r"|pg_(terminate|cancel)_backend|pg_stat_get_(activity|backend\w*)|pg_stat_activity|pg_shadow|pg_authid"
    r"|pg_user\w*|pg_roles|slaves?|replicas?|master|binary|binlog|relaylog|log_status|profiles?"
    r"|pg_lock_status|pg_prepared_\w+|pg_cursor|pg_show_\w+|pg_signal_\w+|general_log|slow_log|global_priv"
    r"|performance_schema"
)
_ACCOUNT_MAKING = re.compile(
    r"(show|(create|alter|drop|rename|set|comment)\s+(or\s+replace\s+)?(user|role|group))\b"
)
# What takes code from strings, or brings it in; nobody sees what that will do.
_MADE_OF_CODE = re.compile(r"(create|alter|drop)\s.*\b(rule|operator|cast)\b", re.DOTALL)
_CODE = """
    call execute immediate prepare deallocate declare handler function procedure trigger event package language
    aggregate
"""
_CODE_WORDS = frozenset(_CODE.split())
_COMMENTS = re.compile(r"(?:\s++|/\*.*?\*/|(?:--|#)[^\n]*+\n)*+", re.DOTALL)
_WORD = re.compile(r"[a-z0-9_]+")

EVERYTHING = (HOST, ACCOUNTS)


def powers_of_table(name: str, dialect: str) -> tuple[str, ...]:
    """What must be open besides the table itself: `HOST`, `ACCOUNTS`, or `*` for one that shows values of others."""
    lower = name.lower()
    for pattern, powers in _TABLES[dialect]:
        if pattern.fullmatch(lower):
            return powers
    return ()


def begun(sql: str) -> str:
    """A statement from its first word on."""
    start = _COMMENTS.match(sql)
    return sql[start.end() if start else 0 :]


def powers_of_text(sql: str) -> tuple[str, ...]:
    """What a statement that cannot be judged seems to reach, by its words."""
    lower = begun(sql).lower()
    words = _WORD.findall(lower)
    if _CODE_WORDS & set(words) or words[:1] in (["do"], ["begin"]) or _MADE_OF_CODE.match(lower):
        return EVERYTHING
    powers = powers_of_words(set(words))
    return (*powers, ACCOUNTS) if _ACCOUNT_MAKING.match(lower) and ACCOUNTS not in powers else powers


def powers_of_words(words: Iterable[str]) -> tuple[str, ...]:
    """What functions and commands of these names reach, in lower case."""
    words = tuple(words)
    found = ((HOST, _HOST_WORD), (ACCOUNTS, _ACCOUNTS_WORD))
    return tuple(power for power, pattern in found if any(map(pattern.fullmatch, words)))
