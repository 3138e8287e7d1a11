"""Reports on a clock (定期报告): what is due when and to whom, what it says, who signed it, and what changed since."""
