"""Modules of the names that bocpy's tests import from a package of its repository, made anew."""
