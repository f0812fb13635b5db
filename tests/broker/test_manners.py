"""Who misbehaves, who asks too often, and how much is said about it."""

from augfarm.broker.manners import (
    FORGIVEN,
    LOG_BURST,
    LOG_LINE_LENGTH,
    LOG_PER_SECOND,
    LOG_QUIET_S,
    REPORT_PAUSE_S,
    Manners,
)

A, B = ("client", b"a"), ("client", b"b")


def test_faults_are_counted_for_each_connection_until_it_is_lost():
    manners = Manners()
    assert not any(manners.misbehaved(A) for _ in range(FORGIVEN - 1))
    assert not manners.misbehaved(B)
    assert manners.misbehaved(A)
    manners.forget(A)
    assert not manners.misbehaved(A)


def test_silence_ends_with_the_connection():
    manners = Manners()
    manners.silence(A)
    assert manners.is_silenced(A)
    assert not manners.is_silenced(B)
    manners.forget(A)
    assert not manners.is_silenced(A)


def test_reports_are_spaced_for_each_connection():
    manners = Manners()
    manners.asked(A)
    assert manners.reports_due(10.0) == [A]
    manners.asked(A)
    manners.asked(A)
    manners.asked(B)
    assert manners.reports_due(10.01) == [B]
    assert manners.deadline() == 10.0 + REPORT_PAUSE_S
    assert manners.reports_due(manners.deadline()) == [A]
    assert manners.deadline() is None


def test_who_is_lost_or_silenced_gets_no_report():
    manners = Manners()
    for end in (manners.forget, manners.silence):
        manners.asked(A)
        end(A)
        assert manners.reports_due(1.0) == []


def test_lines_are_bounded_in_any_window_of_time_and_the_rest_is_counted():
    manners = Manners()
    said = [manners.line("INFO", "no", 5.0) for _ in range(LOG_BURST + 7)]
    assert said == ["no"] * LOG_BURST + [""] * 7
    one_more = 5.0 + 1.5 / LOG_PER_SECOND
    assert manners.line("INFO", "no", one_more) == "no (and 7 lines were not logged)"
    assert manners.line("INFO", "no", one_more) == ""
    assert manners.line("INFO", "no", 1e6) == "no (and 1 lines were not logged)"
    assert [manners.line("INFO", "no", 1e6) for _ in range(LOG_BURST)].count("no") == LOG_BURST - 1


def test_levels_do_not_hide_each_other():
    manners = Manners()
    for _ in range(LOG_BURST + 1):
        manners.line("INFO", "here", 5.0)
    assert manners.line("WARNING", "given up", 5.0) == "given up"


def test_what_was_left_out_is_told_although_nothing_follows():
    manners = Manners()
    for _ in range(LOG_BURST + 7):
        manners.line("WARNING", "no", 5.0)
    assert manners.left_out(5.0) == []
    assert manners.deadline() == 5.0 + LOG_QUIET_S
    assert manners.left_out(manners.deadline()) == [("WARNING", "7 lines were not logged")]
    assert manners.left_out(100.0) == []
    assert manners.deadline() is None


def test_a_line_is_one_line_of_bounded_length():
    manners = Manners()
    assert manners.line("INFO", "Zoë (D:\\x)", 1.0) == "Zoë (D:\\x)"
    assert manners.line("INFO", "a\nb\r\x1b[2J\x85\u2028\u202e\ud800", 1.0) == (
        r"a\nb\r\x1b[2J\x85\u2028\u202e\ud800"
    )
    for text in ("A" * 10_000, "\x1b" * 10_000, "\x1b" * LOG_LINE_LENGTH):
        line = manners.line("INFO", text, 1.0)
        assert len(line) == LOG_LINE_LENGTH
        assert line.endswith("...")
    assert manners.line("INFO", "A" * LOG_LINE_LENGTH, 1.0) == "A" * LOG_LINE_LENGTH
