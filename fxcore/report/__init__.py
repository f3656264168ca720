"""Tables and figures from metrics."""
