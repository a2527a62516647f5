"""The form of a plan file: JSON that ``keyhier ade plan`` and ``keyhier set plan`` write.

::

    {
      "keyhier-plan": 1,
      "workflow": "ade", "scenario": "enable-existing", "subject": "VM web-01",
      "worst": "warning",
      "placement": {...},             a report of placements
      "findings": [{...}],            what else was looked at
      "steps": [{"phase", "name", "text", "doer", "command", "resource"}],
      "planned": [{...}]              the resources as they would be, as ARM's JSON
    }

A file may have been changed since, and rules may be others than when it was written. So whoever
reads one checks what is planned anew, and believes none of its findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from keyhier.placement.hidden import without_secrets
from keyhier.placement.node import Node
from keyhier.placement.unknown import Unknown
from keyhier.plans.plan import Plan, Workflow

__all__ = ["MARK", "VERSION", "PlanFile", "as_document", "is_plan_file"]

MARK: Final = "keyhier-plan"
"""The member that tells a plan file; its value is the version of the form."""

VERSION: Final = 1


@attrs.frozen
class PlanFile:
    """What a plan file says of what is to be.

    Attributes:
        workflow: what it is about.
        scenario: which workflow of these.
        subject: the machine or set.
        planned: the resources as they would be, as ARM's JSON, each with its place in the file
            (RFC 6901).
    """

    workflow: Workflow
    scenario: str
    subject: str
    planned: tuple[tuple[Mapping[str, Any], str], ...]

    @classmethod
    def parse(cls, document: object) -> PlanFile:
        """Read a plan file.

        Raises:
            InvalidInputError: it is none, of another version, or malformed; the message names the
                place.
        """
        node = Node(document)
        version = node.at(MARK)
        if version.value != VERSION or isinstance(version.value, bool):
            raise version.wrong(f"the version of a plan file that is known here is {VERSION}")
        workflow = _text(node.at("workflow"))
        if workflow not in list(Workflow):
            raise node.at("workflow").wrong(f"one of {', '.join(Workflow)}")
        items = node.at("planned").items()
        if isinstance(items, Unknown):
            raise node.at("planned").wrong_kind("a list of resources belongs here")
        planned = []
        for item in items:
            if not isinstance(item.value, Mapping):
                raise item.wrong_kind("a resource belongs here")
            planned.append((item.value, item.pointer))
        return cls(
            Workflow(workflow),
            _text(node.at("scenario")),
            _text(node.at("subject")),
            tuple(planned),
        )


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise node.wrong("a text belongs here")
    return node.value


def is_plan_file(document: object) -> bool:
    """Whether a document says of itself that it is a plan file, of whatever version."""
    return isinstance(document, Mapping) and MARK in document


def as_document(plan: Plan) -> dict[str, Any]:
    """Return the plan file of a plan, without the secrets that resources may hold."""
    return {
        MARK: VERSION,
        "workflow": plan.workflow.value,
        "scenario": plan.scenario,
        "subject": plan.subject,
        "worst": plan.worst.value,
        "placement": plan.placement.as_dict(),
        "findings": [each.as_dict() for each in plan.findings],
        "steps": [
            {
                "phase": step.phase.value,
                "name": step.name,
                "text": step.text,
                "doer": step.doer.value,
                "command": step.command,
                "resource": step.resource,
            }
            for step in plan.steps
        ],
        "planned": [without_secrets(each) for each in plan.planned],
    }
