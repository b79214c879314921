"""Commands about the system prompt."""

from .table import Call, UsageError, command


@command("sysprompt", "[reload]", summary="show the system prompt, or read its files again", group="Models")
async def sysprompt(call: Call) -> str:
    """Shows the assembled prompt of the session's model."""
    if call.argument.lower() == "reload":
        call.needs_operator()
        call.prompts.reload()
        prompt = await call.prompts.message(call.session.model)
        return f"System prompt read again: {len(prompt.content)} characters."
    if call.argument:
        raise UsageError(f"'{call.argument}' is not something that !sysprompt does.")
    return (await call.prompts.message(call.session.model)).content


@command("read_system_prompt", "[number or name]", summary="the whole prompt, or one section", group="Models")
async def read_system_prompt(call: Call) -> str:
    """Shows the prompt of the session's model or a section of it; for an unknown one, which there are."""
    prompt = await call.prompts.prompt(call.session.model)
    if not call.argument:
        return prompt.text
    named = {section.name.lower(): section for section in prompt.sections if section.depth}
    numbered = {str(place): section for place, section in enumerate(prompt.sections)}
    section = (named | numbered).get(call.argument.lower())
    if section is None:
        lines = (f"{place} {each.name or 'main text'}" for place, each in enumerate(prompt.sections))
        return f"There is no section '{call.argument}'. There are:\n" + "\n".join(lines)
    return section.render()
