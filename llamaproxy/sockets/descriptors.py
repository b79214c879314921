"""How many descriptors the process may have: each connection is one."""

import resource

# As many as are asked for, if the system gives them. Beyond that tables in the kernel grow for nothing.
WANTED = 65_536


def available() -> int:
    """How many there may be, after the limit was raised as far as the system lets us.

    The usual one, 1024, is for programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return WANTED
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (ValueError, OSError):  # macOS has a lower one than it tells
            return soft
    return max(soft, most)
