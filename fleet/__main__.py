"""``python -m fleet``: the command line."""

from fleet.app import create_app
from fleet.cli import main

if __name__ == "__main__":
    main(obj=create_app)
