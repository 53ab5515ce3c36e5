"""Scripted models: what they answer is made up, and the same for the same request."""

from bandit_router.providers.scripted.app import ReceivedCall, ScriptedApp
from bandit_router.providers.scripted.provider import ScriptedProvider, open_scripted
from bandit_router.providers.scripted.scene import Scene, Script, ScriptedRequest, improvise

__all__ = [
    "ReceivedCall",
    "Scene",
    "Script",
    "ScriptedApp",
    "ScriptedProvider",
    "ScriptedRequest",
    "improvise",
    "open_scripted",
]
