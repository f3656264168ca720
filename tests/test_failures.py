"""What went wrong, from the logs of a run."""

import os

from fxcore.failures import failures


def test_what_went_wrong_is_said_once_more_and_old_failures_are_not(tmp_path):
    (tmp_path / "normalize").mkdir()
    old, new, fine = (tmp_path / "normalize" / name for name in ("old.log", "new.log", "fine.log"))
    old.write_text("fxcore normalize: an old mistake\n")
    os.utime(old, (100, 100))
    new.write_text("12:00:00 reading\nfxcore normalize: index.csv, row 4: wrong\n")
    fine.write_text("12:00:00 done\n")
    assert failures(tmp_path, since=200) == "\nWhat went wrong:\n  fxcore normalize: index.csv, row 4: wrong\n"
    assert failures(tmp_path, since=new.stat().st_mtime + 10) == ""
