"""Tensor types: which tensors of a layer a log has rows of, each by one name, in the order of a step.

>>> sorted(["Weight_Gradient", "Optimiser_State.mu", "Activation"], key=order)
['Activation', 'Weight_Gradient', 'Optimiser_State.mu']
"""

INPUT = "Input"
ACTIVATION = "Activation"
ATTENTION = "Attention"
EXPERTS = "Experts"
ROUTER = "Router"
GRADIENT = "Gradient"
WEIGHT = "Weight"
WEIGHT_GRADIENT = "Weight_Gradient"
WEIGHT_UPDATE = "Weight_Update"
OPTIMISER_STATE = "Optimiser_State"

MEANINGS = {
    INPUT: "what the model is given",
    ACTIVATION: "the output of a module",
    ATTENTION: "the largest logit of each query of an attention head, before the softmax",
    EXPERTS: "the probability that a router gives to an expert, of each token",
    ROUTER: "the entropy of a router's probabilities, of each token",
    GRADIENT: "the gradient of the loss with respect to the output of a module",
    WEIGHT: "a parameter, before the step",
    WEIGHT_GRADIENT: "the gradient of a parameter, as the optimiser receives it",
    WEIGHT_UPDATE: "what the step adds to a parameter",
    OPTIMISER_STATE: "what the optimiser keeps of a parameter, each of its fields as a type: Optimiser_State.exp_avg",
}
OF_MODULES = (INPUT, ACTIVATION, ATTENTION, EXPERTS, ROUTER, GRADIENT)  # within a step; parameters are of all of it


def order(tensor_type: str) -> int:
    """Return the place of a tensor type among all.

    >>> order("Activation"), order("Optimiser_State.exp_avg")
    (1, 9)

    Args:
        tensor_type: one of MEANINGS; an optimiser's state may go on with its field.

    Raises ValueError for another name.
    """
    return list(MEANINGS).index(tensor_type.partition(".")[0])


def state(field: str) -> str:
    """Return the tensor type of one field of an optimiser's state.

    >>> state("exp_avg")
    'Optimiser_State.exp_avg'

    Args:
        field: what the optimiser calls it.
    """
    return f"{OPTIMISER_STATE}.{field}"


def is_of_modules(tensor_type: str) -> bool:
    """Tell whether tensors of a type happen within a step, in a phase of it, as those of OF_MODULES do.

    >>> is_of_modules("Attention.entropy"), is_of_modules("Weight")
    (True, False)

    Args:
        tensor_type: one of MEANINGS, perhaps with a field.
    """
    return tensor_type.partition(".")[0] in OF_MODULES
