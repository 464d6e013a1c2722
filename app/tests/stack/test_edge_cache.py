"""The notes are a page for all strangers, and one of his own for each user. tests/stack has what holds for any page."""

from tests.wait import until


def test_strangers_share_the_list_until_a_note_is_written_or_deleted(prod):
    for path in ("/notes", "/api/notes"):
        until(lambda path=path: prod.stranger.get(path).headers["X-Cache"] == "HIT")
    note = prod.site.post_json("/api/notes", {"title": "seen at once"}).json["id"]
    for path in ("/notes", "/api/notes"):
        answer = prod.stranger.get(path)
        assert (answer.headers["X-Cache"], "seen at once" in answer.text) == ("MISS", True)
        assert prod.stranger.get(path).headers["X-Cache"] == "HIT"
    assert prod.site.request("DELETE", f"/api/notes/{note}").status == 204
    assert "seen at once" not in prod.stranger.get("/notes").text


def test_a_user_sees_his_own_page_and_nobody_else_does(prod):
    stranger, his = prod.stranger.get("/notes"), prod.site.get("/notes")
    assert (his.headers["X-Cache"], "Sign out" in his.text, "Sign in" in his.text) == ("BYPASS", True, False)
    assert his.headers["Cache-Control"] == "private, no-store"
    for _ in range(2):
        stranger = prod.stranger.get("/notes")
        assert ("Sign out" in stranger.text, "Sign in" in stranger.text) == (False, True)


def test_the_front_page_tells_each_what_it_sees_of_him(prod):
    """Address and request id: so it is no page for all."""
    assert "X-Cache" not in prod.stranger.get("/").headers
