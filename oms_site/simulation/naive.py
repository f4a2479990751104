"""Designs that are known to be wrong."""
from contextlib import contextmanager
def described(): return []
@contextmanager
def design(name): yield None
