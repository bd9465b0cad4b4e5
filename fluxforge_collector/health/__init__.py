"""How the collector shows itself, and how whoever watches judges it: metrics, probes, a sign of life, findings."""
