"""The staff pages: one module per screen, one blueprint, sign-in required unless a view says otherwise."""

from fleet.web.register import register

__all__ = ["register"]
