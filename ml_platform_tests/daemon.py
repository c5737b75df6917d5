"""Dagster's daemon without its long breaths: what it looks at every five seconds, each second here.

Tests start it as a program, `HASTY_DAEMON` and the words for the daemon; all else is as it is.
"""

import sys

HASTY_DAEMON = (sys.executable, "-P", __file__)
BREATH_S = 1


def main():
    from dagster._daemon import sensor
    from dagster._daemon.cli import main as as_it_is
    from dagster._daemon.daemon import IntervalDaemon

    sensor.MIN_INTERVAL_LOOP_TIME = BREATH_S
    # Set by each of its loops: the queue's, the monitoring's, and the one that repeats runs.
    IntervalDaemon.interval_seconds = property(lambda _: BREATH_S, lambda *_: None)
    as_it_is()


if __name__ == "__main__":
    main()
