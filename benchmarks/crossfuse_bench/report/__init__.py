"""Reports of measurements: one document, written as JSON, CSV, Markdown and an HTML page."""
