"""The observatory that a rule names."""

from __future__ import annotations

import os

from consumers.too.errors import RulesError
from consumers.too.observatory import Observatory, Wire
from consumers.too.own_api import Own, Rtml
from consumers.too.portal import Portal
from consumers.too.rules import Manners, Rule, Rules
from consumers.too.skyportal_api import SkyPortal, SkyPortalPlans
from consumers.too.swift_api import Swift

__all__ = ["need_tokens", "open_observatory"]


def open_observatory(rule: Rule, manners: Manners) -> Observatory:
    """The way to speak to it; nothing is sent yet."""
    wire = Wire(rule.table, manners)
    if rule.target == "lco":
        return Portal(wire, rule.table)
    if rule.target == "skyportal":
        return SkyPortal(wire, rule.table)
    if rule.target == "skyportal_plan":
        return SkyPortalPlans(wire)
    if rule.target == "swift":
        return Swift(wire, rule.table)
    return Rtml(wire, rule.table) if rule.target == "rtml" else Own(wire, rule.table)


def need_tokens(rules: Rules) -> None:
    """Complain of a rule that names no token where one is needed, or one that the environment does not have.

    Raises
    ------
    RulesError
        There is one.
    """
    for rule in rules.rules:
        name = rule.table["token_env"]
        if not name and rule.target not in {"json", "rtml"}:
            raise RulesError(f"rule {rule.name} names no token_env, and {rule.target} takes nothing without", word="token_env")
        if name and not os.environ.get(name, "").strip():
            raise RulesError(f"rule {rule.name} takes the token of {rule.target} from it, and it is not set", word=name)
