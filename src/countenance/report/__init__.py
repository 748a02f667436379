"""An audit result as a terminal summary, a self-contained HTML report, and JSON with a published schema."""
