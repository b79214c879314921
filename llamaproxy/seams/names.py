"""Names made of what others sent: safe in file names, URLs and logs, short, and still different from each other."""

import re
from hashlib import sha256

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")

# How the ids begin under which one of our models asks an agent on behalf of a session.
SWARM = "swarm-"
# The header with the depth of delegation, so that agents which ask each other in a circle come to an end.
DEPTH_HEADER = "x-llamaproxy-depth"

# Short ids of sessions count up from here.
FIRST_SHORT_ID = 101

# Size of the random number of a process: two never have the same.
NUMBER_BITS = 48

# Characters of a session's id; no address with a name behind it comes near that.
LONGEST_ID = 1000

# Hex digits that keep apart what would look the same after cleaning.
DIGEST = 8


def safe_name(text: str, limit: int = 48) -> str:
    """`text` itself if it is plain and short; else what can be kept of it and a digest, at most `limit` long."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
    kept = _ODD.sub("-", text).strip("-")[: limit - DIGEST - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else digest


def swarm_id(session_id: str, key: str) -> str:
    """Under which id the agent `key` is asked on behalf of a session; it tells the agent nothing of that session."""
    return SWARM + sha256(f"{session_id}:{key}".encode()).hexdigest()[:16]
