"""What the server keeps for tablets that are managed by a client of their maker's: no agent of ours runs there.

Such a client has an identity certificate that we issued, is rung through its maker's push service, and is handed one
command at a time. Invariants: an identity belongs to one tablet for good; the open enrolment names the identity that
counts (``Enrolment.key_thumbprint``); a command ends once, whatever is told of it afterwards. Not here: what a command
or a message looks like on the wire, which is the channel's business alone.
"""
