"""`MeasurementTools`: measurements of attention, weights and activations under their published names, and your own."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tandv.analysis.attention import attention_entropy, head_specialisation
from tandv.analysis.features import activation_sparsity, class_selectivity
from tandv.analysis.representations import cosine_similarity, weight_change


class MeasurementTools:
    """Measurements of attention, weights and activations; each method names the function that it calls.

    >>> MeasurementTools.activation_sparsity([[0.0, 1.0], [0.0, 1.0]]).share
    0.5
    >>> MeasurementTools({"largest": lambda weights: abs(weights).max()}).largest(np.array([1, -3])).item()
    3

    Args:
        measures: your own functions of one array by name, which become methods of this object; `Phase2Infrastructure`
            takes their numbers of each layer's weights.

    Raises ValueError for a name that is taken or cannot be one, and for what cannot be called.
    """

    def __init__(self, measures: Mapping[str, Callable[[Any], Any]] | None = None):
        self.measures = dict(measures or {})
        wrong = [f"{name!r} is no name" for name in self.measures if not str(name).isidentifier()]
        wrong += [f"{name!r} is taken" for name in self.measures if hasattr(MeasurementTools, str(name))]
        wrong += [f"{name!r} is no function" for name, one in self.measures.items() if not callable(one)]
        if wrong:
            raise ValueError(f"measures: {'; '.join(wrong)}; give functions of an array by names of your own")

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        measures = self.__dict__.get("measures", {})
        if name in measures:
            return measures[name]
        raise AttributeError(f"there is no measure {name!r}; there are {', '.join(measures) or 'none of your own'}")

    @staticmethod
    def attention_entropy(attention: ArrayLike, **arguments: Any) -> np.ndarray:
        """The same as `analysis.attention.attention_entropy`; `attention` are probabilities, `arguments` its other
        arguments.
        """
        return attention_entropy(attention, **arguments)

    @staticmethod
    def attention_specialization(attention: ArrayLike, **arguments: Any) -> dict[str, Any]:
        """The same as `analysis.attention.head_specialisation`; `attention` are probabilities of all heads, `arguments`
        its other arguments.
        """
        return head_specialisation(attention, **arguments)._asdict()

    @staticmethod
    def cosine_similarity(one: ArrayLike, other: ArrayLike) -> float:
        """The same as `analysis.representations.cosine_similarity` of the arrays `one` and `other`."""
        return cosine_similarity(one, other)

    @staticmethod
    def weight_change_magnitude(before: ArrayLike, after: ArrayLike) -> dict[str, float]:
        """The same as `analysis.representations.weight_change` of weights `before` and `after`."""
        found = weight_change(before, after)
        return found._asdict() | {"relative_change": found.relative, "absolute_change": found.l2}

    @staticmethod
    def activation_sparsity(activations: ArrayLike, **arguments: Any) -> Any:
        """The same as `analysis.features.activation_sparsity`; `activations` are [sample, ...], `arguments` its other
        arguments.
        """
        return activation_sparsity(activations, **arguments)

    @staticmethod
    def activation_selectivity(activations: ArrayLike, labels: ArrayLike) -> Any:
        """The same as `analysis.features.class_selectivity`, of `activations` [sample, ...] and `labels` [sample]."""
        return class_selectivity(activations, labels)
