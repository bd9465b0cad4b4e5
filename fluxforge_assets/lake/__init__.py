"""The lake: where files stand and how they come there. Nothing here knows Dagster."""
