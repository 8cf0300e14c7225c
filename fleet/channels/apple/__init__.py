"""The Apple channel: messages of the device-management client that is built into every iPad, to our words and back."""
