"""Fetch sources from their public homes: `python -m corpus fetch --data DIR`.

First it says what would come from where, how large it is and with which checksum; nothing is
fetched before that is confirmed. What breaks off goes on with the same command. A source becomes
`DIR/open/NAME.jsonl.gz`, and beside it stands `NAME.jsonl.gz.json`: what it was made from.
"""

import fnmatch
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from corpus.catalog import Home, Source
from corpus.convert import convert
from corpus.download import Remote, ask, check_room, download
from corpus.files import sha256_of, write_json
from mlx_toy.errors import UserError
from mlx_toy.output import note
from mlx_toy.progress import Progress


@dataclass(frozen=True)
class Plan:
    """What fetching a source takes."""

    source: Source
    home: Home
    files: list[Remote]

    def __str__(self) -> str:
        head = f"{self.source.name} ({self.source.licence})"
        return "\n".join(
            [head]
            + [
                f"  {file.bytes / 1e6:10,.1f} MB  {file.name} from {file.address}\n"
                f"                 SHA-256 {file.sha256 or 'not known beforehand'}"
                for file in self.files
            ]
        )


def plan(
    sources: Sequence[Source], names: Sequence[str], data: Path, endpoint: str | None = None
) -> list[Plan]:
    """Find out what has to be fetched; asks the servers for sizes only.

    Args:
        sources: the catalogue.
        names: of the sources; none means all that have a home.
        data: directory with the sources; what is there already is left out.
        endpoint: another Hugging Face hub.

    Raises:
        UserError: a name has no home, or a server cannot be reached, or there is too little room.
    """
    homes = {source.name: source for source in sources if source.home}
    if unknown := [name for name in names if name not in homes]:
        raise UserError(f"{unknown[0]} cannot be fetched: use one of {', '.join(homes)}")
    plans = []
    for name in names or homes:
        source = homes[name]
        if source.home and not source.path(data).exists():
            plans.append(Plan(source, source.home, _remote_files(source, source.home, endpoint)))
    check_room(data, 2 * sum(file.bytes for plan in plans for file in plan.files))
    return plans


def fetch(plan: Plan, data: Path, endpoint: str | None = None) -> int:
    """Fetch a source and write its records; returns how many.

    Args:
        plan: what to fetch.
        data: directory with the sources.
        endpoint: another Hugging Face hub.

    Raises:
        UserError: as `corpus.download.download`.
    """
    source, target = plan.source, plan.source.path(data)
    raw = data / ".fetch" / source.shard_name
    raw.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    files = []
    for number, remote in enumerate(plan.files):
        file = raw / f"{number}-{Path(remote.name).name}"
        if not file.exists():
            if plan.home.kind == "huggingface":
                _from_hub(plan.home, remote, file, endpoint)
            else:
                progress = Progress(f"fetch {remote.name}, bytes", remote.bytes or None)
                download(remote, file, progress.add)
        files.append(file)
    note(f"{source.name}: fetched, writing its records to {target}")
    checksums = [
        asdict(r) | {"sha256": sha256_of(f)} for r, f in zip(plan.files, files, strict=True)
    ]
    count = convert(source, files, target)
    origin = {"source": source.name, "licence": source.licence, "records": count}
    write_json(origin | {"files": checksums}, target.with_name(target.name + ".json"))
    shutil.rmtree(raw)
    return count


def _remote_files(source: Source, home: Home, endpoint: str | None) -> list[Remote]:
    if home.kind == "huggingface":
        return _hub_files(home, endpoint)
    if home.kind in ("url", "archive"):
        size = home.bytes or ask(home.address, source.name)
        return [Remote(home.address.rpartition("/")[2], home.address, size, home.sha256)]
    raise UserError(f"{source.name} has an unknown home {home.kind!r}: correct the catalogue")


def _hub_files(home: Home, endpoint: str | None) -> list[Remote]:
    """The files of a dataset at its revision, with sizes and checksums as the hub states them."""
    from huggingface_hub import HfApi

    try:
        info = HfApi(endpoint=endpoint).dataset_info(
            home.address, revision=home.revision, files_metadata=True
        )
    except Exception as error:  # the hub's own errors, the network's
        raise UserError(f"cannot reach the dataset {home.address} ({error}): try later") from error
    found = [
        Remote(
            file.rfilename,
            f"{home.address}@{info.sha}",
            file.size or 0,
            file.lfs.sha256 if file.lfs else "",
        )
        for file in info.siblings or []
        if any(fnmatch.fnmatch(file.rfilename, pattern) for pattern in home.files)
    ]
    if not found:
        raise UserError(
            f"{home.address} has no files {', '.join(home.files)}: correct the catalogue"
        )
    return found


def _from_hub(home: Home, remote: Remote, target: Path, endpoint: str | None) -> None:
    """Fetch through the hub's client, which resumes, and check what came."""
    from huggingface_hub import hf_hub_download

    note(f"fetch {remote.name} from {remote.address}")
    try:
        file = Path(
            hf_hub_download(
                home.address,
                remote.name,
                repo_type="dataset",
                revision=remote.address.rpartition("@")[2],
                local_dir=target.parent,
                endpoint=endpoint,
            )
        )
    except Exception as error:  # the hub's own errors, the network's, the disk's
        raise UserError(
            f"{remote.name} from {remote.address} broke off ({error}): "
            "run the same command again, it goes on"
        ) from error
    if remote.sha256 not in ("", found := sha256_of(file)):
        file.unlink()
        raise UserError(
            f"{remote.name} is not what {remote.address} promised (its SHA-256 is {found}): "
            "it was removed; run the same command again"
        )
    file.replace(target)
