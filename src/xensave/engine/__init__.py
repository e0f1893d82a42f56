"""Xen's save, check and load loops of a chosen release: which guest it takes, and why not.

>>> from xensave.engine import Domain, Hypervisor
>>> with open("examples/pvh1.ctx", "rb") as file:
...     context = file.read()
>>> hypervisor = Hypervisor("4.17.7", Domain("pvh"))
>>> hypervisor.load(context).loaded
10
>>> verdict = hypervisor.load(context[:-1])
>>> verdict.accepted, verdict.errno, verdict.loaded
(False, 'ENODATA', 10)
"""

from xensave.catalogue.model import Cite
from xensave.engine.domain import HVM, PVH, Domain
from xensave.engine.hypervisor import Hypervisor
from xensave.engine.loop.handler import Handler
from xensave.engine.loop.rule import HandlerRule, Undecided
from xensave.engine.plugins import Plugin
from xensave.engine.state import DomainState
from xensave.engine.verdict import Accepted, Depends, Refused, Verdict
from xensave.policy.steps.default import default_policy
from xensave.policy.value import Policy

__all__ = [
    "HVM",
    "PVH",
    "Accepted",
    "Cite",
    "Depends",
    "Domain",
    "DomainState",
    "Handler",
    "HandlerRule",
    "Hypervisor",
    "Plugin",
    "Policy",
    "Refused",
    "Undecided",
    "Verdict",
    "default_policy",
]
