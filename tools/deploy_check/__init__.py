"""Deploys Gatehouse the way a person does, to an emulator of AWS that evaluates IAM, and walks through its life.

`make deploy-check`, or `python -m tools.deploy_check`. Nothing leaves this machine but what pip and SAM CLI fetch.
"""
