"""The webhook worker: stored bodies to events to transitions."""
