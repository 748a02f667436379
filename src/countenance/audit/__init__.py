"""Numbers only: tallies, rates, intervals, groups, the result. Knows no image, no vendor's file, no network."""

from countenance.audit.adjudicate import VERDICTS, Verdict, adjudicate
from countenance.audit.intervals import Interval
from countenance.audit.result import AuditResult, Estimate
from countenance.audit.run import Options, audit
from countenance.audit.suspects import suspects
from countenance.audit.sweep import tally
from countenance.audit.tallies import Failures, Group, Sweep, System, Tallies
from countenance.audit.tallyfile import load_tallies, save_tallies
from countenance.audit.templates import TemplateSet

__all__ = [
    "VERDICTS",
    "AuditResult",
    "Estimate",
    "Failures",
    "Group",
    "Interval",
    "Options",
    "Sweep",
    "System",
    "Tallies",
    "TemplateSet",
    "Verdict",
    "adjudicate",
    "audit",
    "load_tallies",
    "save_tallies",
    "suspects",
    "tally",
]
