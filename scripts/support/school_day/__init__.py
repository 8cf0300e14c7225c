"""A school day of many simulated tablets: against a real server, or as a queueing model of many servers."""
