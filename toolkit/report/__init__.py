"""The report: what a run folder says, on one page that needs nothing but itself."""
