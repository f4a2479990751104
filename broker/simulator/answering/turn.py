"""The means a handler has while it answers one request, and the words of the errors that several handlers share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from broker.simulator.messages.answers import ErrorMessage
from broker.simulator.messages.layout import ContractFields
from broker.simulator.model import Event, Instrument
from broker.simulator.recorded import RecordedExchange
from broker.simulator.session import Session

if TYPE_CHECKING:
    from broker.simulator.exchange import Exchange

NO_SECURITY = 200
REQUEST_NOT_FOUND = 300
SERVER_ERROR_READING = 320
VALIDATION = 321
PROCESSING = 322


@dataclass
class Turn:
    """One request of one client at one moment. `events` collects what it did to the exchange, for everyone concerned."""

    recorded: RecordedExchange
    session: Session
    now: datetime
    events: list[Event]
    id_rollback: int

    @property
    def exchange(self) -> Exchange:
        """The exchange to read from."""
        return self.recorded.exchange

    def change(self, verb: str, **values: Any) -> None:
        """Does `verb` to the exchange; what it causes goes to everyone concerned once it is on disk."""
        self.events += self.recorded.apply(verb, self.now, **values)

    def error(self, req_id: int, code: int, text: str) -> None:
        self.session.say(ErrorMessage(req_id, code, text, self.now))

    def invalid(self, req_id: int, cause: str) -> None:
        """Error 321, in IB's wording."""
        self.error(req_id, VALIDATION, f"Error validating request.-'bW' : cause - {cause}")

    def matches(self, contract: ContractFields) -> list[Instrument]:
        """Every instrument that the client's description fits."""
        return self.exchange.find(
            con_id=contract.con_id,
            symbol=contract.symbol,
            sec_type=contract.sec_type,
            exchange=contract.exchange,
            currency=contract.currency,
            expiry=contract.expiry,
            strike=contract.strike or None,
            right=contract.right if contract.right in ("C", "P", "CALL", "PUT") else "",
            local_symbol=contract.local_symbol,
            trading_class=contract.trading_class,
        )

    def resolve(self, req_id: int, contract: ContractFields) -> Instrument | None:
        """The one instrument that is meant, or None after an error 200 (unknown, or ambiguous)."""
        found = self.matches(contract)
        if len(found) == 1:
            return found[0]
        if found:
            self.error(
                req_id, NO_SECURITY, f"The contract description specified for {contract.symbol} is ambiguous; you must specify more of it."
            )
        else:
            self.error(req_id, NO_SECURITY, "No security definition has been found for the request")
        return None

    def known_account(self, req_id: int, account: str) -> bool:
        """True for an account of this gateway; otherwise False after an error 321."""
        if account in self.exchange.accounts:
            return True
        self.invalid(req_id, f"Invalid account code '{account}'.")
        return False
