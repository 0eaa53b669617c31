"""Gatehouse's doors: one module for each Lambda function, over one shared house (`functions.vault`)."""
