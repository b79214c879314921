JSON schemas of `plugins-enabled.json`, `llm-models.json` and `gate-defaults.json` come with the package; new files name theirs, so that editors complete and check what is typed.
