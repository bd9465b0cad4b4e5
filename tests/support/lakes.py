"""Lakes of either kind for one suite, and what is in them for whoever compares."""

import secrets
from pathlib import Path

from fluxforge_assets.lake.paths import Lake
from fluxforge_collector.segments.names import SourcePaths
from fluxforge_collector.storage.bucket import BucketPath
from fluxforge_collector.storage.s3 import S3Store


def bucket_lake(server, tmp_path, **settings):
    """An empty lake in a bucket, with its local directory."""
    store = S3Store(server.settings(**settings), server.shared, f"lake-{secrets.token_hex(4)}")
    return Lake(BucketPath(store), tmp_path / "local")


def through(lake, proxy, server, **settings):
    """The same lake, reached through a proxy."""
    store = lake.root.store
    settings = server.settings(endpoint=proxy.endpoint, **settings)
    return Lake(BucketPath(S3Store(settings, store.bucket, store.prefix)), lake.local)


def deliver(staging, lake, manifests, source="ccxt"):
    """Hand sealed segments over as a collector does: files first, then the manifest."""
    away, here = SourcePaths(Path(staging), source), lake.segments(source)
    for manifest in manifests:
        for channel, entry in manifest.channels.items():
            if entry.file:
                _put(away.ready_file(channel, manifest.id), here.ready_file(channel, manifest.id))
        _put(away.ready_manifest(manifest.id), here.ready_manifest(manifest.id))


def _put(file, target):
    if isinstance(target, BucketPath):
        target.store.send(file, target.key)
        file.unlink()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)


def files_below(lake, folder=""):
    """The names of all objects below a folder, relative to the root."""
    root = lake.root / folder if folder else lake.root
    return sorted(str(p).removeprefix(f"{lake.root}/") for p in root.rglob("*") if p.is_file())
