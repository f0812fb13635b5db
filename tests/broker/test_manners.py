"""Who misbehaves, who asks too often, and how much is said about it."""

from augfarm.broker.manners import COMPLAINTS_PER_SECOND, FORGIVEN, REPORT_PAUSE_S, Manners

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


def test_complaints_are_bounded_and_the_rest_is_counted():
    manners = Manners()
    said = [manners.complaint("no", 5.0) for _ in range(COMPLAINTS_PER_SECOND + 7)]
    assert said.count("no") == COMPLAINTS_PER_SECOND
    assert manners.complaint("no", 6.0) == "no (and 7 complaints were not logged)"
    assert manners.complaint("no", 6.0) == "no"
