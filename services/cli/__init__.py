"""The outreach command, and the composition root of dev and demo."""
