"""The demo authorization server: UltraCart's dialect and the RFCs' own, with switches for what goes wrong."""

from __future__ import annotations

from local.demo.authorization import DECISION_HEADER, MERCHANT_HEADER
from local.demo.faults import FaultError, Faults
from local.demo.server import DemoServer

__all__ = ["DECISION_HEADER", "MERCHANT_HEADER", "DemoServer", "FaultError", "Faults"]
