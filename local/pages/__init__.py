"""What a person sees of the stack: the landing page, and `/_local` with the same facts as JSON.

`messages` has how times, durations and secrets are written. The consent page belongs to `demo`, and what
customers see of Gatehouse to `functions/web/`.
"""
