"""A report on a run around its transitions, from its curves, log and checkpoints.

>>> from tandv.dossier import write_dossier
>>> write_dossier({"test_acc": [0.1] * 20 + [0.5] + [0.9] * 20}, "dossier").page.name
'comparison_report.html'
"""

from tandv.dossier.examination import examine
from tandv.dossier.material import Material, gather
from tandv.dossier.writing import Dossier, write_dossier

__all__ = ["Dossier", "Material", "examine", "gather", "write_dossier"]
