"""Schools, classes, people of the roster, and the school calendar. See the modules."""
