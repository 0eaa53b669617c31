"""Measurements of Gatehouse under load, on one machine."""
