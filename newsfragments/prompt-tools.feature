With `plugin_system_prompt`, models can read and change their own system prompt, once the user lets them.
