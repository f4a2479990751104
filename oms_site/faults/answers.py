"""What must be survived before any real money is traded, and what answers each: rows of this catalogue, tests, or nothing yet.

The rule it keeps: no fault is left without an answer, and what is not proven is said by name.
"""

from __future__ import annotations

from collections.abc import Iterable

MUST_BE_SURVIVED = {
    # Processes that die on an order's way
    "A1": "the web dies before it writes",
    "A2": "the web dies inside its transaction",
    "A3": "the web dies between commit and answer",
    "A4": "the worker's bell is lost",
    "A5": "the worker dies before the claim",
    "A6": "the worker dies between claim and write",
    "A7": "the worker dies after the write, with bytes on the way",
    "A8": "the worker dies before the broker's answer",
    "A9": "the worker dies between the answer and its commit",
    "A10": "the worker dies between an execution and its commit",
    "A13": "the worker dies around a cancel",
    "A14": "the worker dies around a change",
    "A15": "the worker dies within a bracket",
    "A17": "the worker is asked to end while orders wait",
    "A18": "a worker sleeps past its lease and wakes up",
    # The connection
    "B1": "the line is reset anywhere",
    "B2": "the gateway closes the line",
    "B3": "the line is half open, the gateway frozen",
    "B4": "the gateway answers very late",
    "B6": "the gateway is restarted",
    "B7": "the gateway comes back empty",
    "B8": "order ids roll back",
    "B9": "IB is lost and restored (1100, 1102)",
    "B10": "IB is lost and restored without data (1100, 1101)",
    "B11": "fills while IB was lost are never pushed",
    "B12": "a change while degraded makes a second order",
    "B13": "the client id is in use",
    "B15": "a list of the broker never ends",
    "B17": "a burst of 200 orders is cut",
    # What the broker says
    "C1": "a status comes three times",
    "C2": "an execution comes before its order",
    "C3": "a late word after the end",
    "C4": "an execution comes twice, live and in a list",
    "C5": "an execution is corrected",
    "C8": "a commission comes early, late, never, or is revised",
    "C9": "a fill while the cancel is under way",
    "C10": "a fill after the confirmed cancel",
    "C11": "202 before, after or instead of the word",
    "C12": "10147 for an order that works, ended, or is another's",
    "C13": "10148 for an order that has filled",
    "C15": "201, and then Inactive",
    "C17": "a refusing code for a live order or a change",
    "C18": "a warning after the fill",
    "C19": "codes that nobody knows",
    "C21": "Filled, and the executions are lost",
    "C23": "both legs of a pair fill",
    "C24": "a target fills in part and takes the stop with it",
    "C25": "the entry of a bracket is refused",
    "C26": "an entry fills in part, is cancelled, and its exits are too large",
    "C27": "the stop of a bracket is refused and its entry fills",
    "C28": "a change races with the fill",
    "C30": "Inactive, and then it lives on",
    "C31": "orders placed elsewhere",
    "C32": "our order is changed or cancelled elsewhere",
    "C33": "a position that no execution explains",
    "C35": "an execution for an account that is not ours",
    "C37": "mangled frames",
    "C40": "hostile text",
    "C41": "quotes that cannot be relied on",
    # Stores
    "D1": "the database is locked",
    "D2": "the disk is full",
    "D4": "PostgreSQL is restarted in a transaction",
    "D5": "PostgreSQL is down while fills arrive",
    "D6": "PostgreSQL hangs",
    "D10": "Redis is gone, restarted, or slow",
    # Several processes
    "E1": "several workers are started together",
    "E5": "a new start with 200 open orders",
    # People and browsers
    "F1": "a thousand clicks",
    "F2": "the same order from two tabs",
    "F4": "back, refresh, a restored tab",
    "F5": "offline while a ticket is sent",
    "F6": "the answer to a ticket is lost",
    "F7": "a browser that reads nothing",
    "F10": "a stale page",
    "F12": "many orders reach one limit together",
    "F14": "a user is switched off with sockets open and orders waiting",
    "F15": "a permission is taken between submit and send",
    "F16": "the kill switch in a burst of 200 orders",
    # Time and volume
    "G3": "the list of executions empties at midnight",
    "G4": "which midnight",
    "G5": "the clocks change",
    "G8": "an order ends while the worker is down",
    "H2": "a long day: 24 hours, 50 users, 20,000 orders",
    "H5": "more than IB takes",
}

_ANOMALIES = "broker/tests/test_anomalies_"
_CODES, _FILLS, _ELSEWHERE = f"{_ANOMALIES}codes.py::test_", f"{_ANOMALIES}fills.py::test_", f"{_ANOMALIES}elsewhere.py::test_"
_EXECUTIONS, _STATUS = "orders/tests/test_intake_executions.py::test_", "orders/tests/test_intake_status.py::test_"
_GUARDIAN, _TICKET = "orders/tests/test_guardian.py::test_", "orders/tests/test_ticket_post.py::test_"
_CLAIM, _DAY = "orders/tests/test_outbox_claim.py::test_", "orders/tests/test_trading_day.py::test_"

ELSEWHERE = {
    # fault -> the tests that prove it, or what a row does not show of it
    "B12": (f"{_ELSEWHERE}a_second_life_under_our_name_is_shown_and_the_account_only_reduces",),
    "B15": ("broker/tests/test_engine_storms.py::test_a_question_never_answered_raises_an_alarm",),
    "C1": (f"{_STATUS}a_message_that_comes_three_times_is_one_event",),
    "C2": (f"{_EXECUTIONS}an_execution_may_be_the_first_that_is_heard",),
    "C3": (f"{_STATUS}a_late_submitted_after_the_end_is_ignored",),
    "C4": (
        f"{_EXECUTIONS}the_same_execution_live_and_in_a_snapshot_counts_once",
        f"{_FILLS}fills_come_in_any_order_and_any_number_of_times_and_count_once",
    ),
    "C5": (
        f"{_FILLS}a_correction_replaces_and_a_bust_takes_back_whenever_they_come",
        f"{_FILLS}the_money_of_a_corrected_fill_is_the_corrected_money",
    ),
    "C8": (
        f"{_FILLS}a_commission_that_never_came_is_swept_up",
        f"{_FILLS}a_revised_commission_replaces_the_first",
        f"{_EXECUTIONS}a_commission_may_come_first_and_may_be_revised",
    ),
    "C9": (f"{_FILLS}a_fill_while_the_cancel_is_under_way_ends_both",),
    "C10": (f"{_FILLS}a_fill_after_the_confirmed_cancel_counts_and_is_told",),
    "C11": (f"{_CODES}however_a_cancel_is_confirmed_it_is_one_cancel",),
    "C12": (f"{_CODES}a_cancel_that_is_refused_says_nothing_of_the_order",),
    "C13": (f"{_CODES}a_cancel_refused_for_a_fill_that_nobody_told_finds_the_fill",),
    "C15": (f"{_STATUS}inactive_after_201_does_not_reopen", f"{_STATUS}inactive_before_201_is_held_until_then"),
    "C17": (
        f"{_CODES}nothing_that_is_said_about_a_live_order_ends_it_but_its_end",
        "broker/tests/test_engine_trading.py::test_a_refused_change_leaves_the_order_with_its_old_terms",
    ),
    "C18": (f"{_CODES}what_is_said_after_the_end_changes_nothing",),
    "C19": (f"{_CODES}of_twenty_thousand_codes_only_the_cancel_ends_what_lives",),
    "C21": (f"{_FILLS}filled_without_its_executions_is_never_taken_for_cancelled_or_lost",),
    "C23": (f"{_ELSEWHERE}both_legs_of_a_pair_filling_is_told_at_once_and_nothing_is_traded_for_it",),
    "C24": (
        f"{_GUARDIAN}a_partial_fill_in_a_group_of_type_1_leaves_the_rest_bare_and_says_why",
        "oms_site/tests/test_guardian_live.py::test_a_fill_that_leaves_a_position_bare_is_told_on_every_page_and_mended_by_one_press",
    ),
    "C26": (
        f"{_GUARDIAN}exits_larger_than_the_position_are_made_as_large_as_it",
        "orders/tests/test_manager_changing.py::test_the_exits_of_an_entry_that_was_cut_short_do_not_grow_beyond_what_it_filled",
        "orders/tests/test_manager_repairing.py::test_exits_that_are_too_large_are_made_smaller_in_place",
    ),
    "C27": (f"{_GUARDIAN}a_rejected_stop_is_named", f"{_GUARDIAN}without_a_stop_it_is_unprotected_and_a_pair_is_offered"),
    "C28": (f"{_CODES}a_change_that_races_with_the_fill_is_refused_and_the_totals_are_right",),
    "C30": (f"{_CODES}an_inactive_order_may_live_again",),
    "C31": (
        f"{_ELSEWHERE}an_order_of_another_client_is_shown_counts_and_is_followed_to_its_end",
        "orders/tests/test_outbox_settle.py::test_a_cancel_under_another_client_id_is_refused_and_flagged",
    ),
    "C32": (f"{_ELSEWHERE}an_order_of_ours_that_is_changed_elsewhere_shows_the_new_terms_and_who_changed_it",),
    "C33": (
        "broker/tests/test_engine_recovery.py::test_a_position_that_no_execution_explains_restricts_its_account",
        "orders/tests/test_holdings.py::test_a_difference_that_lasts_is_a_break_and_its_account_may_only_reduce",
    ),
    "C35": (f"{_ELSEWHERE}what_names_an_account_that_is_not_ours_is_kept_from_everybody",),
    "C37": (
        f"{_ANOMALIES}frames.py::test_mangled_frames_are_counted_and_harm_nobody",
        f"{_ANOMALIES}frames.py::test_a_storm_of_mangled_frames_leaves_the_worker_at_work",
        f"{_ANOMALIES}frames.py::test_a_fill_behind_a_mangled_frame_is_found_by_asking",
    ),
    "C40": (f"{_ANOMALIES}text.py::test_what_is_hostile_is_shown_as_text_everywhere",),
    "C41": (f"{_ANOMALIES}quotes.py::test_without_a_quote_that_can_be_relied_on_the_collar_fails_closed",),
    "F2": (f"{_TICKET}the_same_order_again_asks_whether_it_is_meant", "orders/tests/test_limits.py::test_the_same_order_again_asks_back"),
    "F4": (
        f"{_TICKET}htmx_gets_a_fresh_ticket_and_a_toast",
        f"{_TICKET}an_answer_that_was_lost_is_given_again_whatever_has_happened_since",
        "oms_site/tests/test_browser_trading.py::test_back_reload_and_a_restored_tab_never_send_an_order_again",
    ),
    "F5": ("oms_site/tests/test_browser_live.py::test_a_broken_line_while_sending_is_looked_up_and_never_a_second_order",),
    "F10": (
        f"{_TICKET}a_preview_that_is_too_old_is_shown_again_and_goes_the_second_time",
        f"{_CLAIM}what_changed_since_the_order_was_placed_stops_the_whole_unit",
        "orders/tests/test_access.py::test_access_taken_away_is_gone_at_the_next_request",
    ),
    "F12": ("orders/tests/test_races.py::test_two_users_together_do_not_get_beyond_the_accounts_limit",),
    "F15": (f"{_CLAIM}what_changed_since_the_order_was_placed_stops_the_whole_unit",),
    "G3": (f"{_FILLS}the_fills_of_yesterday_stay_when_the_list_is_of_today",),
    "G4": (
        f"{_DAY}the_day_is_that_of_the_account_and_not_of_the_server",
        f"{_ANOMALIES}frames.py::test_no_fill_is_lost_for_the_zone_in_which_its_time_is_told",
    ),
    "G5": (
        f"{_DAY}a_day_of_a_clock_change_is_shorter_or_longer",
        f"{_DAY}every_moment_lies_in_one_day_and_days_meet",
        f"{_DAY}a_start_in_an_hour_that_a_clock_change_skips_or_repeats_still_begins_one_day",
    ),
    "G8": (
        "orders/tests/test_reconcile.py::test_a_day_order_whose_day_has_ended_is_cancelled",
        "orders/tests/test_intake_orders.py::test_a_completed_order_ends_a_doubt",
    ),
    "H5": (
        "broker/tests/test_pacing.py::test_no_second_has_more_than_the_limit",
        "broker/tests/test_engine_trading.py::test_a_burst_goes_out_at_the_pace_the_gateway_takes_and_cancels_go_first",
        "orders/tests/test_limits.py::test_open_orders_are_counted_and_a_change_adds_none",
    ),
}

NOT_PROVEN = {
    # fault -> what of it nobody has seen
    "C25": "exits that the broker accepted before it refused their entry: the simulated exchange looks at the entry first",
    "H2": "the whole day: `make soak HOURS=24` lives through it and judges it, and nobody has run it for so long yet",
}


def fault_of(row: str) -> str:
    """The fault that a row is about: A13 of A13a."""
    return row.rstrip("abcdefghijklmnopqrstuvwxyz")


def summary(rows: Iterable[str]) -> list[str]:
    """How many of the faults have a row here, how many are proven by tests, and what is not proven, in lines for a person."""
    here = {fault_of(row) for row in rows} & set(MUST_BE_SURVIVED)
    by_tests = [fault for fault in MUST_BE_SURVIVED if fault in ELSEWHERE and fault not in here]
    tests = {test for fault in by_tests for test in ELSEWHERE[fault]}
    lines = [
        f"Of {len(MUST_BE_SURVIVED)} faults that must be survived before any real money is traded {len(here)} have a row here, "
        f"and {len(by_tests)} more are proven by {len(tests)} tests:"
    ]
    lines += [f"  {fault:<5}{MUST_BE_SURVIVED[fault]}\n{_indented(ELSEWHERE[fault])}" for fault in by_tests]
    lines.append("Not proven:")
    for fault, what in NOT_PROVEN.items():
        lines.append(f"  {fault:<5}{MUST_BE_SURVIVED[fault]}: {what}")
    return lines


def _indented(tests: Iterable[str]) -> str:
    return "\n".join(f"         {test}" for test in tests)
