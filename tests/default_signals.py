"""Runs a command with default signal handling: `python default_signals.py COMMAND...`.

A process inherits which signals are ignored and blocked, and Python and gunicorn react to SIGINT
only when it was not ignored. A shell without job control ignores SIGINT and SIGQUIT for what it
starts with `&`, `nohup` ignores SIGHUP, and Python itself ignores SIGPIPE.
"""

import os
import signal
import sys

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
os.execvp(sys.argv[1], sys.argv[1:])
