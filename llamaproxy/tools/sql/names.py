"""Which tables a parsed statement names, and which of them it changes."""

import re
from collections.abc import Iterator

from sqlglot import exp

from ...seams.gates import UNKNOWN

# Tables that describe the database, as SHOW and DESCRIBE do.
_CATALOGUE = {
    "sqlite": re.compile(r"sqlite_(temp_)?(master|schema)|sqlite_sequence"),
    "postgres": re.compile(
        r"information_schema\.(?!_|user_mapping)\w+|pg_catalog\.pg_(tables|views|matviews|indexes|sequences|class|namespace|attribute"
        r"|attrdef|type|enum|index|constraint|description|inherits|am|collation|database|extension)"
    ),
    "mysql": re.compile(
        r"information_schema\.(tables|columns|schemata|views|statistics|key_column_usage|table_constraints|events"
        r"|referential_constraints|check_constraints|routines|parameters|triggers|partitions|engines|collations"
        r"|character_sets|collation_character_set_applicability|keywords|sql_functions|sequences|periods"
        r"|(system|global|session)_variables|(global|session)_status)"
    ),
}


def is_catalogue(name: str, dialect: str) -> bool:
    """Whether a table only describes the database."""
    return _CATALOGUE[dialect].fullmatch(name.lower()) is not None


class Names:
    """How the database reads a table's name; `schema` is the one that a bare name belongs to."""

    def __init__(self, dialect: str, schema: str) -> None:
        self._dialect = dialect
        self._default = {"sqlite": "main", "postgres": schema or "public", "mysql": schema}[dialect]

    def of(self, table: exp.Table) -> str:
        """The name for the gates; empty for a function, a CTE, and what only describes the database."""
        if not isinstance(table.this, exp.Identifier | exp.Literal):
            return ""  # a function or a join in brackets; what is inside them is found by itself
        schema, name = self._folded(table.args.get("db")), self._folded(table.this)
        if not schema and self._is_cte(table, name):
            return ""
        if self._dialect == "postgres" and not schema and name.startswith("pg_"):
            schema = "pg_catalog"  # it is searched first
        full = name if schema in ("", self._default) else f"{schema}.{name}"
        return "" if is_catalogue(full, self._dialect) else full

    def short(self, name: str) -> str:
        """A name without the default schema."""
        return name.removeprefix(f"{self._default}.")

    def _folded(self, part: exp.Expr | None) -> str:
        """One part of a name as the database keeps it."""
        if part is None:
            return ""
        keeps_case = self._dialect == "mysql" or (self._dialect == "postgres" and part.args.get("quoted"))
        return part.name if keeps_case or not part.name.isascii() else part.name.lower()

    def _is_cte(self, table: exp.Table, name: str) -> bool:
        """Whether a common table expression of that name is in sight from there."""
        below: exp.Expr = table
        own: exp.Expr | None = None
        while (node := below.parent) is not None:
            if isinstance(below, exp.CTE):
                own = below
            clause = node.args.get("with_")
            if clause is not None:
                ctes = clause.expressions
                if own in ctes:  # from inside one of them: those before it, and itself if it may recur
                    position = next(n for n, cte in enumerate(ctes) if cte is own)
                    ctes = ctes[: position + bool(clause.args.get("recursive"))]
                if any(self._folded(cte.args["alias"].this) == name for cte in ctes):
                    return True
            below = node
        return False


def targets(tree: exp.Expr, names: Names) -> Iterator[str]:
    """The tables that are changed: the target of an INSERT, UPDATE or DELETE, all tables of anything else."""
    changes = (exp.DML, exp.DDL, exp.Drop, exp.Alter, exp.TruncateTable, exp.Copy, exp.Grant)
    for node in tree.find_all(*changes):
        if isinstance(node, exp.Query) or isinstance(node.parent, exp.When):
            continue  # what a MERGE does with its target
        has_one_target = isinstance(node, exp.Insert | exp.Update | exp.Delete) and not is_joined(node)
        place = node.this if has_one_target else node
        found = [name for table in place.find_all(exp.Table) if (name := names.of(table))]
        yield from found or (UNKNOWN,)


def is_joined(node: exp.Expr) -> bool:
    """Whether an UPDATE or DELETE names several tables, any of which it may change in MySQL."""
    return bool(
        node.args.get("tables") or node.args.get("using") or not node.this or node.this.find(exp.Join)
    )


def names_with_columns(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """Names before a list of columns, as (name, schema) in lower case: `t AS x (a, b)`, `INSERT INTO t (a, b)`."""
    for alias in tree.find_all(exp.TableAlias):
        if alias.columns:
            yield alias.name.lower(), ""
    for kind in tree.find_all(exp.DataType):
        if kind.expressions and isinstance(kind.this, exp.DataType.Type):  # enum ('a', 'b')
            yield str(kind.this.value).lower(), ""
    for schema in tree.find_all(exp.Schema):
        if isinstance(schema.this, exp.Table):
            yield schema.this.name.lower(), schema.this.db.lower()
    for index in tree.find_all(exp.Index):
        table = index.args.get("table")
        if isinstance(table, exp.Table):
            yield table.name.lower(), table.db.lower()
