"""Requests as practitioners send them: each file in `requests/` is one kind that was once refused or misread.

A file has the `body` of the request, as a provider would get it, and the `outcome`: the arms that are
eligible, the reasons that mask others, and bounds of the tokens that price the call. `<NAME:n>` in a text
stands for n bytes or characters of its kind, so that the files stay short.
"""
