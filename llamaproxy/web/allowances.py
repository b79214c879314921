"""What the operator allows apps, from their own words in the configuration."""

from ..config import FrontDoor
from ..config.schema import seconds_alone
from ..seams.apps import Allowance


def allowance_of(door: FrontDoor) -> Allowance:
    """What everybody's app may do."""
    return Allowance(
        client_tools=door.client_tools,
        client_system=door.client_system == "append",
        on_disconnect=seconds_alone(door.on_disconnect) or 0.0,
    )
