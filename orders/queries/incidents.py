"""In which order incidents are shown.

The rule it keeps: pages show so many and no more, and a flood of harmless ones never hides a break.
"""

from __future__ import annotations

from django.db.models import Case, IntegerField, QuerySet, When

from orders.models import Incident
from orders.rules.breaks import BREAKS, RESTRICTING


def gravest_first(incidents: QuerySet[Incident]) -> QuerySet[Incident]:
    """What restricts an account, then the other breaks, then the rest, each the newest first."""
    rank = Case(When(kind__in=RESTRICTING, then=0), When(kind__in=BREAKS, then=1), default=2, output_field=IntegerField())
    return incidents.order_by(rank, "-pk")
