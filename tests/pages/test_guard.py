"""Nothing gets past the gate but our own pages in a browser that was let in: checked on the wire."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from served_pages import serving, unpack
from tame.pages.guard import MOST_BODY, POLICY


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    unpack("table", folder)
    with serving(folder) as own:
        yield own


@pytest.fixture(scope="module")
def study(served):
    _, _, body = served.request("/api/studies")
    return json.loads(body)["studies"][0]["id"]


def test_our_own_browser_is_served(served, study):
    for path in ("/", f"/s/{study}", f"/s/{study}/trials", f"/api/s/{study}/state", "/file/ui.js", "/file/tokens.css"):
        status, headers, body = served.request(path, Sec_Fetch_Site="same-origin")
        assert status == 200, path
        assert body
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_the_policy_has_no_holes():
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in POLICY


HOSTS = (
    "evil.example", "evil.example:{port}", "localhost", "127.0.0.1", "127.0.0.1:1", "localhost:{port}@evil.example",
    "127.0.0.1:{port}.evil.example", "LOCALHOST.:{port}", "0.0.0.0:{port}", "[::1]:{port}", "", "127.1:{port}",
    "2130706433:{port}", "127.0.0.1:{port}, evil.example",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_another_name_for_this_machine_is_refused(served, host):
    """A rebound name resolves to this machine, but the browser still says the name."""
    status, _, body = served.request("/", host=host.format(port=served.port))
    assert status in (400, 421)
    assert b"Studies" not in body


def test_a_doubled_host_is_refused(served):
    for other in ("evil.example", served.host):
        head = f"GET / HTTP/1.1\r\nHost: {served.host}\r\nHost: {other}\r\nCookie: {served.cookie}\r\n\r\n"
        answer = served.raw(head.encode())
        assert answer.split()[1] in (b"400", b"421")
        assert b"<main" not in answer


def test_no_host_and_an_absolute_address_are_refused(served):
    for head in ("GET / HTTP/1.0\r\n", f"GET http://evil.example/ HTTP/1.1\r\nHost: {served.host}\r\n"):
        answer = served.raw(f"{head}Cookie: {served.cookie}\r\nConnection: close\r\n\r\n".encode())
        assert answer.split()[1] in (b"400", b"421")


DECIDE = ("Cookie", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "X-Tame", "Content-Type")


@pytest.mark.parametrize("name", DECIDE)
def test_a_doubled_header_that_decides_is_refused(served, name):
    value = served.cookie if name == "Cookie" else f"http://{served.host}" if name == "Origin" else "same-origin"
    head = f"GET / HTTP/1.1\r\nHost: {served.host}\r\n{name}: {value}\r\n{name}: {value}\r\nConnection: close\r\n\r\n"
    assert served.raw(head.encode()).split()[1] == b"400"


ORIGINS = (
    "http://evil.example",
    "http://127.0.0.1:1",
    "https://127.0.0.1:{port}",
    "null",
    "http://localhost:{port}",
    "",
)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused(served, study, origin, method):
    own = {"Origin": origin.format(port=served.port), "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
    path = f"/api/s/{study}/ask" if method == "POST" else f"/api/s/{study}/state"
    status, _, body = served.request(path, method=method, **own)
    assert status == 403
    assert b"view" not in body


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none ", "Same-Origin", ""])
def test_a_browser_that_says_that_another_page_asks_is_refused(served, site):
    if site.strip() == "none":
        pytest.skip("is what an address typed by hand says")
    assert served.request("/", Sec_Fetch_Site=site)[0] == 403


@pytest.mark.parametrize("left_out", ["Origin", "X_Tame", "Sec_Fetch_Site:cross-site", "Sec_Fetch_Site:none"])
def test_a_change_that_our_scripts_did_not_send_is_refused(served, study, left_out):
    own = {"Origin": f"http://{served.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin"}
    name, _, value = left_out.partition(":")
    own = {**own, name: value} if value else {key: each for key, each in own.items() if key != name}
    assert served.request(f"/api/s/{study}/ask", method="POST", body=b"{}", **own)[0] == 403


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "PATCH", "PROPFIND", "get", "X"])
def test_an_unknown_method_is_refused(served, method):
    status, headers, _ = served.request("/", method=method)
    assert status in (400, 405)
    assert not any(name.startswith("access-control") for name in headers)


def test_a_browser_that_was_not_let_in_sees_nothing(served, study):
    own = served.cookie
    cookies = (f"tame_{served.port}=wrong", f"{own}x", f"other_{own}", f"{own}; {own}")
    for path in ("/", f"/s/{study}", f"/api/s/{study}/events", f"/s/{study}/report.html", "/file/ui.js"):
        for given in ({}, *({"Cookie": cookie} for cookie in cookies)):
            status, _, body = served.request(path, cookie=False, **given)
            assert status == 401
            assert b"table" not in body


def test_the_token_lets_one_browser_in_once(tmp_path):
    with serving(tmp_path) as own:
        token = own.access.address.split("=")[1]
        status, headers, _ = own.request("/enter?token=wrong", cookie=False)
        assert status == 403
        assert "set-cookie" not in headers
        status, headers, _ = own.request(f"/enter?token={token}", cookie=False, Sec_Fetch_Site="none")
        assert status == 200
        assert "HttpOnly" in headers["set-cookie"]
        assert "SameSite=Strict" in headers["set-cookie"]
        assert f"tame_{own.port}=" in headers["set-cookie"]
        assert token not in headers["set-cookie"]
        assert own.request(f"/enter?token={token}", cookie=False)[0] == 403
        assert token not in own.access.address


GOES = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}  # a tab as a whole


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_tab_may_come_from_anywhere_to_the_address_that_lets_in_and_goes_on_by_itself(tmp_path, site):
    """From a file or a link in a terminal; the cookie is not sent along a redirect that began there."""
    with serving(tmp_path) as own:
        path = own.access.address.removeprefix(f"http://{own.host}")
        others = ({"Sec_Fetch_Dest": "iframe"}, {"Sec_Fetch_Dest": "empty"}, {"Sec_Fetch_Mode": "no-cors"},
                  {"Sec_Fetch_Mode": "cors"}, {"Origin": "null"}, {"Origin": "http://evil.test"})  # fmt: skip
        for other in others:
            assert own.request(path, cookie=False, Sec_Fetch_Site=site, **{**GOES, **other})[0] == 403
        for method in ("HEAD", "POST"):
            assert own.request(path, method=method, cookie=False, Sec_Fetch_Site=site, **GOES)[0] == 403
        assert own.request("/", Sec_Fetch_Site=site, **GOES)[0] == 403, "no other address"
        assert own.request("/enter?token=guess", cookie=False, Sec_Fetch_Site=site, **GOES)[0] == 403
        status, headers, body = own.request(path, cookie=False, Sec_Fetch_Site=site, **GOES)
        assert status == 200
        assert headers["set-cookie"].startswith(own.cookie)
        assert headers["content-security-policy"] == POLICY
        assert b'<meta http-equiv="refresh" content="0; url=/">' in body
        assert b"<script" not in body


def test_an_address_that_was_used_says_what_to_do_and_puts_nobody_out(tmp_path):
    """Who comes with it again may be honest, as by a second press of the link: their other tabs go on."""
    with serving(tmp_path) as own:
        path = own.access.address.removeprefix(f"http://{own.host}")
        assert own.request(path, cookie=False)[0] == 200
        status, headers, body = own.request(path, cookie=False)
        assert (status, "set-cookie" in headers) == (403, False)
        assert b"If it was not you who used it, end TAME" in body
        assert own.request("/")[0] == 200


PATHS = (
    "/../etc/passwd", "/file/../guard.py", "/file/%2e%2e/guard.py", "/file/..%2fguard.py", "/file/..\\guard.py",
    "/file//etc/passwd", "//evil.example/", "/s/%2e%2e/report.html", "/s/../../x/report.html", "/s/a%00b/report.html",
    "/file/ui.js%00.css", "/s/;/report.html", "/file/ui.js/", "/s/./x", "/%2F%2Fevil", "/s/" + "a" * 300,
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_forms_of_a_path_lead_nowhere(served, path):
    status, _, body = served.request(path)
    assert status in (400, 404)
    assert b"root:" not in body
    assert b"class Guard" not in body


@pytest.mark.parametrize("name", ["server.py", "watch.html", "VENDOR.json", "LICENSES.txt", "guard.py"])
def test_only_files_for_pages_are_given(served, name):
    assert served.request(f"/file/{name}")[0] == 404


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "Multipart/Mixed"]
)
def test_forms_are_not_read(served, study, kind):
    assert served.change(f"/api/s/{study}/ask", b"a=b", Content_Type=kind)[0] == 415


@pytest.mark.slow
def test_a_body_that_is_too_long_is_not_read(served, study):
    head = (
        f"POST /api/s/{study}/ask HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\nX-Tame: 1\r\n"
        f"Origin: http://{served.host}\r\nSec-Fetch-Site: same-origin\r\n"
    )
    answer = served.raw(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    assert answer.split()[1] == b"413"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = served.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + 3 * chunk)
    assert answer.split()[1] == b"413"
    assert served.change(f"/api/s/{study}/ask", b"x" * (MOST_BODY + 1))[0] == 413
    assert served.request("/")[0] == 200, "it still serves"


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 40])
def test_a_length_that_is_no_number_is_refused(served, length):
    head = f"GET / HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\nContent-Length: {length}\r\n\r\n"
    assert served.raw(head.encode()).split()[1] in (b"400", b"413")


def test_a_websocket_is_closed(served):
    head = (
        f"GET / HTTP/1.1\r\nHost: {served.host}\r\nCookie: {served.cookie}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b" 101 " not in served.raw(head.encode(), timeout=2.0).split(b"\r\n")[0]


def test_a_head_without_end_is_cut(served):
    lines = f"GET / HTTP/1.1\r\nHost: {served.host}\r\n" + "X-Long: " + "a" * 200_000
    assert served.raw(lines.encode()).split()[1] in (b"400", b"431")


def test_what_a_study_is_called_cannot_be_markup(tmp_path):
    unpack("table", tmp_path / "x")
    source = next(tmp_path.rglob("study.db")).parent
    source.rename(tmp_path / "<script>alert(1)<img src=x onerror=alert(1)>")
    with serving(tmp_path) as own:
        for path in ("/", f"/s/{json.loads(own.request('/api/studies')[2])['studies'][0]['id']}"):
            body = own.request(path)[2]
            assert b"<script>alert" not in body
            assert b"<img" not in body
            assert b"&lt;script&gt;alert" in body


def test_the_report_can_neither_run_nor_fetch(tmp_path):
    folder = unpack("table", tmp_path)
    (folder / "report.html").write_text("<script>parent.location='http://evil.example'</script>")
    with serving(tmp_path) as own:
        study = json.loads(own.request("/api/studies")[2])["studies"][0]["id"]
        status, headers, _ = own.request(f"/s/{study}/report.html")
        assert status == 200
        policy = headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'")
        assert "script" not in policy
        (folder / "report.html").unlink()
        (tmp_path / "secret").write_text("secret")
        (folder / "report.html").symlink_to(tmp_path / "secret")
        status, _, body = own.request(f"/s/{study}/report.html")
        assert status == 409
        assert body.count(b"secret") == 0
