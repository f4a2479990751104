#!/usr/bin/env python3
"""The command line of the desk: `python manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    """Runs the command named on the command line with the desk's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oms_site.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
