import bz2
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.fetching import lock
from spectrum_trl.suite.fetching.download import download
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.source import Download, Source

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


def test_a_later_command_goes_on_where_an_earlier_one_gave_up(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    site.breaks["/a.csv"] = [200_000] * 5
    with pytest.raises(UserError, match="goes on where it stopped"):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert not (tmp_path / "films/a.csv").exists()
    before = len(site.asked)
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT
    assert site.asked[before][1] is not None


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    site.breaks["/a.csv"] = [200_000] * 5
    with pytest.raises(UserError):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    site.files["/a.csv"] = CONTENT.replace(b"Alien", b"Heat!")
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == site.files["/a.csv"]


def test_without_ranges_a_file_is_fetched_from_its_beginning(site, tmp_path):
    site.files["/a.csv"], site.ranges = CONTENT, False
    site.breaks["/a.csv"] = [200_000]
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT.replace(b"5", b"1", 1), b""])
def test_another_file_than_the_published_one_is_refused(site, tmp_path, sent):
    site.files["/a.csv"] = sent
    with pytest.raises(UserError, match=f"expected sha256 {sha256(CONTENT)}.*publisher has changed it"):
        fetch([source(site, "a.csv", sums={"a.csv": sha256(CONTENT)})], data_dir=tmp_path)
    assert not (tmp_path / "films").exists() or not any((tmp_path / "films").iterdir())


def test_what_the_first_fetch_found_is_enforced_from_then_on(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    fetch([source(site, "a.csv")], data_dir=tmp_path)
    (tmp_path / "films/a.csv").unlink()
    site.files["/a.csv"] = CONTENT + b"eve,Heat,1\n"
    with pytest.raises(UserError, match="another file than the one published"):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    site.files["/a.csv"] = CONTENT
    fetch([source(site, "a.csv")], data_dir=tmp_path)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in", b"\n <HTML>\n<body>sorry"])
def test_a_web_page_in_place_of_a_file_is_refused(site, tmp_path, page):
    site.files["/a.csv"] = page
    with pytest.raises(UserError, match="sent a web page in place of the file.*by hand"):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert not (tmp_path / "films/a.csv").exists()


@pytest.mark.parametrize("status,said", [(403, "access refused"), (404, "not there any more"), (500, "500")])
def test_a_refusal_is_told_with_what_to_do(site, tmp_path, status, said):
    site.status["/a.csv"] = status
    with pytest.raises(UserError, match=said):
        fetch([source(site, "a.csv")], data_dir=tmp_path)


def test_what_could_be_fetched_is_kept_when_other_files_fail(site, tmp_path):
    site.files |= {"/a.csv": CONTENT, "/c.csv": CONTENT}
    with pytest.raises(UserError, match="b.csv: the file is not there any more") as error:
        fetch([source(site, "a.csv", "b.csv", "c.csv")], data_dir=tmp_path)
    assert len(error.value.problems) == 1
    assert (tmp_path / "films/a.csv").is_file() and (tmp_path / "films/c.csv").is_file()


def test_archives_are_unpacked_whole_and_locked_by_what_was_sent(site, tmp_path):
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("names/yob1880.txt", "Mary,F,7065\n")
        archive.writestr("names/readme.pdf", "x")
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        info = tarfile.TarInfo("inside/a.csv")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
    site.files |= {
        "/n.zip": zipped.getvalue(),
        "/t.tgz": tarred.getvalue(),
        "/l.gz": gzip.compress(CONTENT),
        "/l.bz2": bz2.compress(CONTENT),
    }
    url = site.address
    downloads = (
        Download(path="names", url=f"{url}/n.zip", unpack="zip", members=("yob*.txt",)),
        Download(path="tar", url=f"{url}/t.tgz", unpack="tar"),
        Download(path="gz/l.csv", url=f"{url}/l.gz", unpack="gz"),
        Download(path="bz2/l.csv", url=f"{url}/l.bz2", unpack="bz2"),
    )
    packed = Source(name="packed", title="Packed", downloads=downloads)
    assert fetch([packed], data_dir=tmp_path)[0].files == 4
    assert (tmp_path / "names/names/yob1880.txt").read_text() == "Mary,F,7065\n"
    assert not (tmp_path / "names/names/readme.pdf").exists()
    for path in ("tar/inside/a.csv", "gz/l.csv", "bz2/l.csv"):
        assert (tmp_path / path).read_bytes() == CONTENT
    assert fetch([packed], data_dir=tmp_path)[0].kept == 4
    assert len(site.asked) == 4
    # An unpacked file that was cut is fetched again, and only it.
    (tmp_path / "tar/inside/a.csv").write_text("cut")
    assert fetch([packed], data_dir=tmp_path)[0].files == 1
    assert (tmp_path / "tar/inside/a.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../out.csv", "/tmp/out.csv"])
def test_an_archive_that_leaves_its_folder_is_refused(site, tmp_path, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, "x")
    site.files["/n.zip"] = packed.getvalue()
    evil = Source(
        name="evil",
        title="Evil",
        downloads=(Download(path="in", url=f"{site.address}/n.zip", unpack="zip"),),
    )
    with pytest.raises(UserError, match="would write outside its folder"):
        fetch([evil], data_dir=tmp_path)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2"])
def test_a_damaged_archive_is_refused(site, tmp_path, kind):
    site.files["/n"] = b"PK\x03\x04 not an archive"
    packed = Source(
        name="packed",
        title="Packed",
        downloads=(Download(path="in/x", url=f"{site.address}/n", unpack=kind),),
    )
    with pytest.raises(UserError, match=f"damaged {kind} archive"):
        fetch([packed], data_dir=tmp_path)
    assert not (tmp_path / "in/x").is_file()


def test_terms_are_shown_and_asked_for_once(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    gated = source(site, "a.csv", terms="Only for research.")
    with pytest.raises(UserError, match="films: Only for research. Add --accept if you agree"):
        fetch([gated], data_dir=tmp_path)
    assert not site.asked
    fetch([gated], data_dir=tmp_path, accept=True)
    (tmp_path / "films/a.csv").unlink()
    fetch([gated], data_dir=tmp_path)
    assert (tmp_path / "films/a.csv").is_file()


def test_what_cannot_be_fetched_says_how_to_get_it(tmp_path):
    manual = Source(name="hand", title="Hand", steps=("Open example.org", "download x.zip"))
    asked = Source(name="ask", title="Ask", ask="the authors, at example.org")
    with pytest.raises(UserError) as error:
        fetch([manual, asked], data_dir=tmp_path)
    assert error.value.problems == (
        "hand has to be got by hand: Open example.org; download x.zip",
        "ask has to be asked for: the authors, at example.org",
    )


def test_offline_nothing_is_fetched(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert not site.asked


def test_an_unreachable_server_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(UserError, match="cannot be reached"):
        download("http://127.0.0.1:9/a.csv", tmp_path / "a.csv", sha256=None)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_message(site, tmp_path):
    site.files["/a.csv"] = CONTENT
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; name a folder"):
        fetch([source(site, "a.csv")], data_dir=tmp_path / "file")


def test_a_damaged_lock_file_is_told_and_kept(site, tmp_path):
    (tmp_path / lock.NAME).write_text('{"files": ')
    with pytest.raises(UserError, match="is damaged: put back a copy"):
        fetch([source(site, "a.csv")], data_dir=tmp_path)
    assert (tmp_path / lock.NAME).read_text() == '{"files": '


def test_threads_and_processes_that_fetch_at_once_do_no_harm(site, tmp_path):
    site.files |= {f"/{n}.csv": CONTENT for n in range(6)}
    paths = [f"{n}.csv" for n in range(6)]
    code = f"""
from spectrum_trl.suite.fetching.fetch import fetch
from spectrum_trl.suite.source import Download, Source
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
