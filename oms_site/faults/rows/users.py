"""What people and their browsers do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from oms_site.faults.rig import Rig
from oms_site.faults.rows.row import Row
from orders.models import OrderRecord


def _thousand_clicks(rig: Rig) -> None:
    request = rig.post(quantity=7)
    rig.faults += 1
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: rig.send(request), range(200)))
    assert {answer.status for answer in answers if answer is not None} == {200}
    assert OrderRecord.objects.filter(quantity=7).count() == 1


ROWS = (Row("F1", "the same ticket 200 times, 16 at once", _thousand_clicks),)
