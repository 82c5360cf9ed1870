"""Download — fetch a published data set once, and know that it is the published one.

A file is used if its SHA-256 is the one below, whoever sent it and whenever: nobody can
make another file with the same one, so it does not matter which mirror answers, and the way
there need not be trusted. What does not match is never kept. What lies in the folder already is
checked in the same way, and used without a network.

    SCRATCHNET_DATA=/data/sets      the folder; otherwise the system's place for caches
    SCRATCHNET_OFFLINE=1            never ask the network

Downloading needs the pooch package: pip install "scratchnet[data]". Files that are there do not.

The sums are those published by TensorFlow Datasets (tensorflow_datasets/url_checksums).
"""
import hashlib
import os
import sys
from pathlib import Path

MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/",
         "https://storage.googleapis.com/cvdf-datasets/mnist/")
FASHION = ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
           "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")
CIFAR = ("https://www.cs.toronto.edu/~kriz/",)

MIRRORS = {"mnist": MNIST, "fashion-mnist": FASHION, "cifar10": CIFAR, "cifar100": CIFAR}
SHA256 = {
    "mnist/train-images-idx3-ubyte.gz":
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "mnist/train-labels-idx1-ubyte.gz":
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "mnist/t10k-images-idx3-ubyte.gz":
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "mnist/t10k-labels-idx1-ubyte.gz":
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "fashion-mnist/train-images-idx3-ubyte.gz":
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "fashion-mnist/train-labels-idx1-ubyte.gz":
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "fashion-mnist/t10k-images-idx3-ubyte.gz":
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz":
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    "cifar10/cifar-10-binary.tar.gz":
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    "cifar100/cifar-100-binary.tar.gz":
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
}


def data_folder() -> Path:
    """The folder of downloaded data sets: SCRATCHNET_DATA, or the system's place for caches."""
    if chosen := os.environ.get("SCRATCHNET_DATA"):
        return Path(chosen)
    home = Path.home()
    caches = {"darwin": home / "Library" / "Caches",
              "win32": Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")}.get(
        sys.platform, Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache"))
    return caches / "scratchnet"


def fetch(name: str) -> Path:
    """Return the path of a published file ("mnist/train-images-idx3-ubyte.gz"), downloading it
    from the first mirror that has it unless it is in `data_folder()` already.

    Raises ValueError for an unknown name, and for a file in the folder that is not the published
    one; ImportError if pooch is needed and missing; ConnectionError if no mirror sends the
    file, or offline: it says which file to put where.
    """
    if name not in SHA256:
        raise ValueError(f"fetch: unknown file {name!r}; there are: {', '.join(SHA256)}")
    path, expected = data_folder() / name, SHA256[name]
    if path.is_file():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise ValueError(f"{path} is not the published file: expected SHA-256 {expected}, got "
                             f"{found}. Delete it, and it is downloaded again")
        return path
    urls = [mirror + path.name for mirror in MIRRORS[name.split("/")[0]]]
    by_hand = f"Put it there yourself: {urls[0]} as {path}"
    if os.environ.get("SCRATCHNET_OFFLINE", "0") not in ("", "0"):
        raise ConnectionError(f"{path} is not there, and SCRATCHNET_OFFLINE forbids to download "
                              f"it. {by_hand}")
    try:
        import pooch
    except ImportError as error:
        raise ImportError(f'{path} is not there, and downloading needs the pooch package: pip '
                          f'install "scratchnet[data]". Or: {by_hand}') from error
    failed = []
    for url in urls:
        try:                        # into a temporary file; renamed once the sum is right
            pooch.retrieve(url, known_hash=f"sha256:{expected}", fname=path.name,
                           path=path.parent, downloader=pooch.HTTPDownloader(timeout=30))
            return path
        except PermissionError:                     # the folder's fault, no mirror's
            raise
        except (OSError, ValueError) as error:      # no answer, 404; another SHA-256
            failed.append(f"{url}: {type(error).__name__}: {error}")
    raise ConnectionError(f"{path} could not be downloaded:\n  " + "\n  ".join(failed)
                          + f"\n{by_hand}")
