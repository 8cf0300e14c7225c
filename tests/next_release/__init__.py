"""Where the next release's steps of the database's shape would be, for tests."""
