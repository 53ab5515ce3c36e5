"""Campaigns: rounds of traffic and faults against real databases, and a count of what was lost or doubled.

`python -m tests.durability.campaign` runs all of them. A campaign is a file that defines one, and a line in
``CAMPAIGNS`` in ``__main__.py``; a kind of fault is a function, and a line in ``FAULTS`` in ``faults.py``.
"""
