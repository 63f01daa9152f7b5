"""What attention does: how spread out its rows are, how different its heads, and which known patterns they show.

Attention is given as probabilities, after the softmax: [..., query, key] for rows, [..., head, query, key] for heads.
Leading axes (the examples of a batch) are averaged over.
"""

from tandv.analysis.attention.batches import AttentionMeans, attention_means
from tandv.analysis.attention.entropies import HeadSpecialisation, attention_entropy, head_entropy, head_specialisation
from tandv.analysis.attention.over_time import attention_curves
from tandv.analysis.attention.scores import (
    duplicate_token_score,
    head_scores,
    induction_score,
    previous_token_score,
)
from tandv.analysis.attention.sinks import WithoutSink, without_sink

__all__ = [
    "AttentionMeans",
    "HeadSpecialisation",
    "WithoutSink",
    "attention_curves",
    "attention_entropy",
    "attention_means",
    "duplicate_token_score",
    "head_entropy",
    "head_scores",
    "head_specialisation",
    "induction_score",
    "previous_token_score",
    "without_sink",
]
