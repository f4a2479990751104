"""What IB's message codes mean: for an order that a message names, for the connection, for a market data line. One table, with its
sources.

The rule kept here: a code that is not in the table proves nothing. It is kept as evidence and the order is asked for again; a list of
codes never decides by itself that an order which the broker has acknowledged is dead.

Sources: IB "Message Codes" (TWS API documentation, error handling), and where it is silent, messages seen by others on real gateways, as
said.
"""

from __future__ import annotations

from enum import StrEnum

from orders.rules.reports import Meaning


class Standing(StrEnum):
    """What this connection last did with an order when a code comes for it. The same code refuses a new order but not a live one."""

    NEW = "new"  # written, and nothing heard of it
    CHANGING = "changing"  # acknowledged, and a change of it was written and not answered
    KNOWN = "known"  # acknowledged, or placed by an earlier connection


# A new order is refused; a change of a live one is refused; for a live order that nobody changes it says nothing.
_REFUSALS: dict[int, str] = {
    103: "duplicate or too low order id: nothing was placed",
    106: "the order cannot be transmitted",
    107: "the order is incomplete",
    109: "the price is out of the range of the precautions",
    110: "the price does not conform to the minimum variation",
    111: "the time in force and the order type do not go together",
    113: "MOC and LOC orders are DAY orders",
    133: "submitting a new order failed",
    146: "trigger method or condition",
    147: "trigger method or condition",
    148: "trigger method or condition",
    152: "the order cannot be hidden (seen on a paper account)",
    154: "orders cannot be transmitted for a halted security",
    158: "a trailing order needs its stop price",
    159: "a trailing order needs its amount",
    160: "order size is zero",
    163: "the price violates the percentage constraint",
    200: "no security definition",
    321: "validating the request failed; the usual answer to a new order that lacks something (seen: no account, size rules)",
    328: "trailing orders cannot be attached to this",
    334: "a date, time or time zone of the order",
    336: "a date, time or time zone of the order",
    337: "a date, time or time zone of the order",
    338: "good-after-time orders are not for this exchange or order",
    343: "a date, time or time zone of the order",
    351: "the order type cannot fill outside regular hours",
    355: "order size does not conform to the market rule",
    356: "smart combo orders have no OCA group",
    359: "combo orders go only with OCA type 3",
    361: "a stop, trigger or adjusted price",
    362: "a stop, trigger or adjusted price",
    363: "a stop, trigger or adjusted price",
    364: "a stop, trigger or adjusted price",
    382: "size exceeds the size limit of the precautions",
    383: "size exceeds the limit of the precautions",
    387: "the order type is not for this contract",
    388: "order size is below the minimum",
    391: "a date, time or time zone of the order",
    392: "the contract has expired",
    395: "OCA orders are not accepted at the moment",
    396: "only market and limit orders are accepted at the moment",
    397: "only market orders are accepted at the moment",
    402: "trigger method or condition",
    403: "a stop, trigger or adjusted price",
    411: "orders outside regular hours are not for this contract",
    412: "the contract is not available for trading",
    434: "order size cannot be zero",
    435: "an account must be given",
    436: "an allocation must be given",
    439: "the algorithm or its attributes",
    441: "the algorithm or its attributes",
    442: "the algorithm or its attributes",
    443: "the algorithm or its attributes",
    451: "size limit of the precautions (seen in logs of users)",
    460: "no permission to trade it (seen by Lean)",
    461: "size does not conform (seen in logs of users)",
    478: "fields conflict with the contract of this conId (seen in logs of users)",
    10006: "the parent order is missing",
    10015: "trading through the API is not allowed for this group",
    10020: "the display size must be smaller than the order",
    10149: "invalid order id (seen for id 0)",
    10243: "a rule about fractional or monetary quantities",
    10244: "a rule about fractional or monetary quantities",
    10245: "a rule about fractional or monetary quantities",
    10246: "a rule about fractional or monetary quantities",
    10247: "a rule about fractional or monetary quantities",
    10248: "a rule about fractional or monetary quantities",
    10249: "a rule about fractional or monetary quantities",
    10250: "size below the minimum",
    10251: "a rule about fractional or monetary quantities",
    10252: "a rule about fractional or monetary quantities",
    10255: "the order cannot have a display size (seen on a paper account)",
    10256: "the order cannot have a minimum quantity (seen on a paper account)",
    10257: "the order cannot be all or none (seen on a paper account)",
    10267: "an option or attribute that is not supported",
    10268: "an option or attribute that is not supported",
    10269: "an option or attribute that is not supported",
    10270: "an option or attribute that is not supported",
    10274: "an option or attribute that is not supported",
    10287: "crypto order rule",
    10288: "crypto order rule",
    10289: "crypto order rule",
    10290: "crypto order rule",
    10291: "crypto order rule",
    10292: "crypto order rule",
    10293: "crypto order rule",
    10318: "a rule about fractional or monetary quantities",
    10321: "no OCA for this contract",
    10324: "OCA parameters: the exchange implies overfill protection",
    10325: "OCA is not supported for this order",
    10332: "crypto order rule",
    10337: "an option or attribute that is not supported",
    10338: "an option or attribute that is not supported",
    10339: "an option or attribute that is not supported",
    10340: "an option or attribute that is not supported",
}
# As above, and also the end of an order that the broker had accepted first (seen: Inactive, then 201).
_REJECTIONS: dict[int, str] = {201: "rejected, the reason is in the text", 203: "the security is not allowed for this account"}
# A change was refused, the order lives on with its old terms. About a new order they only say that its id was not new.
_CHANGE_REFUSALS: dict[int, str] = {
    104: "a filled order cannot be changed",
    105: "the change does not match the original order",
    134: "changing the order failed",
    329: "the order type cannot be changed",
    422: "the clearing attributes cannot be changed",
    440: "an algorithm's order cannot be changed",
    2102: "the order is still being processed and cannot be changed yet",
    10241: "a fractional order cannot be changed through the API",
    10242: "a monetary order cannot be changed through the API",
    10326: "the OCA group cannot be revised",
    10327: "the OCA type cannot be revised",
    10341: "the parent cannot be revised",
}
# Whatever the order's standing. 161, 135 and 10147 were each seen for orders that turned out filled, cancelled or working.
_ALWAYS: dict[int, Meaning] = {
    135: Meaning.NOT_FOUND,  # cannot find order with id
    136: Meaning.NOT_CANCELLABLE,  # this order cannot be cancelled
    161: Meaning.NOT_CANCELLABLE,  # cancel attempted when the order is not in a cancellable state
    165: Meaning.WARNING,  # historical data query
    202: Meaning.CANCELLED,  # order cancelled, reason in the text
    354: Meaning.WARNING,  # market data is not subscribed: never about the order
    399: Meaning.WARNING,  # "will not be placed at the exchange until ..." and other free texts
    404: Meaning.HELD,  # held while shares are located
    481: Meaning.WARNING,  # order size was reduced; the openOrder says to what
    10089: Meaning.WARNING,  # market data needs a subscription
    10090: Meaning.WARNING,
    10091: Meaning.WARNING,
    10147: Meaning.NOT_FOUND,  # order to cancel is not found
    10148: Meaning.NOT_CANCELLABLE,  # order cannot be cancelled, state: ...
    10167: Meaning.WARNING,  # delayed market data is shown
    10168: Meaning.WARNING,
    10186: Meaning.WARNING,
    10197: Meaning.WARNING,  # no market data during a competing session
    10311: Meaning.WARNING,  # direct routing may cost more; whether it is held depends on the gateway's settings
    10329: Meaning.WARNING,  # as 10311
    10349: Meaning.WARNING,  # time in force was set from a preset (undocumented; orders shown as cancelled by it were all filled)
}


def meaning(code: int, standing: Standing) -> Meaning:
    """What a code that names an order means for it. 2100 to 2199 are notices (2102 excepted); a code not in the table is UNCLEAR."""
    if code in _ALWAYS:
        return _ALWAYS[code]
    if code in _CHANGE_REFUSALS:
        return Meaning.UNCLEAR if standing is Standing.NEW else Meaning.NOT_CHANGED
    if code in _REFUSALS or code in _REJECTIONS:
        if standing is Standing.NEW:
            return Meaning.REJECTED
        if standing is Standing.CHANGING:
            return Meaning.NOT_CHANGED
        return Meaning.REJECTED if code in _REJECTIONS else Meaning.UNCLEAR
    return Meaning.WARNING if is_notice(code) else Meaning.UNCLEAR


def is_notice(code: int) -> bool:
    """Codes that say something without ending the request they come for (2100 to 2199, and the word about delayed data)."""
    return (2100 <= code < 2200 and code != 2102) or code in (10167, 399)


def is_read_only(code: int, text: str) -> bool:
    """Whether the gateway says that its API takes no orders. 321 has many causes; only its text tells this one."""
    return code == 321 and "read-only" in text.lower()


class Link(StrEnum):
    """What a message that names neither order nor request means for the connection."""

    LOST = "lost"  # 1100, 2110: the gateway stays connected to us and has lost IB
    RESTORED = "restored"  # 1102; what happened meanwhile may never be pushed
    RESTORED_WITHOUT_DATA = "restored without data"  # 1101: subscriptions are gone too
    RESET = "reset"  # 1300: the gateway drops this connection and listens on another port
    CLIENT_ID_TAKEN = "client id taken"  # 326
    TOO_FAST = "too fast"  # 100
    FARM_OK = "farm ok"
    FARM_BROKEN = "farm broken"
    OTHER = "other"


_LINKS = {
    100: Link.TOO_FAST,
    326: Link.CLIENT_ID_TAKEN,
    1100: Link.LOST,
    1101: Link.RESTORED_WITHOUT_DATA,
    1102: Link.RESTORED,
    1300: Link.RESET,
    2103: Link.FARM_BROKEN,
    2104: Link.FARM_OK,
    2105: Link.FARM_BROKEN,
    2106: Link.FARM_OK,
    2110: Link.LOST,
    2157: Link.FARM_BROKEN,
    2158: Link.FARM_OK,
}


def link(code: int) -> Link:
    """The meaning of a code for the connection."""
    return _LINKS.get(code, Link.OTHER)


SIMULATED_FARM = "simfarm"  # the farm that the simulated gateway names in its 2104, and no real one has

# Live data is refused: ask for delayed data instead (354 not subscribed; 10089 to 10091 subscription needed; 10168 delayed not asked for).
LIVE_DATA_REFUSED = frozenset({354, 10089, 10090, 10091, 10168, 10186, 10197})
DELAYED_DATA_FOLLOWS = 10167
TOO_MANY_LINES = 101
