"""Files of notes over the wire: for users only."""

from tests.stack.test_uploads import form


def test_a_file_of_a_note_is_for_users_only(stack):
    body, headers = form({"title": "With a file"}, "a.txt", b"text")
    note = stack.site.request("POST", "/api/notes", body=body, headers=headers).json["id"]
    sent = stack.site.get(f"/notes/{note}/file")
    assert (sent.status, sent.body) == (200, b"text")
    assert stack.stranger.get(f"/notes/{note}/file").status == 303
