"""The Gatehouse stack on one machine: AWS, gateway, demo authorization server and landing page in one process."""
