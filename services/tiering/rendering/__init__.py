"""Documents (报表) as files: one description of a report, rendered as HTML, PDF, XLSX, CSV and JSON."""
