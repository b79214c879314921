"""The words of a statement, and whether the database would cut the text into the same ones."""

from collections.abc import Iterator

from sqlglot import tokenize
from sqlglot.tokenizer_core import Token, TokenType

from .functions import SYNTAX

# Longer statements are not looked at: that would hold the reactor's thread.
LONGEST = 8000

_LITERALS = (TokenType.STRING, TokenType.HEX_STRING, TokenType.BIT_STRING)
# Strings with rules of their own, hints that set variables, assignments, a second statement.
_ODD = frozenset(
    {
        TokenType.BYTE_STRING,
        TokenType.UNICODE_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
        TokenType.HINT,
        TokenType.COLON_EQ,
        TokenType.SEMICOLON,
    }
)


# Words between INSERT, UPDATE and their like and the table, which sqlglot takes for the table.
_MODIFIERS = frozenset({"low_priority", "high_priority", "delayed", "quick", "ignore"})
_CONFLICTS = frozenset({"rollback", "abort", "replace", "fail", "ignore"})


class Doubt(Exception):
    """The statement may do anything."""


class Unreadable(Doubt):
    """Not even its words are certain."""


class Words:
    """The words of one statement.

    `lower` has them in lower case and literals as `''`; `cleaned` is the statement without its comments, so that
    what two databases take for a comment makes no difference. `plain` is that without the modifiers before a table,
    which sqlglot does not know. Raises `Unreadable` where the database might read other
    words than these, and sqlglot's errors.
    """

    def __init__(self, sql: str, dialect: str) -> None:
        if len(sql) > LONGEST:
            raise Unreadable
        self.tokens = tokenize(sql, read=dialect)
        while self.tokens and self.tokens[-1].token_type == TokenType.SEMICOLON:
            self.tokens.pop()
        if not self.tokens or "\0" in sql:
            raise Unreadable
        if dialect == "mysql" and ("/*!" in sql or "/*M!" in sql):
            raise Unreadable  # a comment that is run
        for token in self.tokens:
            if token.token_type in _ODD or not _is_plain(token, sql[token.start : token.end + 1]):
                raise Unreadable
        self.lower = [_lower(token) for token in self.tokens]
        self.cleaned = "".join(_without_comments(sql, self.tokens))
        self.plain = self._plain(sql, dialect)

    def names(self, describing: bool = False) -> Iterator[str]:
        """Whatever may be the name of a table, with a schema in front of it as well as without.

        What follows AS is the name of something else; where a table is described, a text may name it, too.
        """
        for number, token in enumerate(self.tokens):
            if not describing and (
                token.token_type in _LITERALS or (number and self.lower[number - 1] == "as")
            ):
                continue
            yield token.text.lower()
            if number > 1 and self.lower[number - 1] == ".":
                yield f"{self.tokens[number - 2].text}.{token.text}".lower()

    def _plain(self, sql: str, dialect: str) -> str:
        verb, rest = self.lower[0], 1
        if verb == "update" and dialect == "sqlite" and self.lower[1:2] == ["or"]:
            rest = 3 if set(self.lower[2:3]) <= _CONFLICTS else 1
        if verb in ("insert", "update", "delete") and dialect == "mysql":
            while set(self.lower[rest : rest + 1]) & _MODIFIERS:
                rest += 1
        if verb == "insert" and dialect == "mysql":
            rest += self.lower[rest : rest + 1] == ["into"]
            verb = "insert into"
        tail = self.tokens[rest:]
        changed = rest > 1 or verb != self.lower[0]
        return f"{verb} {''.join(_without_comments(sql, tail))}" if changed and tail else self.cleaned

    def calls(self) -> Iterator[tuple[str, str]]:
        """What looks like a call: the word before a bracket, and the schema in front of it (empty for none)."""
        for number, bracket in enumerate(self.lower):
            if bracket != "(" or not number:
                continue
            token, word = self.tokens[number - 1], self.lower[number - 1]
            if (
                number > 1
                and self.lower[0] in ("create", "alter")
                and self.lower[number - 2] in ("index", "key")
            ):
                continue  # the name of an index
            quoted = token.token_type == TokenType.IDENTIFIER
            if not quoted and (word.split()[-1] in SYNTAX or not (word[0].isalpha() or word[0] == "_")):
                continue
            qualified = number > 2 and self.lower[number - 2] == "."
            yield word, self.lower[number - 3] if qualified else ""


def _lower(token: Token) -> str:
    if token.token_type in _LITERALS:
        return "''"
    # Lower case makes a K of the Kelvin sign, which is no K to a database.
    return token.text.lower() if token.text.isascii() else token.text


def _is_plain(token: Token, text: str) -> bool:
    """Whether a word means the same to everybody."""
    if token.token_type in _LITERALS or token.token_type == TokenType.IDENTIFIER:
        return True
    if text.isascii():
        return text.isprintable() and "$" not in text
    # Letters of the world are fine in a name; in a keyword they only look like it, or become it in upper case.
    return token.token_type == TokenType.VAR and text.replace("_", "").isalnum()


def _without_comments(sql: str, tokens: list[Token]) -> Iterator[str]:
    end = tokens[0].start
    for token in tokens:
        if token.start > end:
            # Only white space that all databases know separates words for all of them.
            if any(space.isspace() and space not in " \t\r\n" for space in sql[end : token.start]):
                raise Unreadable
            yield " "
        yield sql[token.start : token.end + 1]
        end = token.end + 1
