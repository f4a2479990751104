"""The sealed preview: a ticket as it would be sent, weighed as it would be weighed, and the seal that lets it be sent as it was shown.

`making.make` writes one, `redeeming.redeem` lets it pass once, `margin` says what IB answered. The rule it keeps: a preview sends and
delays nothing; what was shown and what is sent are the same, or it is shown again.
"""
