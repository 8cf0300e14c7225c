"""Tablets: delivery lists, tickets, enrolment, life cycle and inventory. See the modules."""
