"""The reverse proxy as a real nginx runs it: no password, no page; and no password goes further."""

import base64
import http.server
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.deploy


@pytest.fixture
def upstream():
    """Stands for Dagster's page; keeps the headers it was sent."""
    seen = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(dict(self.headers))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the page")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, seen
    server.shutdown()
    server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def proxy(deploy, tool, tmp_path, upstream):
    """nginx with our site, its certificate and password made here; gives its address."""
    port, plain = free_port(), free_port()
    tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=fluxforge.example",
         "-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem")  # fmt: skip
    hashed = tool("openssl", "passwd", "-apr1", "right").strip()
    (tmp_path / "fluxforge.htpasswd").write_text(f"you:{hashed}\n")
    site = (deploy / "proxy" / "fluxforge.nginx.conf").read_text()
    for before, after in (
        ("/etc/letsencrypt/live/fluxforge.example", str(tmp_path)),
        ("/etc/nginx", str(tmp_path)),
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("http://127.0.0.1:3000", f"http://127.0.0.1:{upstream[0]}"),
    ):
        assert before in site
        site = site.replace(before, after)
    (tmp_path / "site.conf").write_text(site)
    kinds = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = tmp_path / "nginx.conf"
    user = "user root;" if tmp_path.owner() == "root" else ""
    main.write_text(
        f"{user} daemon off; pid {tmp_path}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; {kinds} include {tmp_path}/site.conf; }}\n"
    )
    tool("nginx", "-t", "-q", "-p", tmp_path, "-c", main)
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", tmp_path, "-c", main], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"https://127.0.0.1:{port}", f"http://127.0.0.1:{plain}"
    finally:
        process.terminate()
        process.wait(30)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def get(address, password=None):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": "Basic " + base64.b64encode(f"you:{password}".encode()).decode()} if password else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), context=context) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", dict(error.headers)


def test_only_the_right_password_opens_the_page_and_it_goes_no_further(proxy, upstream):
    secure, _ = proxy
    assert get(secure)[0] == 401
    assert get(secure, "wrong")[0] == 401
    assert upstream[1] == []
    status, text, headers = get(f"{secure}/runs", "right")
    assert (status, text) == (200, "the page")
    assert headers["X-Frame-Options"] == "DENY"
    (seen,) = upstream[1]
    assert "Authorization" not in seen
    assert seen["X-Forwarded-Proto"] == "https"


def test_plain_http_only_says_where_to_go(proxy, upstream):
    _, plain = proxy

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(Stay).open(f"{plain}/x")
    with refused.value as error:
        assert error.code == 301
        assert error.headers["Location"].startswith("https://")
    assert upstream[1] == []
