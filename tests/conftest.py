"""For every test: no result of a partition comes from, or goes to, the cache of the person who runs the tests."""

import os

os.environ["PLUMBLINE_CACHE"] = "off"
