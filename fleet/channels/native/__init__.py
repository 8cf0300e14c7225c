"""The native channel: bytes of our own agent protocol to our words, and back."""
