"""The models room: LLM back ends behind `IModel`."""
