import datetime
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.fetching import fetch as fetching
from spectrum_trl.suite.fetching import lock
from spectrum_trl.suite.fetching.download import download, unpack
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import missing_files
from tests.messages import named, naming
from tests.processes import run_recipe, start_recipe
from tests.suite.fetching.server import serving

CONTENT = b"user,film,stars\n" + b"ann,Alien,5\n" * 100_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def source(site, *paths, **settings):
    sums = settings.pop("sums", {})
    return Source(
        name="films",
        title="Films",
        downloads=tuple(
            Download(path=f"films/{path}", url=f"{site.address}/{path}", sha256=sums.get(path))
            for path in paths
        ),
        **settings,
    )


def test_a_file_is_fetched_once_and_its_sum_is_locked(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    data = tmp_path / "data"
    assert fetch([source(site, "a.csv")], data_dir=data)[0].files == 1
    assert (data / "films/a.csv").read_bytes() == CONTENT
    known = json.loads((data / lock.NAME).read_text())["files"]["films/a.csv"]
    assert known["sha256"] == sha256(CONTENT) and known["bytes"] == len(CONTENT)
    assert fetch([source(site, "a.csv")], data_dir=data)[0].kept == 1
    assert len(site.asked) == 1
    left = {path.name for path in data.rglob("*") if path.is_file() and not path.name.endswith(".lock")}
    assert left == {"a.csv", lock.NAME}


@pytest.mark.parametrize("known", [True, False])
def test_a_broken_connection_goes_on_where_it_stopped(site, tmp_path, known):
    site.files["/a.csv"] = CONTENT
    site.breaks["/a.csv"] = [300_000, 500_000]
    sums = {"a.csv": sha256(CONTENT)} if known else {}
    fetch([source(site, "a.csv", sums=sums)], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT
    assert len(site.asked) == 3 and site.asked[0][1] is None
    resumed = [int(asked.removeprefix("bytes=").rstrip("-")) for _, asked in site.asked[1:]]
    assert 0 < resumed[0] <= 300_000 < resumed[1] <= 800_000


def give_up(site, data):
    """Fetch what breaks off more often than it is tried."""
    site.files["/a.csv"] = CONTENT
    site.breaks["/a.csv"] = [200_000] * 5
    with pytest.raises(UserError, match=naming("films", "a.csv", "again")):
        fetch([source(site, "a.csv")], data_dir=data)


def test_a_later_command_goes_on_where_an_earlier_one_gave_up(site, tmp_path):
    give_up(site, tmp_path)
    assert not (tmp_path / "films/a.csv").exists()
    before = len(site.asked)
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT
    assert site.asked[before][1] is not None


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site, tmp_path):
    give_up(site, tmp_path)
    site.files["/a.csv"] = CONTENT.replace(b"Alien", b"Heat!")
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == site.files["/a.csv"]


def test_after_a_weak_tag_a_file_is_fetched_from_its_beginning(site, tmp_path):
    site.weak = True
    give_up(site, tmp_path)
    # The same weak tag: the rest of this one does not fit what came.
    site.files["/a.csv"] = CONTENT.replace(b"Alien", b"Heat!")
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == site.files["/a.csv"]
    assert {asked for _, asked in site.asked} == {None}


def test_without_ranges_a_file_is_fetched_from_its_beginning(site, tmp_path):
    site.files["/a.csv"], site.ranges = CONTENT, False
    site.breaks["/a.csv"] = [200_000]
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT.replace(b"5", b"1", 1), b""])
def test_another_file_than_the_published_one_is_refused(site, tmp_path, sent):
    site.files["/a.csv"] = sent
    with pytest.raises(UserError, match=naming("a.csv", sha256(CONTENT), "publisher")):
        fetch([source(site, "a.csv", sums={"a.csv": sha256(CONTENT)})], data_dir=tmp_path)
    assert not (tmp_path / "films").exists() or not any((tmp_path / "films").iterdir())


def test_what_the_first_fetch_found_is_enforced_from_then_on(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    (tmp_path / "films/a.csv").unlink()
    site.files["/a.csv"] = CONTENT + b"eve,Heat,1\n"
    with pytest.raises(UserError, match=naming("a.csv", "earlier", "data fetch films --again")):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    site.files["/a.csv"] = CONTENT
    fetch([source(site, "a.csv")], data_dir=tmp_path)


def test_again_forgets_what_the_first_fetch_found(site, tmp_path):
    site.files["/a.csv"] = b"user\nlog in\n"
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    site.files["/a.csv"] = CONTENT
    assert fetch([source(site, "a.csv")], data_dir=tmp_path)[0].kept == 1
    assert fetch([source(site, "a.csv")], data_dir=tmp_path, again=True)[0].files == 1
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT
    assert lock.read_lock(tmp_path)["files"]["films/a.csv"]["sha256"] == sha256(CONTENT)
    site.status["/a.csv"] = 404
    with pytest.raises(UserError, match=naming("a.csv", 404)):
        fetch([source(site, "a.csv")], data_dir=tmp_path, again=True)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><title>Log in",
        b"\n <HTML>\n<body>sorry",
        b"<!-- x --><!DOCTYPE html><html>Log in",
        b'<?xml version="1.0"?>\n<!DOCTYPE html><html>',
        b'\xef\xbb\xbf<script>location="/login"</script>',
        b"<title>403</title>",
        "<!DOCTYPE html>".encode("utf-16"),
    ],
)
def test_a_web_page_in_place_of_a_file_is_refused(site, tmp_path, page):
    site.files["/a.csv"] = page
    with pytest.raises(UserError, match=naming("a.csv", "web page", "by hand")):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert not (tmp_path / "films/a.csv").exists()


def test_a_message_in_place_of_a_file_is_refused_and_a_table_with_tags_is_not(site, tmp_path):
    site.files |= {
        "/a.csv": b'{"error": "rate limit"}',
        "/b.json": b'{"error": 1}',
        "/c.csv": b"said\n<html>\n",
    }
    with pytest.raises(UserError, match=naming("a.csv", "rate limit")):
        fetch([source(site, "a.csv", "b.json", "c.csv")], data_dir=tmp_path)
    assert {path.name for path in (tmp_path / "films").iterdir()} == {"b.json", "c.csv"}


def test_a_rest_that_begins_elsewhere_is_not_appended(site, tmp_path):
    site.files["/a.csv"], site.shift = CONTENT, 12
    site.breaks["/a.csv"] = [200_000]
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("status,said", [(403, "access refused"), (404, "no longer there"), (500, "500")])
def test_a_refusal_is_told_with_what_to_do(site, tmp_path, status, said):
    site.status["/a.csv"] = status
    with pytest.raises(UserError, match=said):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    # What another try does not change is not tried again.
    assert len(site.asked) == (5 if status == 500 else 1)


def test_what_could_be_fetched_is_kept_when_other_files_fail(site, tmp_path):
    site.files |= {"/a.csv": CONTENT, "/c.csv": CONTENT}
    with pytest.raises(UserError, match=naming("b.csv", 404)) as error:
        fetch([source(site, "a.csv", "b.csv", "c.csv")], data_dir=tmp_path)
    assert len(error.value.problems) == 1
    assert (tmp_path / "films/a.csv").is_file() and (tmp_path / "films/c.csv").is_file()


def test_archives_are_unpacked_whole_and_locked_by_what_was_sent(site, tmp_path):
    site.files["/n.zip"] = bytes(zipped("inside/a.csv", "b.csv"))
    packed = packed_source(site)
    assert fetch([packed], data_dir=tmp_path)[0].files == 2
    assert (tmp_path / "in/inside/a.csv").read_text() == "x"
    assert fetch([packed], data_dir=tmp_path)[0].kept == 1
    assert len(site.asked) == 1
    # An unpacked file that was cut is fetched again.
    (tmp_path / "in/inside/a.csv").write_text("")
    assert fetch([packed], data_dir=tmp_path)[0].files == 2
    assert (tmp_path / "in/inside/a.csv").read_text() == "x"


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv"])
def test_an_archive_that_leaves_its_folder_is_refused(site, tmp_path, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "x")
    site.files["/n.zip"] = packed.getvalue()
    evil = Source(
        name="evil",
        title="Evil",
        downloads=(Download(path="in", url=f"{site.address}/n.zip", is_zip=True),),
    )
    with pytest.raises(UserError, match=naming("n.zip", name)):
        fetch([evil], data_dir=tmp_path)
    assert not (tmp_path / "out.csv").exists()


def zipped(*members, compression=zipfile.ZIP_STORED, content="x"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive, warnings.catch_warnings(action="ignore"):
        for name in members:
            archive.writestr(name, content)
    return bytearray(packed.getvalue())


def with_flag(content, offset, value):
    content[offset] = value
    content[content.rindex(b"PK\x01\x02") + offset + 2] = value
    return content


@pytest.mark.parametrize(
    "content,said",
    [
        (with_flag(zipped("a.csv"), 6, 1), "cannot be unpacked .*encrypted"),
        (with_flag(zipped("a.csv"), 8, 99), "cannot be unpacked .*compression"),
        (zipped(), "its archive has no files"),
        (zipped("a.csv", "a.csv"), "its archive has a.csv twice"),
        (zipped("a", "a/b"), "its archive has a twice, or as a file and a folder"),
        (zipped("."), r"its archive has a file named '\.'"),
        (zipped("a/" + "ü" * 128 + "/b"), "its archive has a name longer than 255 bytes"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_one_message(site, tmp_path, content, said):
    site.files["/n.zip"] = bytes(content)
    with pytest.raises(UserError, match=f"n.zip.*{said}") as error:
        fetch([packed_source(site)], data_dir=tmp_path)
    assert len(error.value.problems) == 1 and not (tmp_path / "in").exists()


def packed_source(site):
    downloads = (Download(path="in", url=f"{site.address}/n.zip", is_zip=True),)
    return Source(name="packed", title="Packed", downloads=downloads)


KILLED = """
import os, signal, sys
from pathlib import Path
from spectrum_trl.suite.fetching import fetch
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import missing_files
from tests.processes import run_recipe, start_recipe
from tests.suite.fetching.server import serving

url, data, when = sys.argv[1:]
replace, moved = Path.replace, []

def killing(path, target):
    if ".unpacked" in str(path):
        moved.append(path)
        if len(moved) == int(when):
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)

Path.replace = killing
download = Download(path="in", url=url, is_zip=True)
fetch.fetch([Source(name="packed", title="Packed", downloads=(download,))], data_dir=Path(data))
"""


@pytest.mark.parametrize("when", [1, 2])
def test_an_archive_whose_unpacking_was_killed_counts_as_not_there(site, tmp_path, when):
    site.files["/n.zip"] = bytes(zipped("a.csv", "b.csv", "c.csv"))
    words = (f"{site.address}/n.zip", str(tmp_path / "data"), str(when))
    (tmp_path / "killed.py").write_text(KILLED)
    done = run_recipe(tmp_path / "killed.py", *words, HF_HUB_OFFLINE="0")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert missing_files(["in/*.csv"], data_dir=tmp_path / "data")
    assert fetch([packed_source(site)], data_dir=tmp_path / "data")[0].files == 3
    assert not missing_files(["in/*.csv"], data_dir=tmp_path / "data")
    assert {path.name for path in (tmp_path / "data/in").iterdir()} == {"a.csv", "b.csv", "c.csv"}
    assert not any((tmp_path / "data/.archives").iterdir())
    assert fetch([packed_source(site)], data_dir=tmp_path / "data")[0].kept == 1


def test_a_damaged_archive_is_refused(site, tmp_path):
    site.files["/n.zip"] = b"PK\x03\x04 not an archive"
    with pytest.raises(UserError, match=naming("n.zip", "damaged")):
        fetch([packed_source(site)], data_dir=tmp_path)
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_an_archive_damaged_anywhere_is_refused_whatever_its_compression(tmp_path, compression):
    good = zipped("a.csv", compression=compression, content=",".join(map(str, range(40))))
    archive, wanted = tmp_path / "n.zip", Download(path="in", url="n.zip", is_zip=True)
    refused = 0
    for place in range(len(good)):
        # Cut short, or with one byte changed.
        for content in (good[:place], good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :]):
            archive.write_bytes(content)
            try:
                unpack(archive, wanted, data_dir=tmp_path)
            except UserError as error:
                assert "n.zip" in str(error)
                refused += 1
    assert refused > len(good)


def test_terms_are_shown_and_asked_for_once(site, tmp_path, monkeypatch):
    site.files["/a.csv"] = CONTENT
    gated = source(site, "a.csv", terms="Only for research.")
    with pytest.raises(UserError, match=naming("films", "Only for research", "--accept")):
        fetch([gated], data_dir=tmp_path)
    assert not site.asked
    fetch([gated], data_dir=tmp_path, accept=True)
    first = lock.read_lock(tmp_path)["accepted"]["films"]
    assert first == datetime.datetime.now(datetime.UTC).date().isoformat()
    (tmp_path / "films/a.csv").unlink()
    monkeypatch.setattr("spectrum_trl.suite.fetching.fetch.today", lambda: "2099-01-01")
    fetch([gated], data_dir=tmp_path)
    fetch([gated], data_dir=tmp_path, accept=True)
    assert (tmp_path / "films/a.csv").is_file()
    assert lock.read_lock(tmp_path)["accepted"] == {"films": first}


def test_what_cannot_be_fetched_says_how_to_get_it(tmp_path):
    manual = Source(name="hand", title="Hand", steps=("Open example.org", "download x.zip"))
    asked = Source(name="ask", title="Ask", ask="the authors, at example.org")
    with pytest.raises(UserError) as error:
        fetch([manual, asked], data_dir=tmp_path)
    by_hand, on_request = error.value.problems
    assert named(by_hand, "hand", *manual.steps) and named(on_request, "ask", asked.ask)


def test_offline_nothing_is_fetched(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=naming("HF_HUB_OFFLINE")):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert not site.asked


def test_an_unreachable_server_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(UserError, match=naming("http://127.0.0.1:9/a.csv", "again")):
        download("http://127.0.0.1:9/a.csv", tmp_path / "a.csv", sha256=None)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_message(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=naming(tmp_path / "file", "folder")):
        fetch([source(site, "a.csv")], data_dir=tmp_path / "file")


def test_a_damaged_lock_file_is_told_and_kept(site, tmp_path):
    (tmp_path / lock.NAME).write_text('{"files": ')
    with pytest.raises(UserError, match=naming("spectrum-data.lock.json", "damaged")):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / lock.NAME).read_text() == '{"files": '


@pytest.mark.parametrize(
    "known",
    [
        None,
        {},
        {"sha256": "0", "bytes": 1, "fetched_sha256": "0"},
        {"sha256": "0", "bytes": "1", "fetched_sha256": "0", "url": ""},
        {"sha256": "0", "bytes": 1, "fetched_sha256": "0", "url": "", "more": 1},
    ],
)
def test_a_damaged_entry_of_the_lock_file_is_told(site, tmp_path, known):
    (tmp_path / lock.NAME).write_text(json.dumps({**lock.EMPTY, "files": {"films/a.csv": known}}))
    with pytest.raises(UserError, match=naming("spectrum-data.lock.json", "damaged")):
        fetch([source(site, "a.csv")], data_dir=tmp_path)


SLOW = """
import sys
from pathlib import Path
from spectrum_trl.errors import ended_by_sigterm, user_errors
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import missing_files
from tests.processes import run_recipe, start_recipe
from tests.suite.fetching.server import serving

download = Download(path="a.csv", url=sys.argv[1])
with user_errors(), ended_by_sigterm():
    fetch([Source(name="films", title="Films", downloads=(download,))], data_dir=Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("pause", "number"), [(0.05, signal.SIGINT), (60, signal.SIGINT), (60, signal.SIGTERM)]
)
def test_a_signal_ends_a_slow_and_a_silent_download_and_what_came_is_kept(tmp_path, pause, number):
    with serving() as site:
        site.files["/a.csv"], site.pause = CONTENT, pause
        (tmp_path / "slow.py").write_text(SLOW)
        words = (tmp_path / "slow.py", f"{site.address}/a.csv", tmp_path / "data")
        process = start_recipe(*words, output=tmp_path / "said", HF_HUB_OFFLINE="0")
        part = tmp_path / "data/.a.csv.part"
        begin = time.monotonic()
        while not (part.is_file() and part.stat().st_size) and time.monotonic() < begin + 60:
            time.sleep(0.05)
        begin = time.monotonic()
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(30)
        assert process.exitcode == 128 + number and time.monotonic() < begin + 15, (
            tmp_path / "said"
        ).read_text()
    assert part.stat().st_size
    # Nothing without a name of ours, as pooch's temporary files.
    assert all(path.name.startswith(".") for path in part.parent.iterdir() if "lock" not in path.name)


def test_threads_and_processes_that_fetch_at_once_do_no_harm(site, tmp_path):
    site.files |= {f"/{n}.csv": CONTENT for n in range(6)}
    paths = [f"{n}.csv" for n in range(6)]
    code = f"""
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.source import Download, Source
from spectrum_trl.suite.task import missing_files
from tests.processes import run_recipe, start_recipe
from tests.suite.fetching.server import serving
from pathlib import Path
downloads = tuple(Download(path=f"films/{{p}}", url=f"{site.address}/{{p}}") for p in {paths!r})
fetch([Source(name="films", title="Films", downloads=downloads)], data_dir=Path({str(tmp_path)!r}))
"""
    root = Path(__file__).parents[3]
    others = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(2)]
    thread = threading.Thread(target=fetch, args=([source(site, *paths)],), kwargs={"data_dir": tmp_path})
    thread.start()
    thread.join()
    assert [other.wait(timeout=120) for other in others] == [0, 0]
    assert sorted(path for path, _ in site.asked) == [f"/{path}" for path in paths]
    assert set(lock.read_lock(tmp_path)["files"]) == {f"films/{path}" for path in paths}
    assert all((tmp_path / "films" / path).read_bytes() == CONTENT for path in paths)


def test_what_could_not_be_fetched_can_be_got_by_hand_where_steps_are_known(site, tmp_path):
    site.status["/a.csv"] = 403
    with pytest.raises(UserError, match=naming("films", "Open example.org; put it there")):
        fetch([source(site, "a.csv", steps=("Open example.org", "put it there"))], data_dir=tmp_path)


def test_threads_that_begin_at_the_same_moment_fetch_each_file_once(site, tmp_path):
    site.files |= {f"/{n}.csv": CONTENT for n in range(6)}
    paths = [f"{n}.csv" for n in range(6)]
    together, failed = threading.Barrier(3), []

    def run():
        together.wait()
        try:
            fetch([source(site, *paths)], data_dir=tmp_path)
        except UserError as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and sorted(path for path, _ in site.asked) == [f"/{path}" for path in paths]


def test_an_unpacked_file_must_have_its_published_sum(site, tmp_path, monkeypatch):
    site.files["/n.zip"] = bytes(zipped("a.csv"))
    monkeypatch.setattr(fetching, "checksums", lambda: {"in/a.csv": "0" * 64})
    with pytest.raises(UserError, match=naming("packed", "in/a.csv", "different")):
        fetch([packed_source(site)], data_dir=tmp_path)
    assert not (tmp_path / "in" / "a.csv").exists()


def test_an_archive_that_would_fill_the_disk_is_refused(site, tmp_path, monkeypatch):
    monkeypatch.setattr("spectrum_trl.suite.fetching.download.ALWAYS_BYTES", 2**20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(2**24))
    site.files["/n.zip"] = packed.getvalue()
    with pytest.raises(UserError, match=naming("n.zip", 200)):
        fetch([packed_source(site)], data_dir=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 10_000]


@pytest.mark.parametrize("place", ["../kept", "films/../../kept", "/etc/hostname"])
def test_a_lock_file_that_names_files_elsewhere_is_refused(tmp_path, place):
    entry = lock.Entry("0" * 64, 1, "0" * 64, "https://x")._asdict()
    found = {"accepted": {}, "files": {place: entry}, "revisions": {}}
    (tmp_path / lock.NAME).write_text(json.dumps(found))
    with pytest.raises(UserError, match=naming("spectrum-data.lock.json", "damaged")):
        lock.read_lock(tmp_path)


@pytest.mark.parametrize(
    "text", ['{"accepted": {}, "accepted": {}, "files": {}, "revisions": {}}', "[" * 5000]
)
def test_a_lock_file_that_somebody_edited_badly_is_refused(tmp_path, text):
    (tmp_path / lock.NAME).write_text(text)
    with pytest.raises(UserError, match=naming("spectrum-data.lock.json", "damaged")):
        lock.read_lock(tmp_path)
