"""The results of an app's own tools, put to the calls that they belong to."""

from collections.abc import Sequence

from ...seams.apps import AppResult
from .exchange import Exchange


def put_results(exchange: Exchange, results: Sequence[AppResult]) -> str:
    """Gives the calls that the app was handed their results; the id of one that belongs to no call, "" if all do.

    Apps show results of earlier rounds again, too.
    """
    for result in results:
        waiting = exchange.handed_over()
        if result.call_id:
            call = next((each for each in waiting if each.id == result.call_id), None)
            if call is None and not exchange.knows(result.call_id):
                return result.call_id
        else:
            call = next((each for each in waiting if result.name in ("", each.name)), None)
        if call is not None:
            exchange.results[call.id] = result.text or "[no output]"
            exchange.pictures[call.id] = result.images
    return ""
