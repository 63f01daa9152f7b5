"""Everything that is known of a run around its transitions, in one report.

>>> from tandv.dossier import write_dossier
>>> write_dossier("tandv-runs/demo").page
PosixPath('tandv-runs/demo/dossier/comparison_report.html')
"""

from tandv.dossier.examination import examine
from tandv.dossier.material import Material, gather
from tandv.dossier.writing import Dossier, write_dossier

__all__ = ["Dossier", "Material", "examine", "gather", "write_dossier"]
