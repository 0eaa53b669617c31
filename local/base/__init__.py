"""What every other package of the stack builds on: its errors, its clock, its environment, and an HTTP server.

The server listens on the loopback interface alone, and `guard` keeps the pages of other origins away from it.
Nothing here knows of AWS, of the functions or of the demo authorization server.
"""
