"""A nation as many municipalities: each a cell with a database, keys and servers of its own, behind one front door.

Invariant: what is known of all of them together is which there are and where, and figures without any person in them;
no database, key or password is shared (decision 0026).
"""
