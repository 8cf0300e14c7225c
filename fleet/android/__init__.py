"""Android tablets with the open Headwind agent: how they come, by what they are known, what each was last given.

Not here: what a configuration looks like on the wire (:mod:`fleet.channels.headwind`).
"""
