"""``python -m agent_protocol``: the reference agent."""

import sys

from agent_protocol.agent import main

if __name__ == "__main__":
    sys.exit(main())
