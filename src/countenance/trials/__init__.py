"""Brings any system to the audit: readers of manifests, templates, score tables; embedded measurements."""
