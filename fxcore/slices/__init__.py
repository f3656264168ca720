"""What each job may know: the exact part of the parameters that its result depends on.

A rule's `params:` is the canonical JSON of a slice, and the job reads nothing else; so an edit re-runs a job exactly
when it changes something the job uses.
"""
