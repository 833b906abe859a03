#!/bin/sh
# Finds a Python that really runs and fits, then hands over to setup.py. Arguments: see there.
here=$(dirname "$0")
# A name on PATH may be a version manager's shim that fails when run, or lack venv (Debian: python3-venv): try, not look.
fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'
for candidate in python3.12 python3.11 python3; do
    if "$candidate" -c "$fits" >/dev/null 2>&1; then
        exec "$candidate" "$here/setup.py" "$@"
    fi
done
echo "clearwatt needs Python 3.11 or 3.12 with venv (on Debian: apt install python3 python3-venv); none was found." >&2
exit 4
