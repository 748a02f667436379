"""Brings any system to the audit: readers of manifests, templates and score tables, and the embedded measurements."""
