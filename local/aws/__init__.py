"""The emulated AWS account: moto's server, the template's resources in it, and faults that a test can ask for.

`account` serves moto one request at a time. `cloudformation` creates what `template.yaml` declares.
Running the functions is not in here: `gateway` does that.
"""
