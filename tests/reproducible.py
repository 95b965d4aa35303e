"""Make a source distribution the same, byte for byte, wherever and whenever it is built.

setuptools does so for wheels only: ``python -m tests.reproducible dist/*.tar.gz``, after the build.
"""

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def reproducible(member: tarfile.TarInfo, seconds: int) -> tarfile.TarInfo:
    """Return the member without what the machine and the time of the build have put into it."""
    mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member.replace(mtime=seconds, mode=mode, uid=0, gid=0, uname="", gname="", deep=False)


def rewritten(archive: bytes, seconds: int) -> bytes:
    """Return the archive with all its members as of this time, in the order of their names."""
    tar = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as source,
        tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            target.addfile(reproducible(member, seconds), source.extractfile(member))
    return gzip.compress(tar.getvalue(), mtime=seconds)


def main(names: list[str]) -> None:
    """Rewrite the archives of these names, as of ``SOURCE_DATE_EPOCH``."""
    seconds = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in map(Path, names):
        path.write_bytes(rewritten(path.read_bytes(), seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
