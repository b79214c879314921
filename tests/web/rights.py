"""The table of rights: who, from where, through what, with which key, and what they may do.

The tests run it, and `docs/rights.md` shows it: `python -m tests.web.rights` prints the rows for that.
"""

from typing import Any, NamedTuple

OPERATOR = "everything, as the operator"
ALL = "all commands"
SAFE = "commands about their own conversation"
NONE = "no commands"
NO_KEY = "nothing: 401"
REFUSED = "nothing: 403"

LAN, STRANGER, HERE = "192.168.1.2", "8.8.8.8", "127.0.0.1"
ANNA, OPERATORS = "Bearer anna-secret", "Bearer the-operators-own-key"
PLAIN: dict[str, Any] = {}
KEYS: dict[str, Any] = {"api_keys": {"anna": "anna-secret"}}
ANNA_ALL: dict[str, Any] = {**KEYS, "key_commands": {"anna": "all"}}
ANNA_SAFE: dict[str, Any] = {**KEYS, "key_commands": {"anna": "safe"}}
TRUSTED: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}
PUBLIC: dict[str, Any] = {"allow_from": ["0.0.0.0/0"], "commands": "safe"}
NGINX = {"Connection": "close"}


class Row(NamedTuple):
    """One request. `who` and `way` are for people; `settings` are the guard's, `peer` is where it comes from."""

    who: str
    way: str
    key: str
    may: str
    peer: str
    settings: dict[str, Any] = PLAIN
    headers: dict[str, str] = PLAIN
    host: str = "localhost:11434"
    version: str = "1.1"


TABLE = (
    Row("a program at the server", "loopback", "", OPERATOR, HERE),
    Row("the same over IPv6", "loopback", "", OPERATOR, "::1", host="[::1]:11434"),
    Row("the same, asking for the machine's bare name", "loopback", "", OPERATOR, HERE, host="mini"),
    Row("the same, `commands` being `safe`", "loopback", "", SAFE, HERE, {"commands": "safe"}),
    Row(
        "the same, asking for a public name",
        "loopback",
        "",
        ALL,
        HERE,
        {"hosts": ["a.example"]},
        host="a.example",
    ),
    Row(
        "the same, asking for an address of the network", "loopback", "", ALL, HERE, host="192.168.1.5:11434"
    ),
    Row(
        "a user of Open WebUI at the server",
        "loopback",
        "",
        ALL,
        HERE,
        headers={"User-Agent": "aiohttp/3.14"},
    ),
    Row("a user of an app that names them", "loopback", "", ALL, HERE, headers={"X-OpenWebUI-User-Id": "u1"}),
    Row("a chat of an app that names it", "loopback", "", ALL, HERE, headers={"X-Llamaproxy-Chat": "c1"}),
    Row(
        "a user of an app with the operator's key",
        "loopback",
        "the operator's",
        ALL,
        HERE,
        headers={"X-OpenWebUI-User-Id": "u1", "Authorization": OPERATORS},
    ),
    Row(
        "a page of a web app at the server",
        "loopback",
        "",
        OPERATOR,
        HERE,
        headers={"Origin": "http://localhost:3000"},
    ),
    Row(
        "a page under a name bent to loopback (DNS rebinding)",
        "loopback",
        "",
        REFUSED,
        HERE,
        host="evil.example",
    ),
    Row(
        "the same, `trusted_proxies` holding loopback",
        "loopback",
        "",
        REFUSED,
        HERE,
        TRUSTED,
        host="evil.example",
    ),
    Row(
        "the same, pretending to be that proxy",
        "loopback",
        "",
        REFUSED,
        HERE,
        TRUSTED,
        {"X-Forwarded-For": LAN, "Origin": "http://evil.example"},
        "evil.example",
    ),
    Row(
        "a model that asks (`X-Llamaproxy-Depth`)",
        "loopback",
        "",
        SAFE,
        HERE,
        headers={"X-Llamaproxy-Depth": "1"},
    ),
    Row("anybody", "bare nginx at the server", "", ALL, HERE, headers=NGINX, version="1.0"),
    Row(
        "anybody",
        "a proxy at the server, not in `trusted_proxies`",
        "",
        ALL,
        HERE,
        headers={"X-Forwarded-For": LAN},
    ),
    Row("anybody", "the same, adding `Forwarded`", "", ALL, HERE, headers={"Forwarded": f"for={LAN}"}),
    Row("anybody", "the same, adding `Via`", "", ALL, HERE, headers={"Via": "1.1 squid"}),
    Row("anybody", "the same, adding `X-Real-IP`", "", ALL, HERE, headers={"X-Real-IP": HERE}),
    Row("anybody", "Cloudflare's tunnel", "", ALL, HERE, headers={"CF-Connecting-IP": STRANGER}),
    Row("anybody", "Tailscale's funnel", "", ALL, HERE, headers={"Tailscale-User-Login": "me@example.org"}),
    Row("somebody of the network", "trusted proxy", "", ALL, HERE, TRUSTED, {"X-Forwarded-For": LAN}),
    Row(
        "somebody of the network",
        "trusted proxy with `Forwarded`",
        "",
        ALL,
        HERE,
        TRUSTED,
        {"Forwarded": f"for={LAN}"},
    ),
    Row(
        "somebody of the network",
        "trusted proxy with `X-Real-IP`",
        "",
        ALL,
        HERE,
        TRUSTED,
        {"X-Real-IP": LAN},
    ),
    Row("a stranger", "trusted proxy", "", REFUSED, HERE, TRUSTED, {"X-Forwarded-For": STRANGER}),
    Row(
        "a stranger who says to be of the network",
        "trusted proxy that adds to `X-Forwarded-For`",
        "",
        REFUSED,
        HERE,
        TRUSTED,
        {"X-Forwarded-For": f"{LAN}, {STRANGER}"},
    ),
    Row(
        "a stranger who says to be of the network",
        "trusted proxy that sets `X-Real-IP` alone",
        "",
        REFUSED,
        HERE,
        TRUSTED,
        {"X-Forwarded-For": LAN, "X-Real-IP": STRANGER},
    ),
    Row(
        "who says to be at the server", "trusted proxy", "", REFUSED, HERE, TRUSTED, {"X-Forwarded-For": HERE}
    ),
    Row("anybody", "trusted proxy that does not say who asks", "", REFUSED, HERE, TRUSTED, {"Via": "1.1 x"}),
    Row("anybody", "bare nginx in `trusted_proxies`", "", REFUSED, HERE, TRUSTED, NGINX, version="1.0"),
    Row("a program at the server", "none, beside a trusted proxy there", "", OPERATOR, HERE, TRUSTED),
    Row("somebody of the network", "direct", "", ALL, LAN),
    Row(
        "the same, with a proxy's headers made up", "direct", "", ALL, LAN, headers={"X-Forwarded-For": HERE}
    ),
    Row("the same, `commands` being `none`", "direct", "", NONE, LAN, {"commands": "none"}),
    Row("a stranger", "direct", "", REFUSED, STRANGER),
    Row(
        "a stranger, there being `api_keys`",
        "direct",
        "a wrong one",
        NO_KEY,
        STRANGER,
        KEYS,
        {"Authorization": "Bearer x"},
    ),
    Row("a stranger, `allow_from` being everybody", "direct", "", SAFE, STRANGER, PUBLIC),
    Row("a stranger", "direct", "an API key", ALL, STRANGER, KEYS, {"Authorization": ANNA}),
    Row(
        "a stranger",
        "direct",
        "an API key that is `safe`",
        SAFE,
        STRANGER,
        ANNA_SAFE,
        {"Authorization": ANNA},
    ),
    Row(
        "a stranger",
        "direct",
        "an API key that has `all` by name",
        OPERATOR,
        STRANGER,
        ANNA_ALL,
        {"Authorization": ANNA},
    ),
    Row(
        "a program at the server",
        "loopback",
        "an API key that is `safe`",
        SAFE,
        HERE,
        ANNA_SAFE,
        {"Authorization": ANNA},
    ),
    Row("anybody", "direct", "the operator's key", OPERATOR, STRANGER, PUBLIC, {"Authorization": OPERATORS}),
    Row(
        "anybody",
        "direct",
        "the same as `x-api-key`",
        OPERATOR,
        STRANGER,
        PLAIN,
        {"x-api-key": OPERATORS[7:]},
    ),
    Row(
        "anybody",
        "bare nginx at the server",
        "the operator's key",
        OPERATOR,
        HERE,
        headers={**NGINX, "Authorization": OPERATORS},
        version="1.0",
    ),
    Row(
        "a model that asks",
        "direct",
        "the operator's key",
        SAFE,
        LAN,
        headers={"Authorization": OPERATORS, "X-Llamaproxy-Depth": "2"},
    ),
)


def rows() -> str:
    """The table as the document has it."""
    lines = ["| who | the way | key | may do |", "|---|---|---|---|"]
    lines += [f"| {row.who} | {row.way} | {row.key or 'none'} | {row.may} |" for row in TABLE]
    return "\n".join(lines)


if __name__ == "__main__":
    print(rows())
