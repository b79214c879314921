"""What the operator allows apps, from their own words in the configuration."""

from msgspec.structs import replace

from ..config import FrontDoor, Profile
from ..config.schema import seconds_alone
from ..seams.apps import Allowance


def allowance_of(door: FrontDoor) -> Allowance:
    """What everybody's app may do."""
    return Allowance(
        client_tools=door.client_tools,
        client_system=door.client_system == "append",
        on_disconnect=seconds_alone(door.on_disconnect) or 0.0,
        notify=door.notify or "",
    )


def allowance_under(profile: Profile, usual: Allowance) -> Allowance:
    """What the app of a caller may do, where everybody's may do the `usual`."""
    tools, system, alone = profile.client_tools, profile.client_system, profile.on_disconnect
    if tools is None and system is None and alone is None and profile.notify is None:
        return usual
    return replace(
        usual,
        client_tools=usual.client_tools if tools is None else tools,
        client_system=usual.client_system if system is None else system == "append",
        on_disconnect=usual.on_disconnect if alone is None else seconds_alone(alone) or 0.0,
        notify=usual.notify if profile.notify is None else profile.notify,
    )
