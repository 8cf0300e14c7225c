"""A batch of reports in, a batch of answers out. See the modules."""
