"""The outcome of an audit: frozen values with their uncertainty, and the JSON that others script against.

Nothing here computes a rate. `countenance.audit.run` fills these, `countenance.report` shows them.
The JSON is described by ``report/audit.schema.json``.
"""

from countenance.audit.result.differentials import Differential, Differentials
from countenance.audit.result.estimate import Estimate, Json
from countenance.audit.result.limits import Counts, Power, Suspect, TailFit, Untested
from countenance.audit.result.search import GallerySize, MatchedPair, Search, SearchContrast, SearchGroup, SearchPoint
from countenance.audit.result.verification import Curve, GroupRates, Operating, Verification
from countenance.audit.result.whole import SCHEMA, TIE_RULE, AuditResult

__all__ = [
    "SCHEMA",
    "TIE_RULE",
    "AuditResult",
    "Counts",
    "Curve",
    "Differential",
    "Differentials",
    "Estimate",
    "GallerySize",
    "GroupRates",
    "Json",
    "MatchedPair",
    "Operating",
    "Power",
    "Search",
    "SearchContrast",
    "SearchGroup",
    "SearchPoint",
    "Suspect",
    "TailFit",
    "Untested",
    "Verification",
]
