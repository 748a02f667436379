"""An audit result as a terminal summary, a self-contained HTML report, and JSON with a published schema."""

from countenance.report.html import Thumbnail, render_html
from countenance.report.terminal import print_summary, summary
from countenance.report.write import SCHEMA_PATH, Written, json_text, schema_text, write_json, write_report

__all__ = [
    "SCHEMA_PATH",
    "Thumbnail",
    "Written",
    "json_text",
    "print_summary",
    "render_html",
    "schema_text",
    "summary",
    "write_json",
    "write_report",
]
