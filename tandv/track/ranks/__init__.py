"""Measurements of several processes, added up along a tree of sockets while training goes on; of no framework."""
