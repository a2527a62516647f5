"""What findings rest on that no placement rule speaks of, with the pages that say so."""

from __future__ import annotations

import datetime as dt
from typing import Final

from keyhier.doctor import Severity
from keyhier.placement.rules import Statement

__all__ = ["ELIGIBLE", "NOT_READ", "READABLE", "SETTINGS", "TRANSITION"]

READABLE: Final = Statement(
    id="document",
    severity=Severity.ERROR,
    text="A document is well-formed, and what its expressions name is there",
    remedy="correct the document at the place that is named",
    source="https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax",
    date=dt.date(2026, 1, 1),
)

NOT_READ: Final = Statement(
    id="document-part",
    severity=Severity.WARNING,
    text="All of a document is read",
    remedy="give what is missing as a file of its own, or look at this part yourself",
    source="https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax",
    date=dt.date(2026, 1, 1),
)

SETTINGS: Final = Statement(
    id="settings",
    severity=Severity.ERROR,
    text="Settings of disk encryption are complete, and do not contradict each other",
    remedy="correct the setting; the page that is named lists what each may be",
    source="https://learn.microsoft.com/azure/virtual-machines/extensions/azure-disk-enc-linux",
    date=dt.date(2026, 1, 1),
)

ELIGIBLE: Final = Statement(
    id="eligibility",
    severity=Severity.ERROR,
    text="A machine can be encrypted by the method that it uses",
    remedy="change the machine, or encrypt it by another method",
    source="https://learn.microsoft.com/azure/virtual-machines/disk-encryption-overview",
    date=dt.date(2026, 1, 1),
)

TRANSITION: Final = Statement(
    id="transition",
    severity=Severity.ERROR,
    text="What is asked of disk encryption may follow on what the machine has",
    remedy="see what is encrypted with `az vm encryption show`, and ask for what may follow",
    source="https://learn.microsoft.com/azure/virtual-machines/linux/disk-encryption-linux",
    date=dt.date(2026, 2, 20),
)
