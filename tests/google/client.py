"""Google's own Python client against the lab: it signs in, lists, reads, exports, follows changes and watches them.

Reads {"google": URL} of an empty lab from standard input, and writes what was done, in order, as a JSON list.
"""

import http.server
import io
import json
import sys
import threading
import urllib.request

import google.auth.exceptions
import google.oauth2.credentials
import google.oauth2.service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload

GOOGLE = json.load(sys.stdin)["google"]
SCOPE = "https://www.googleapis.com/auth/drive.readonly"
ACCOUNT, USER = "reader@lab.iam.gserviceaccount.com", "ada@lab.example"
FOLDER, DOCUMENT = "application/vnd.google-apps.folder", "application/vnd.google-apps.document"
ALL = {"supportsAllDrives": True, "includeItemsFromAllDrives": True}
done = []


def ok(step):
    done.append(step)


def admin(route, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{GOOGLE}/__admin/{route}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def mutate(*mutations):
    return admin("mutate", list(mutations))["ids"]


def drive_with(credentials):
    return build(
        "drive", "v3", credentials=credentials, static_discovery=True,
        client_options={"api_endpoint": f"{GOOGLE}/drive/v3/"},
    )


def refused(status, reason, call):
    try:
        call.execute()
    except HttpError as error:
        told = json.loads(error.content)["error"]
        assert error.status_code == status and told["errors"][0]["reason"] == reason, told
        return
    raise AssertionError(f"{reason} was expected")


def listed(call_of, request):
    """All pages of a list, by the client's own paging."""
    pages, request = [], request
    while request is not None:
        page = request.execute()
        pages.append(page)
        request = call_of.list_next(request, page)
    return pages


seeded = admin("seed", {
    "users": [{"email": USER}],
    "service_accounts": [{"email": ACCOUNT, "delegated_scopes": [SCOPE]}],
    "clients": [{"client_id": "app.apps.googleusercontent.com", "client_secret": "app-secret"}],
    "grants": [{"client_id": "app.apps.googleusercontent.com", "user": USER, "scopes": [SCOPE]}],
    "drives": [{
        "name": "Harbour", "members": {ACCOUNT: "reader"},
        "items": [
            {"name": "Plans", "folder": [
                {"name": "pier.txt", "text": "A pier, a lamp and a bench.", "properties": {"berth": "7"}},
                {"name": "pier.txt", "text": "Another pier."},
                {"name": "Log", "native": "document", "exports": {"text/plain": "Fog. No ships."}},
            ]},
            {"name": "it's a/b\\c.bin", "size": 300000},
        ],
        "bulk": {"files": 230, "folders": 3, "size": 5},
    }],
    "my_drives": [{"user": USER, "items": [{"name": "letter.txt", "text": "Dear Ada"}]}],
})
harbour = seeded["drives"][0]
ids = {}
for file in seeded["files"]:
    ids.setdefault(file["path"], []).append(file["id"])

# Sign-in.
key = seeded["service_accounts"][0] | {"type": "service_account", "token_uri": f"{GOOGLE}/token"}
credentials = google.oauth2.service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
drive = drive_with(credentials)
about = drive.about().get(fields="user,exportFormats").execute()
assert about["user"]["emailAddress"] == ACCOUNT and "text/plain" in about["exportFormats"][DOCUMENT], about
ok("a service account signs in")

refused(400, "required", drive.about().get())
ok("about demands fields")

delegated = drive_with(credentials.with_subject(USER))
assert delegated.about().get(fields="user").execute()["user"]["emailAddress"] == USER
ok("a service account acts for a user")

try:
    broad = google.oauth2.service_account.Credentials.from_service_account_info(
        key, scopes=["https://www.googleapis.com/auth/drive"], subject=USER
    )
    drive_with(broad).about().get(fields="user").execute()
    raise AssertionError("a scope that was not delegated was given")
except google.auth.exceptions.RefreshError as error:
    assert error.args[1]["error"] == "unauthorized_client", error.args
ok("a scope that was not delegated is refused")

consented = google.oauth2.credentials.Credentials(
    None, refresh_token=seeded["refresh_tokens"][0], token_uri=f"{GOOGLE}/token",
    client_id="app.apps.googleusercontent.com", client_secret="app-secret", scopes=[SCOPE],
)
own = drive_with(consented)
letters = own.files().list(q="'root' in parents and trashed = false").execute()["files"]
assert [letter["name"] for letter in letters] == ["letter.txt"], letters
ok("a grant is refreshed")

# Listing.
pages = listed(drive.files(), drive.files().list(
    corpora="drive", driveId=harbour, pageSize=100, q="trashed = false",
    fields="nextPageToken,incompleteSearch,files(id,name,mimeType,size,md5Checksum,parents)", **ALL,
))
found = {file["id"]: file for page in pages for file in page["files"]}
assert len(pages) == 3 and len(found) == 238, (len(pages), len(found))
assert all(page["incompleteSearch"] is False for page in pages)
ok("a shared drive is listed page by page")

assert drive.files().list().execute()["files"] == []
ok("without includeItemsFromAllDrives a shared drive is not seen")

refused(400, "invalid", drive.files().list(q="name sounds like 'pier'"))
ok("an unknown term of a query is refused")

plans = ids["Harbour/Plans"][0]
piers = drive.files().list(q=f"'{plans}' in parents and name = 'pier.txt'", **ALL).execute()["files"]
assert len(piers) == 2 and set(piers[0]) == {"kind", "id", "name", "mimeType"} | ({"driveId", "teamDriveId"} & set(piers[0])), piers
ok("two files of one name in one folder")

odd = drive.files().list(corpora="drive", driveId=harbour, q=r"name = 'it\'s a/b\\c.bin'", **ALL).execute()["files"]
assert [file["name"] for file in odd] == ["it's a/b\\c.bin"], odd
ok("quotes and backslashes in a query")

drives = drive.drives().list(pageSize=10).execute()["drives"]
assert [entry["name"] for entry in drives] == ["Harbour"], drives
assert drive.drives().get(driveId=harbour, fields="capabilities").execute()["capabilities"]["canManageMembers"] is False
ok("shared drives are listed")

# Reading.
pier = next(file for file in ids["Harbour/Plans/pier.txt"] if found[file]["size"] == "27")
refused(404, "notFound", drive.files().get(fileId=pier))
told = drive.files().get(fileId=pier, supportsAllDrives=True, fields="*").execute()
assert told["properties"] == {"berth": "7"} and told["driveId"] == harbour and told["parents"] == [plans], told
ok("a file's metadata")

assert drive.files().get_media(fileId=pier, supportsAllDrives=True).execute() == b"A pier, a lamp and a bench."
ok("a file's bytes")

large, bytes_read = odd[0]["id"], io.BytesIO()
download = MediaIoBaseDownload(bytes_read, drive.files().get_media(fileId=large, supportsAllDrives=True), chunksize=65536)
chunks, complete = 0, False
while not complete:
    chunks, (_, complete) = chunks + 1, download.next_chunk()
assert chunks == 5 and len(bytes_read.getvalue()) == 300000
ok("a file's bytes, range by range")

log = ids["Harbour/Plans/Log"][0]
assert drive.files().export(fileId=log, mimeType="text/plain").execute() == b"Fog. No ships."
refused(403, "fileNotDownloadable", drive.files().get_media(fileId=log, supportsAllDrives=True))
ok("a native document is exported")

# Changes.
start = drive.changes().getStartPageToken(driveId=harbour, supportsAllDrives=True).execute()["startPageToken"]
new, = mutate({"op": "create", "item": {"name": "buoy.txt", "text": "red", "inside": plans}})
mutate(
    {"op": "rename", "file": pier, "name": "jetty.txt"}, {"op": "trash", "file": large},
    {"op": "delete", "file": log}, {"op": "modify", "file": new, "text": "green"},
)


def changes_since(token):
    pages = listed(drive.changes(), drive.changes().list(
        pageToken=token, driveId=harbour, fields="nextPageToken,newStartPageToken,changes(changeType,removed,fileId,file(name,trashed))",
        **ALL,
    ))
    return [change for page in pages for change in page["changes"]], pages[-1]["newStartPageToken"]


changes, after = changes_since(start)
by_file = {change["fileId"]: change for change in changes}
assert set(by_file) == {new, pier, large, log} and len(changes) == 4, changes
assert by_file[pier]["file"]["name"] == "jetty.txt" and by_file[large]["file"]["trashed"] is True
assert by_file[log]["removed"] is True and "file" not in by_file[log]
assert changes_since(after) == ([], after)
ok("changes are told, each file's last state once")

refused(400, "invalid", drive.changes().list(pageToken="nowhere"))
ok("an unknown place in the feed is refused")

# Watching.
calls, called = [], threading.Event()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        calls.append(self.headers)
        self.send_response(204)
        self.end_headers()
        called.set()

    def log_message(self, *_):
        pass


receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
channel = {
    "id": "5d0b6a6e-channel", "type": "web_hook", "token": "a-word",
    "address": f"http://127.0.0.1:{receiver.server_port}/hook",
}
watching = drive.changes().watch(pageToken=after, driveId=harbour, body=channel, **ALL).execute()
assert watching["id"] == channel["id"] and int(watching["expiration"]) > 0, watching
assert called.wait(10) and calls[0]["X-Goog-Resource-State"] == "sync", calls
called.clear()
mutate({"op": "modify", "file": new, "text": "blue"})
assert called.wait(10) and calls[1]["X-Goog-Resource-State"] == "change", calls
assert calls[1]["X-Goog-Channel-ID"] == channel["id"] and calls[1]["X-Goog-Channel-Token"] == "a-word", calls[1]
ok("changes are watched")

drive.channels().stop(body={"id": channel["id"], "resourceId": watching["resourceId"]}).execute()
called.clear()
mutate({"op": "modify", "file": new, "text": "white"})
assert not called.wait(1), calls
ok("a channel is stopped")

mutate({"op": "remove_member", "drive": harbour, "user": ACCOUNT})
refused(404, "notFound", drive.files().get(fileId=pier, supportsAllDrives=True))
refused(404, "notFound", drive.drives().get(driveId=harbour))
ok("a drive that was left is not found")

json.dump(done, sys.stdout)
