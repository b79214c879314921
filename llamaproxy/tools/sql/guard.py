"""What one SQL statement would touch: the tables it reads, the tables it writes.

The gates rest on this, so every doubt counts as a write of `UNKNOWN`: what `sqlglot` cannot parse, several statements,
functions that are not known to be harmless, text that two databases would cut into words differently. This is a
proposal: the connections of `db_query` hold what the database says it touches against the gates once more, for what no
look at the text can tell (what a view reads, say).
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace
from sqlglot import exp, parse
from sqlglot.errors import SqlglotError, TokenError

from ...seams.gates import ALL, HOST, UNKNOWN
from .functions import PURE
from .names import Names, is_joined, names_with_columns, targets
from .powers import EVERYTHING, powers_of_table, powers_of_text
from .statement import Dialect, Verdict
from .words import Doubt, Unreadable, Words

# sqlglot takes what follows for one opaque word, so it is looked at by itself.
_DESCRIBING = re.compile(r"\s*(?:(show)|explain|describe|desc)\b", re.IGNORECASE)
_EXPLAIN = """
    ( ) , = 0 1 '' analyze analyse buffers costs extended false format generic_plan json off on partitions plan
    query settings summary text timing traditional tree true verbose wal xml yaml
"""
_EXPLAIN_OPTIONS = frozenset(_EXPLAIN.split())
_STARTS = "select with values table insert update delete replace merge create alter drop truncate"
_STATEMENT_STARTS = frozenset(_STARTS.split())
_REPLACE = re.compile(r"\A\s*replace\b", re.IGNORECASE)
# What SHOW may show and still only describe the database: no accounts, no sessions, no logs.
_SHOWN = re.compile(
    r"(full |extended |global |session |local )*("
    r"tables|columns|fields|databases|schemas|index|indexes|indices|keys|table status|triggers|variables|status|engines"
    r"|warnings|errors|character set|charset|collation|function status|procedure status|events|open tables"
    r"|create (table|view|database|schema|sequence|function|procedure|trigger|event))\b.*"
)
# Where FTS and R-Tree indexes of SQLite keep what they index.
_SHADOW = re.compile(r"(.+)_(content|data|idx|docsize|config|segments|segdir|stat|node|rowid|parent)")
# Settings of PostgreSQL that hold passwords, or commands of its host.
_TELLING_SETTING = re.compile(r"all|primary_conninfo|\w+_command")
_LOOKING_PRAGMA = re.compile(
    r"pragma (main \. )?("
    r"(table_info|table_xinfo|index_list|index_info|index_xinfo|foreign_key_list) (\( \S+ \)|= \S+)"
    r"|table_list|database_list|collation_list|function_list|module_list|pragma_list|compile_options|encoding"
    r"|user_version|schema_version|application_id|page_count|page_size|freelist_count|journal_mode|foreign_keys)"
)
_KNOWN_WRITES = (
    exp.Query,
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.TruncateTable,
    exp.Create,
    exp.Drop,
    exp.Alter,
)
_CREATABLE = ("TABLE", "VIEW", "INDEX")
_UNHEARD_OF = (exp.Command, exp.Into, exp.Lock, exp.Hint, exp.NextValueFor)


def classify(sql: str, dialect: Dialect, schema: str = "") -> Verdict:
    """Judges one statement; never raises. `schema` is what a bare name belongs to (for MySQL the database's name)."""
    # It warns of each statement that it cannot take apart; here that is a verdict and no event.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    try:
        names = Names(dialect, schema)
        describing = _DESCRIBING.match(sql)
        if describing is None:
            return _judged(sql, dialect, names)
        verdict = _described(sql[describing.end() :], dialect, names, can_run=not describing[1])
        return replace(verdict, text=sql if verdict.writes else f"{describing[0].strip()} {verdict.text}")
    except (Unreadable, TokenError):
        return Verdict(text=sql, writes=(UNKNOWN,), powers=EVERYTHING)
    except (Doubt, SqlglotError, RecursionError, ValueError):
        return Verdict(text=sql, writes=(UNKNOWN,), powers=powers_of_text(sql))


def _described(rest: str, dialect: Dialect, names: Names, can_run: bool) -> Verdict:
    """The verdict on what follows SHOW, DESCRIBE or EXPLAIN. Raises `Doubt`."""
    words = Words(rest, dialect)
    start = next((n for n, word in enumerate(words.lower) if word in _STATEMENT_STARTS), None)
    if start is None or not can_run:
        # Names only: without a bracket there is neither a function nor a subquery.
        if {"(", "into", "analyze", "analyse"} & set(words.lower):
            raise Doubt
        if not can_run and dialect == "mysql" and not _SHOWN.fullmatch(" ".join(words.lower)):
            raise Doubt
        tells = any(_TELLING_SETTING.fullmatch(word) for word in words.lower)
        host = not can_run and dialect == "postgres" and tells
        return Verdict(
            text=words.cleaned,
            shows=_unique(words.names(describing=True)),
            powers=(HOST,) if host else (),
        )
    options = set(words.lower[:start])
    if not options <= _EXPLAIN_OPTIONS:
        raise Doubt
    inner = _judged(rest[words.tokens[start].start :], dialect, names)
    if options & {"analyze", "analyse"}:  # it is run
        return replace(inner, text=words.cleaned)
    if inner.is_doubtful:  # some planners call functions
        raise Doubt
    # A plan tells something of the values.
    shows = _unique((*inner.reads, *inner.writes, *inner.shows))
    return Verdict(text=words.cleaned, shows=shows, powers=inner.powers)


def _judged(sql: str, dialect: Dialect, names: Names) -> Verdict:
    """The verdict on a statement that does what it says. Raises `Doubt` or sqlglot's errors."""
    # REPLACE is an INSERT, but sqlglot does not look into it.
    words = Words(_REPLACE.sub("INSERT", sql), dialect)
    if words.lower[0] == "pragma":
        if dialect != "sqlite" or not _LOOKING_PRAGMA.fullmatch(" ".join(words.lower)):
            raise Doubt
        return Verdict(text=words.cleaned, shows=_unique(words.names(describing=True)))
    tree = _tree(words, dialect)
    written = set(targets(tree, names))
    touched = {name for table in tree.find_all(exp.Table) if (name := names.of(table))}
    powers = {power for name in touched for power in powers_of_table(name, dialect)}
    if ALL in powers:
        touched.add(ALL)
    # Of a table that is only changed nothing shows.
    hidden = written if _gives_nothing(tree) else set()
    shown = (*sorted(touched & written), *_shown(words, touched, dialect))
    verdict = Verdict(
        text=words.cleaned,
        reads=tuple(sorted(touched - written)),
        shows=_unique(name for name in shown if names.short(name) not in hidden),
        powers=tuple(sorted(powers - {ALL})),
    )
    harmless = _is_harmless(tree, words, dialect)
    if isinstance(tree, exp.Query | exp.Values) and harmless and not written:
        return verdict
    if not (harmless and written and _is_known(tree, words, dialect)):
        written.add(UNKNOWN)
        verdict = replace(verdict, powers=tuple({*verdict.powers, *powers_of_text(sql)}))
    return replace(verdict, text=sql, writes=tuple(sorted(written)))


def _gives_nothing(tree: exp.Expr) -> bool:
    """Whether a change needs no leave to read the table that it changes: it shows and copies nothing of it."""
    plain = isinstance(tree, exp.Insert | exp.Update | exp.Delete) and not is_joined(tree)
    return plain and tree.find(exp.Returning) is None


def _shown(words: Words, touched: Collection[str], dialect: Dialect) -> Iterator[str]:
    """Names of which something may show though nobody reads or writes them, as far as the statement tells."""
    if dialect == "mysql":  # which cannot be asked what it will touch
        yield from words.names()
    if dialect == "sqlite":
        if any(word.startswith("pragma_") for word in words.lower):
            yield from words.names(describing=True)
        for name in touched:
            if (shadow := _SHADOW.fullmatch(name)) is not None:
                yield shadow[1]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _tree(words: Words, dialect: Dialect) -> exp.Expr:
    trees = parse(words.plain, read=dialect)
    if len(trees) != 1 or trees[0] is None:
        raise Doubt
    return trees[0]


def _is_known(tree: exp.Expr, words: Words, dialect: Dialect) -> bool:
    """Whether the statement changes only the tables that it names."""
    if dialect == "postgres" and "cascade" in words.lower and not isinstance(tree, exp.Create):
        return False
    if words.lower[:2] == ["create", "virtual"]:
        return False
    if isinstance(tree, exp.Create | exp.Drop):
        return str(tree.args.get("kind")).upper() in _CREATABLE
    return isinstance(tree, _KNOWN_WRITES)


def _is_harmless(tree: exp.Expr, words: Words, dialect: Dialect) -> bool:
    """Whether all functions are known ones, and no clause of a query locks, stores or assigns."""
    pure = PURE[dialect]
    # `x IN t` reads a table in SQLite; sqlglot takes it for a column.
    if any(node.args.get("field") for node in tree.find_all(exp.In)):
        return False
    if any(tree.find_all(*_UNHEARD_OF)) or any(
        call.name.lower() not in pure for call in tree.find_all(exp.Anonymous)
    ):
        return False
    # By the words as well, since sqlglot knows functions of all databases, which may be the user's own in this one.
    calls = Counter(words.calls())
    calls.subtract((name, schema) for name, schema in names_with_columns(tree))
    return all(
        word in pure and schema in ("", "pg_catalog") for (word, schema), count in calls.items() if count > 0
    )
