"""Loaded by Python itself when the loader child starts with this folder in its path: tells of the child's commits."""

import os

from tests.crash.drivers import LINE, Line, report_loads

report_loads(Line(os.environ[LINE], "loader"))
