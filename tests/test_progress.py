"""Progress as a terminal shows it."""

import logging

import pytest

from fxcore import progress


def test_progress_says_step_rate_and_time_left_but_not_too_often(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, logger="fxcore")
    bar = progress.Progress("normalize nih14", 100, "images")
    for _ in range(100):
        now[0] += 1
        bar.advance()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[0] == "normalize nih14: 10 of 100 images, 1/s, 1 min 30 s left"
    assert lines[-1] == "normalize nih14: 100 of 100 images, 1/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (75, "1 min 15 s"), (3600, "1 h 0 min"), (12059, "3 h 20 min")]
)
def test_durations_as_a_reader_says_them(seconds, text):
    assert progress.duration(seconds) == text
