"""Files of users over the wire: nginx sends them, and only when the application says so."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2000
BOUNDARY = "7MA4YWxkTrZu0gW"


def form(fields, name, content):
    """A body with fields and a file, and its headers."""
    part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{part}"{field}"\r\n\r\n{value}' for field, value in fields.items()]
    parts.append(f'{part}"file"; filename="{name}"\r\n\r\n')
    body = "\r\n".join(parts).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def upload(site, name, content):
    body, headers = form({"name": "With a file"}, name, content)
    return site.request("POST", "/api/items", body=body, headers=headers)


def test_a_file_comes_back_byte_by_byte_from_nginx(stack):
    path = f"/items/{upload(stack.site, 'a.png', PNG).json['id']}/file"
    sent = stack.site.get(path)
    assert (sent.status, sent.body == PNG) == (200, True)
    assert sent.headers.get_content_type() == "image/png"
    assert sent.headers["Content-Disposition"] == "attachment; filename=a.png"
    assert sent.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert len(sent.headers.get_all("Content-Security-Policy")) == 1
    assert "X-User" not in sent.headers
    assert "X-Accel-Redirect" not in sent.headers
    part = stack.site.get(path, headers={"Range": "bytes=0-7"})
    assert (part.status, part.body) == (206, PNG[:8]), "by nginx, which knows ranges"


def test_the_folder_is_no_address(stack):
    upload(stack.site, "b.txt", b"nobody's business")
    key = stack.exec("app", "ls", "-t", "/srv/uploads").split()[0]
    assert stack.exec("nginx", "cat", f"/srv/uploads/{key}") == "nobody's business"
    for path in (f"/uploads/{key}", "/uploads/", f"/static/../uploads/{key}", f"/static/%2e%2e/uploads/{key}"):
        assert stack.site.get(path).status in (400, 404), path


def test_a_page_among_files_is_plain_text(stack):
    item = upload(stack.site, "page.html", b"<script>alert(1)</script>").json
    sent = stack.site.get(f"/items/{item['id']}/file")
    assert (item["file"], sent.headers.get_content_type()) == ("page.html.txt", "text/plain")


def test_nginx_cannot_write_them(stack):
    """That they outlive their containers: test_recovery.py."""
    assert stack.try_exec("nginx", "touch", "/srv/uploads/x").returncode != 0
