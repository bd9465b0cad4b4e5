"""OpenStack Swift with its S3 API in one process, on loopback: `python swift_server.py DIRECTORY`.

Swift's own proxy, account, container and object servers, untouched: only the start is ours. It prints its port as soon
as it serves, and ends when its standard input does. Key `test:tester`, secret `testing`, region us-east-1.
"""

import sys
from pathlib import Path

import eventlet
from swift.common.utils import monkey_patch

monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common import constraints, storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

KINDS = ("account", "container", "object")
PIPELINE = "catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo symlink versioned_writes"
FILTERS = {
    "s3api": "location = us-east-1\ndns_compliant_bucket_names = false\n",
    "tempauth": "user_test_tester = testing .admin\nuser_test_reader = reading\n",
}


def main(directory):
    (directory / "dev" / "d1").mkdir(parents=True)
    sockets = {kind: eventlet.listen(("127.0.0.1", 0), backlog=1024) for kind in ("proxy", *KINDS)}
    ports = {kind: socket.getsockname()[1] for kind, socket in sockets.items()}
    base = (
        f"[DEFAULT]\nswift_dir = {directory}\ndevices = {directory}/dev\nmount_check = false\nlog_level = ERROR\n"
        "disable_fallocate = true\nbind_ip = 127.0.0.1\n"
    )
    files = {
        "swift": "[swift-hash]\nswift_hash_path_suffix = t\nswift_hash_path_prefix = t\n"
        "[storage-policy:0]\nname = p0\ndefault = yes\n",
        "proxy": f"{base}[pipeline:main]\npipeline = {PIPELINE} proxy-server\n[app:proxy-server]\n"
        "use = egg:swift#proxy\naccount_autocreate = true\nallow_account_management = true\n"
        + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{FILTERS.get(name, '')}" for name in PIPELINE.split()),
    }
    for kind in KINDS:
        files[kind] = f"{base}[pipeline:main]\npipeline = app\n[app:app]\nuse = egg:swift#{kind}\n"
    for name, text in files.items():
        (directory / f"{name}.conf").write_text(text)
    utils.set_swift_dir(str(directory))
    storage_policy.reload_storage_policies()
    constraints.reload_constraints()
    for kind in KINDS:
        ring = RingBuilder(2, 1, 0)
        at = {"ip": "127.0.0.1", "port": ports[kind]}
        ring.add_dev(
            {
                "region": 1,
                "zone": 1,
                "weight": 1,
                "device": "d1",
                **at,
                **{f"replication_{k}": v for k, v in at.items()},
            }
        )
        ring.rebalance()
        ring.get_ring().save(f"{directory}/{kind}.ring.gz")
    for kind, socket in sockets.items():
        app = loadapp(f"{directory}/{kind}.conf", global_conf={"log_name": kind})
        options = {"protocol": SwiftHttpProtocol, "capitalize_response_headers": False, "debug": False}
        eventlet.spawn(wsgi.server, socket, app, utils.NullLogger(), max_size=256, **options)
    eventlet.sleep(0)
    print(ports["proxy"], flush=True)
    eventlet.tpool.execute(sys.stdin.read)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
