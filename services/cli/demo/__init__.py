"""`outreach demo`: campaigns of three tenants under faults, and a verdict on what became of them."""

from services.cli.demo.run import demo

__all__ = ["demo"]
