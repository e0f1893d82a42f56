"""`xensave policy`: a guest's or a host's CPU policy, and what becomes of one elsewhere."""

from __future__ import annotations

import argparse
import sys
from itertools import chain

from xensave.catalogue import MASTER
from xensave.catalogue.dates import version
from xensave.cli.answer import print_answer
from xensave.cli.many import told
from xensave.errors import UsageError, XensaveError
from xensave.policy.compare import compare_policies
from xensave.policy.host import Host
from xensave.policy.hostfile import read_host
from xensave.policy.refusal import PolicyRefusal
from xensave.policy.restore import entries_of, restored
from xensave.policy.steps.clamp import Guest
from xensave.policy.value import Policy
from xensave.views.guest.policy import (
    changes_json,
    changes_lines,
    policy_json,
    policy_lines,
    refusal_json,
    refusal_line,
)
from xensave.views.text.escape import escape
from xensave.views.text.terminal import width_of

DESCRIPTION = (
    "Show the CPU policy of a saved guest or of a host by name, or compare two. A host is the text"
    " of `xen-cpuid -p`, an image saved there, or a pool's featureset words. With --target, A's"
    " guest is put before Xen of that release on B's host. Exit 0: shown, or alike; 1: they"
    " differ, or the target refuses; 2: usage, or an input could not be read."
)
_BLOCKS = {
    "hvm-max": "hvm_max",
    "pv-max": "pv_max",
    "hvm-default": "hvm_default",
    "pv-default": "pv_default",
    "host": "physical",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("action", choices=["show", "diff"], help="what to do")
    parser.add_argument(
        "inputs",
        metavar="FILE",
        nargs="+",
        help="images, or what a host says; show takes any number, diff two",
    )
    parser.add_argument(
        "--block", choices=list(_BLOCKS), help="which of a host's policies (default: hvm-max)"
    )
    parser.add_argument("-t", "--target", metavar="R", help="a Xen release to put A's guest before")
    parser.add_argument("--pv", action="store_true", help="A's guest is a PV guest")
    parser.add_argument("--shadow", action="store_true", help="it has shadow paging")
    parser.add_argument("--nested", action="store_true", help="it has nested HVM on")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: argparse.Namespace) -> int:
    """Shows one policy, or compares two."""
    if args.action == "show":
        return max(_show(args, path) for path in args.inputs)
    if len(args.inputs) != 2:
        raise UsageError("policy diff takes 2 inputs")
    hosts = [read_host(path) for path in args.inputs]
    if args.target is not None:
        return _restore(args, *hosts)
    old, new = (_policy(host, args.block) for host in hosts)
    comparison = compare_policies(old, new, version(MASTER))
    print_answer(args, changes_json(comparison), changes_lines(comparison, width_of(sys.stdout)))
    return 1 if comparison.differs else 0


def _show(args: argparse.Namespace, path: str) -> int:
    """Shows one of the inputs; what cannot be read is told, and the next one has its turn."""
    try:
        policy = _policy(read_host(path), args.block)
    except XensaveError as error:
        return told("policy", args, error)
    lines = policy_lines(policy, width_of(sys.stdout))
    name = [] if args.json or len(args.inputs) == 1 else [f"{escape(path)}:"]
    print_answer(args, policy_json(policy), chain(name, lines))
    return 0


def _restore(args: argparse.Namespace, guest: Host, host: Host) -> int:
    """Puts A's guest before the target on B's host, and says what becomes of its policy."""
    kind = Guest(pv=args.pv, hap=not args.shadow, nested=args.nested)
    leaves, msrs = guest.entries or entries_of(_policy(guest, args.block))
    answer = restored(leaves, msrs, args.target, host=host, guest=kind)
    if isinstance(answer, PolicyRefusal):
        print_answer(args, refusal_json(answer, args.target), [refusal_line(answer, args.target)])
        return 1
    comparison = compare_policies(answer.before, answer.policy, version(args.target))
    print_answer(args, changes_json(comparison), changes_lines(comparison, width_of(sys.stdout)))
    return 1 if comparison.lost else 0


def _policy(host: Host, block: str | None) -> Policy:
    name = block or "hvm-max"
    policy: Policy | None = getattr(host, _BLOCKS[name])
    if policy is None:
        raise UsageError(f"{host.name}: has no {name} policy")
    return policy
