"""The roster from a file: read, plan, brake, apply, undo.

``apply.read`` turns a package into values or a list of what is wrong with it; ``plan`` compares two sets of values;
``apply.apply`` writes a plan in the running transaction and can take the last one back. See the modules.
"""
