"""What the user hears while nothing comes."""

from augfarm.client.events import GiveUp, Notice
from augfarm.client.patience import FIRST_NOTICE_S, NEXT_NOTICE_S, Patience


def test_who_waits_for_nothing_hears_nothing():
    patience = Patience("b", 5.0)
    patience.look("broker", "", calls=0, requests=0, now=0.0)
    assert patience.deadline() is None
    patience.look("", "", calls=1, requests=0, now=0.0)
    assert patience.deadline() is None


def test_notices_name_what_is_missing_and_why():
    patience = Patience("tcp://b:1", None)
    patience.look("broker", "refused", calls=1, requests=1, now=10.0)
    assert patience.deadline() == 10.0 + FIRST_NOTICE_S
    (notice,) = patience.expire(13.0)
    assert notice == Notice("no broker at tcp://b:1 yet (refused); still trying")
    assert patience.deadline() == 13.0 + NEXT_NOTICE_S
    patience.look("workers", "", calls=1, requests=1, now=14.0)
    (notice,) = patience.expire(23.0)
    assert "no workers" in notice.text


def test_a_give_up_comes_so_long_after_the_last_progress_and_again():
    patience = Patience("b", 5.0)
    patience.progressed(1.0)
    patience.look("", "", calls=1, requests=2, now=1.0)
    assert patience.deadline() == 6.0
    assert patience.expire(5.9) == []
    assert patience.expire(6.0) == [
        GiveUp("results", "no progress for 5 s: 2 batches wait for results from b")
    ]
    assert patience.deadline() == 11.0
    patience.found("broker", 8.0)
    assert patience.deadline() == 13.0


def test_a_broker_that_is_found_and_lost_again_and_again_is_no_progress():
    patience = Patience("b", 5.0)
    patience.progressed(0.0)
    said = []
    for tenth in range(101):
        now = tenth / 10
        if tenth % 5 == 0:
            patience.look("broker", "cut off", calls=1, requests=2, now=now)
        elif tenth % 5 == 3:
            patience.found("broker", now)
            patience.found("workers", now)
            patience.look("", "cut off", calls=1, requests=2, now=now)
        said += patience.expire(now)
    assert [type(each) for each in said] == [Notice, GiveUp]
    assert "again and again (cut off)" in said[1].text or "no broker" in said[1].text
    patience.progressed(11.0)
    patience.look("", "cut off", calls=1, requests=1, now=11.0)
    assert patience.expire(15.9) == []
    assert patience.expire(16.0) == [
        GiveUp("results", "no progress for 5 s: 1 batches wait for results from b")
    ]


def test_a_connection_that_ended_twice_is_no_news_to_who_waits_for_nothing():
    patience = Patience("b", 5.0)
    for now in (0.0, 1.0):
        patience.look("broker", "cut off", calls=1, requests=0, now=now)
        patience.found("broker", now + 0.5)
        patience.look("", "cut off", calls=1, requests=0, now=now + 0.5)
    assert patience.deadline() is None


def test_workers_that_come_later_than_the_broker_are_news():
    patience = Patience("b", 5.0)
    patience.progressed(0.0)
    patience.look("broker", "", calls=1, requests=1, now=0.0)
    patience.found("broker", 4.0)
    patience.look("workers", "", calls=1, requests=1, now=4.0)
    patience.found("workers", 8.0)
    patience.look("", "", calls=1, requests=1, now=8.0)
    assert patience.deadline() == 13.0
