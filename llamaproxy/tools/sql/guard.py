"""What one SQL statement would touch: the tables it reads, the tables it writes.

The gates rest on this, so every doubt counts as a write of `UNKNOWN`: what `sqlglot` cannot parse, several statements,
functions that are not known to be harmless, text that two databases would cut into words differently. The reading
connections of `db_query` refuse writes a second time, for what no look at the text can tell (a view that calls a
function, say).
"""

import logging
import re
from collections import Counter

from msgspec.structs import replace
from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from .functions import PURE
from .names import UNKNOWN, Names, names_with_columns, targets
from .statement import Dialect, Verdict
from .words import Doubt, Words

# sqlglot takes what follows for one opaque word, so it is looked at by itself.
_DESCRIBING = re.compile(r"\s*(?:(show)|explain|describe|desc)\b", re.IGNORECASE)
_EXPLAIN = """
    ( ) , = 0 1 '' analyze analyse buffers costs extended false format generic_plan json off on partitions plan
    query settings summary text timing traditional tree true verbose wal xml yaml
"""
_EXPLAIN_OPTIONS = frozenset(_EXPLAIN.split())
_STARTS = "select with values table insert update delete replace merge create alter drop truncate"
_STATEMENT_STARTS = frozenset(_STARTS.split())
_REPLACE = re.compile(r"\A\s*replace\s+into\s", re.IGNORECASE)
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
    except (Doubt, SqlglotError, RecursionError, ValueError):
        return Verdict(text=sql, writes=(UNKNOWN,))


def _described(rest: str, dialect: Dialect, names: Names, can_run: bool) -> Verdict:
    """The verdict on what follows SHOW, DESCRIBE or EXPLAIN. Raises `Doubt`."""
    words = Words(rest, dialect)
    start = next((n for n, word in enumerate(words.lower) if word in _STATEMENT_STARTS), None)
    if start is None or not can_run:
        # Names only: without a bracket there is neither a function nor a subquery.
        if {"(", "into", "analyze", "analyse"} & set(words.lower):
            raise Doubt
        return Verdict(text=words.cleaned)
    options = set(words.lower[:start])
    if not options <= _EXPLAIN_OPTIONS:
        raise Doubt
    inner = _judged(rest[words.tokens[start].start :], dialect, names)
    if options & {"analyze", "analyse"}:  # it is run
        return replace(inner, text=words.cleaned)
    if UNKNOWN in inner.writes:  # some planners call functions
        raise Doubt
    return Verdict(text=words.cleaned)


def _judged(sql: str, dialect: Dialect, names: Names) -> Verdict:
    """The verdict on a statement that does what it says. Raises `Doubt` or sqlglot's errors."""
    # REPLACE is an INSERT, but sqlglot does not look into it.
    words = Words(_REPLACE.sub("INSERT INTO ", sql), dialect)
    if words.lower[0] == "pragma":
        if dialect != "sqlite" or not _LOOKING_PRAGMA.fullmatch(" ".join(words.lower)):
            raise Doubt
        return Verdict(text=words.cleaned)
    tree = _tree(words, dialect)
    written = set(targets(tree, names))
    touched = {name for table in tree.find_all(exp.Table) if (name := names.of(table))}
    harmless = _is_harmless(tree, words, dialect)
    if isinstance(tree, exp.Query | exp.Values) and harmless and not written:
        return Verdict(text=words.cleaned, reads=tuple(sorted(touched)))
    if not (harmless and written and _is_known(tree)):
        written.add(UNKNOWN)
    return Verdict(text=sql, reads=tuple(sorted(touched - written)), writes=tuple(sorted(written)))


def _tree(words: Words, dialect: Dialect) -> exp.Expr:
    trees = parse(words.cleaned, read=dialect)
    if len(trees) != 1 or trees[0] is None:
        raise Doubt
    return trees[0]


def _is_known(tree: exp.Expr) -> bool:
    """Whether the statement changes only the tables that it names."""
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
