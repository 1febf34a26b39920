"""A carrier that speaks Twilio's voice REST API for calls, walks TwiML, and never leaves the machine."""

from __future__ import annotations

from .callee import Callee, Rule, read_rules
from .carrier import Carrier
from .faults import Faults
from .journal import Journal
from .ledger import Ledger
from .simulator import Simulator

__all__ = ["Callee", "Carrier", "Faults", "Journal", "Ledger", "Rule", "Simulator", "read_rules"]
