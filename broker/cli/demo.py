"""``nuncius demo``."""
from __future__ import annotations
import typer
__all__=["demo"]
def demo(ctx: typer.Context) -> None:
    """Demo."""
