"""Whether what the program stands on is sound: the machine, the database, and the shape in which areas say it.

An area above says how its own facts stand in the same shape; :mod:`fleet.app.doctor` asks all of them.
"""
