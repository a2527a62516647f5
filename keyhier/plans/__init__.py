"""Plans: what is checked, made, deployed, verified and undone to encrypt disks, in its order.

Planning is pure: documents in, a plan out. Applying does the part that is keyhier's, through an
open vault, and only when nothing speaks against the plan.
"""

from __future__ import annotations

from keyhier.plans.ade import SCENARIOS, AdeRequest, plan_ade
from keyhier.plans.apply import Applied, SetKeeper, apply_ade, apply_set
from keyhier.plans.documents import Documents
from keyhier.plans.encryption_set import NewSet, SetRequest, SetScenario, plan_set
from keyhier.plans.mermaid import as_mermaid
from keyhier.plans.plan import Doer, Phase, Plan, Step, Workflow
from keyhier.plans.plan_file import PlanFile, as_document, is_plan_file
from keyhier.plans.planned_key import PlannedKey
from keyhier.plans.text import as_text

__all__ = [
    "SCENARIOS",
    "AdeRequest",
    "Applied",
    "Documents",
    "Doer",
    "NewSet",
    "Phase",
    "Plan",
    "PlanFile",
    "PlannedKey",
    "SetKeeper",
    "SetRequest",
    "SetScenario",
    "Step",
    "Workflow",
    "apply_ade",
    "apply_set",
    "as_document",
    "as_mermaid",
    "as_text",
    "is_plan_file",
    "plan_ade",
    "plan_set",
]
