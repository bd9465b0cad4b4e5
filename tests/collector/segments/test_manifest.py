import json

import pytest

from fluxforge_collector.errors import ManifestError, StorageError
from fluxforge_collector.segments.manifest import Manifest, read_manifest, verify, write_manifest


@pytest.fixture
def sealed(lake):
    """A lake with one committed segment of two channels."""
    writer = lake.writer()
    writer.append([lake.book(), lake.trade(), lake.book("ETH/USDT")])
    writer.close()
    return lake


def test_it_says_what_is_in_the_segment(sealed):
    (manifest,) = sealed.manifests()
    assert manifest.channels["orderbook"].rows == 2
    assert {k: i.rows for k, i in manifest.channels["orderbook"].instruments.items()} == {
        "binanceus:BTC-USDT": 1,
        "binanceus:ETH-USDT": 1,
    }
    assert manifest.channels["ticker"].file is None, "a channel without rows is covered, without a file"


def test_it_survives_the_file(sealed, tmp_path):
    (manifest,) = sealed.manifests()
    write_manifest(tmp_path / "deep" / "m.json", manifest)
    assert read_manifest(tmp_path / "deep" / "m.json") == manifest
    written = json.loads((tmp_path / "deep" / "m.json").read_text())
    assert written["from"] == manifest.from_us
    assert written["to"] == manifest.to_us


@pytest.mark.parametrize("damage", ["size", "byte", "missing", "foreign"])
def test_a_file_that_differs_is_found(sealed, damage):
    (manifest,) = sealed.manifests()
    file = sealed.paths.ready_file("orderbook", manifest.id)
    data = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "size":
        file.write_bytes(data + b"x")
    elif damage == "foreign":
        file.write_bytes(sealed.paths.ready_file("trades", manifest.id).read_bytes())
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with pytest.raises(ManifestError):
        verify(manifest, sealed.paths.ready_dir)


def _edit(change):
    def apply(document):
        change(document)
        return json.dumps(document)

    return apply


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda d: json.dumps(d)[:-20], id="torn"),
        pytest.param(lambda _: "[]", id="no object"),
        pytest.param(_edit(lambda d: d.pop("channels")), id="no channels"),
        pytest.param(_edit(lambda d: d.update(id="../../etc/x")), id="hostile id"),
        pytest.param(_edit(lambda d: d.update(to=d["from"])), id="no range"),
        pytest.param(_edit(lambda d: d.update(to=d["from"] + 86_400_000_000)), id="two dates"),
        pytest.param(_edit(lambda d: d.update(collector="c2")), id="another collector"),
        pytest.param(_edit(lambda d: d["channels"]["trades"].update(file="../x.parquet")), id="hostile file"),
        pytest.param(_edit(lambda d: d["channels"]["trades"].update(rows=9)), id="rows do not add up"),
        pytest.param(_edit(lambda d: d["channels"]["trades"].update(sha256=None)), id="no checksum"),
    ],
)
def test_a_broken_manifest_is_one_clear_error(sealed, tmp_path, broken):
    (manifest,) = sealed.manifests()
    path = tmp_path / "m.json"
    path.write_text(broken(json.loads(manifest.model_dump_json(by_alias=True))))
    with pytest.raises(ManifestError, match=r"m\.json"):
        read_manifest(path)


def test_a_missing_manifest_is_one_clear_error(tmp_path):
    with pytest.raises(ManifestError, match="No such file"):
        read_manifest(tmp_path / "m.json")


def test_a_directory_that_refuses_is_a_storage_error(sealed, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write_manifest(tmp_path / "file" / "m.json", Manifest.model_validate(sealed.manifests()[0]))
