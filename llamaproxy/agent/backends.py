"""The models that an agent can put a question to."""

from collections.abc import Iterator, Mapping, Sequence

from ..seams.grants import Grants
from ..seams.interfaces import IKeepsHistory, IModel
from ..seams.types import ModelInfo


class Backends(Mapping[str, IModel]):
    """The enabled models by key, in the registry's order; `default` is the key of the one that sessions start with."""

    def __init__(self, models: Mapping[str, IModel], default: str) -> None:
        self._models = models
        self.default = default

    def __getitem__(self, key: str) -> IModel:
        return self._models[key]

    def __contains__(self, key: object) -> bool:
        return key in self._models

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def open_to(self, grants: Grants) -> "Backends":
        """Those that a caller may use, and the one that their sessions start with; "" where there is none."""
        if grants.models is None and not grants.model:
            return self
        models = {key: model for key, model in self.items() if grants.allows_model(key)}
        wished = next((key for key in (grants.model, self.default, *models) if key in models), "")
        return Backends(models, wished)

    def renew(self, models: Mapping[str, IModel], default: str) -> None:
        """Offers these from now on; what asks one of the old ones goes on with it."""
        self._models = models
        self.default = default

    def infos(self) -> Sequence[ModelInfo]:
        """What lists show of them."""
        return [model.info() for model in self._models.values()]

    def keeping(self) -> Iterator[tuple[str, IKeepsHistory]]:
        """Those that keep a history of their own."""
        return ((key, IKeepsHistory(model)) for key, model in self.items() if IKeepsHistory.providedBy(model))
