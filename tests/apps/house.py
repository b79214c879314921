"""A Home Assistant with one lamp, for the Python that has it: `house.py URL on|off SENTENCE...`.

It sets the Ollama integration up as its dialogs do, says each sentence in one conversation, and prints what was
answered and whether the lamp is on. With `on` the model may control the house.
"""

import asyncio
import json
import sys
import tempfile
from typing import Any

LAMP = "input_boolean.lamp"


async def furnish() -> Any:
    """A house without a web site, and with a lamp that assistants may see."""
    from homeassistant import bootstrap, config_entries, loader
    from homeassistant.auth import auth_manager_from_config
    from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
    from homeassistant.core import HomeAssistant
    from homeassistant.setup import async_setup_component

    hass = HomeAssistant(tempfile.mkdtemp())
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth_manager_from_config(hass, [], [])
    for component in ("homeassistant", "conversation", "input_boolean"):
        lamps = {"lamp": {"name": "Lamp"}} if component == "input_boolean" else {}
        assert await async_setup_component(hass, component, {component: lamps}), component
    async_expose_entity(hass, "conversation", LAMP, True)
    return hass


async def install(hass: Any, url: str, control: bool) -> Any:
    """The integration, set up by its own dialogs: the address first, then one of the models that were found there."""
    flows = hass.config_entries.flow
    step = await flows.async_init("ollama", context={"source": "user"})
    step = await flows.async_configure(step["flow_id"], {"url": url})
    assert step["type"] == "form" and not step["errors"], step
    [choice] = [field for field in step["data_schema"].schema if field == "model"]
    found = step["data_schema"].schema[choice].config["options"][0]
    step = await flows.async_configure(step["flow_id"], {"model": found["value"]})
    assert step["type"] == "create_entry", step
    await hass.async_block_till_done()
    if control:
        hass.config_entries.async_update_entry(step["result"], options={"llm_hass_api": "assist"})
        await hass.async_block_till_done()
    return step["result"]


async def live(url: str, control: bool, sentences: list[str]) -> None:
    """Says the sentences."""
    from homeassistant.components import conversation
    from homeassistant.core import Context

    hass = await furnish()
    entry = await install(hass, url, control)
    chat = None
    for sentence in sentences:
        heard = await conversation.async_converse(hass, sentence, chat, Context(), agent_id=entry.entry_id)
        await hass.async_block_till_done()
        chat = heard.conversation_id
        answer = heard.as_dict()["response"]
        speech = answer["speech"]["plain"]["speech"]
        print(
            json.dumps(
                {"speech": speech, "kind": answer["response_type"], "lamp": hass.states.get(LAMP).state}
            )
        )
    await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1], sys.argv[2] == "on", sys.argv[3:]))
