"""Downloading: from a mirror on this machine, which may be dead, wrong or right."""
import builtins
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scratchnet.data import download
from scratchnet.data.download import data_folder, fetch

NAME, CONTENTS = "mnist/file.gz", b"what was published"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder, and one published file."""
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SCRATCHNET_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "SHA256", {NAME: hashlib.sha256(CONTENTS).hexdigest()})
    return tmp_path / "data"


@pytest.fixture
def mirror(tmp_path):
    """mirror(contents) → the address of a server that has them, or a 404 for None."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.server.asked += 1
            super().do_GET()

    def serve(contents):
        root = tmp_path / f"mirror{len(servers)}"
        root.mkdir()
        if contents is not None:
            (root / "file.gz").write_bytes(contents)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
        server.asked = 0
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        serve.servers = servers
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


DEAD = "http://127.0.0.1:9/"            # nobody listens there


def mirrors(monkeypatch, *urls):
    monkeypatch.setattr(download, "MIRRORS", {"mnist": urls})


def left(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


@pytest.fixture
def needs_pooch():
    pytest.importorskip("pooch")


@pytest.mark.usefixtures("needs_pooch")
def test_the_second_mirror_is_asked_when_the_first_is_dead(folder, mirror, monkeypatch):
    mirrors(monkeypatch, DEAD, mirror(CONTENTS))
    path = fetch(NAME)
    assert path == folder / NAME and path.read_bytes() == CONTENTS and left(folder) == [path]


@pytest.mark.usefixtures("needs_pooch")
@pytest.mark.parametrize("first", [None, b"something else", b""])
def test_the_second_mirror_is_asked_when_the_first_is_wrong(folder, mirror, monkeypatch, first):
    mirrors(monkeypatch, mirror(first), mirror(CONTENTS))
    assert fetch(NAME).read_bytes() == CONTENTS and left(folder) == [folder / NAME]


@pytest.mark.usefixtures("needs_pooch")
def test_what_has_another_sum_is_refused_and_not_kept(folder, mirror, monkeypatch):
    mirrors(monkeypatch, mirror(b"forged"), mirror(CONTENTS[:-1]))
    with pytest.raises(ConnectionError, match="could not be downloaded") as told:
        fetch(NAME)
    assert left(folder) == []
    assert str(told.value).count("SHA256 hash of downloaded file") == 2


@pytest.mark.usefixtures("needs_pooch")
def test_a_file_that_is_there_is_used_and_nobody_is_asked(folder, mirror, monkeypatch):
    mirrors(monkeypatch, mirror(CONTENTS))
    fetch(NAME)
    fetch(NAME)
    assert mirror.servers[0].asked == 1


@pytest.mark.usefixtures("needs_pooch")
def test_no_network_says_which_file_to_put_where(folder, monkeypatch):
    mirrors(monkeypatch, DEAD)
    with pytest.raises(ConnectionError) as told:
        fetch(NAME)
    assert f"Put it there yourself: {DEAD}file.gz as {folder / NAME}" in str(told.value)
    assert left(folder) == []


def test_offline_nobody_is_asked(folder, mirror, monkeypatch):
    mirrors(monkeypatch, mirror(CONTENTS))
    monkeypatch.setenv("SCRATCHNET_OFFLINE", "1")
    with pytest.raises(ConnectionError, match="SCRATCHNET_OFFLINE forbids") as told:
        fetch(NAME)
    assert f"file.gz as {folder / NAME}" in str(told.value) and mirror.servers[0].asked == 0
    (folder / "mnist").mkdir(parents=True)
    (folder / NAME).write_bytes(CONTENTS)
    assert fetch(NAME) == folder / NAME


def test_a_file_that_is_there_but_another_one_is_told_and_left(folder, monkeypatch):
    mirrors(monkeypatch, DEAD)
    (folder / "mnist").mkdir(parents=True)
    (folder / NAME).write_bytes(b"half of it")
    with pytest.raises(ValueError, match="is not the published file: expected SHA-256 .*Delete it"):
        fetch(NAME)
    assert (folder / NAME).read_bytes() == b"half of it"


def test_without_pooch_the_error_says_what_to_install(folder, monkeypatch):
    mirrors(monkeypatch, DEAD)
    real = builtins.__import__

    def without_pooch(name, *rest, **options):
        if name == "pooch":
            raise ImportError("no")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_pooch)
    with pytest.raises(ImportError, match=r'pip install "scratchnet\[data\]"'):
        fetch(NAME)


def test_an_unknown_file(folder):
    with pytest.raises(ValueError, match="unknown file 'mnist/../x'; there are: mnist/file.gz"):
        fetch("mnist/../x")


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.setenv("SCRATCHNET_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("SCRATCHNET_DATA")
    monkeypatch.setattr(download.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert data_folder() == tmp_path / "x" / "scratchnet"
    monkeypatch.setattr(download.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert data_folder() == tmp_path / "local" / "scratchnet"


def test_every_published_file_has_mirrors_and_a_sum():
    for name, digest in download.SHA256.items():
        assert len(bytes.fromhex(digest)) == 32 and download.MIRRORS[name.split("/")[0]]
