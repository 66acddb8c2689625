-- Feeds of changes: where a file lies in its source, whether what is missing may only be hidden from us, how far a sync has read,
-- and the channel through which its provider tells that there is more.
ALTER TABLE catalogue ADD COLUMN lineage TEXT    NOT NULL DEFAULT '';
ALTER TABLE catalogue ADD COLUMN hidden  INTEGER NOT NULL DEFAULT 0;
CREATE INDEX catalogue_lineage ON catalogue (organization, sync, authority, lineage) WHERE lineage <> '';
CREATE INDEX catalogue_to_trace ON catalogue (organization, sync, authority, missing_pass, source_object)
    WHERE missing_pass IS NOT NULL;

ALTER TABLE syncs ADD COLUMN feed         TEXT;
ALTER TABLE syncs ADD COLUMN push         TEXT;
ALTER TABLE syncs ADD COLUMN push_channel TEXT;
-- Whether the channel rang while a worker held the sync.
ALTER TABLE syncs ADD COLUMN rung         INTEGER NOT NULL DEFAULT 0;
-- From when on its channel may make it due.
ALTER TABLE syncs ADD COLUMN rings_from   INTEGER;
CREATE UNIQUE INDEX syncs_push_channel ON syncs (push_channel) WHERE push_channel IS NOT NULL;

-- Open dead letters by their last try.
CREATE INDEX dead_letters_due
    ON dead_letters (organization, sync, exhausted, MAX(last_seen_at, COALESCE(last_reattempt_at, last_seen_at)), id)
    WHERE resolved_at IS NULL;

-- The access token of a connection's present credentials, sealed, and who may ask for the next one. What earlier credentials brought
-- is cleared when they change; the counters go on.
CREATE TABLE sessions (
    organization  TEXT    NOT NULL,
    connection    TEXT    NOT NULL,
    sealed        BLOB,
    renew_at      INTEGER,
    serial        INTEGER NOT NULL,
    fence         INTEGER NOT NULL,
    right_ends_at INTEGER,
    PRIMARY KEY (organization, connection),
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id) ON DELETE CASCADE,
    CHECK ((sealed IS NULL) = (renew_at IS NULL))
) STRICT;

-- Consents that people have begun in a browser and not finished.
CREATE TABLE consents (
    state_sha256 TEXT    NOT NULL PRIMARY KEY,
    organization TEXT    NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL,
    api_key      TEXT    NOT NULL,
    sealed       BLOB    NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX consents_under_way ON consents (organization, expires_at);
CREATE INDEX consents_expired ON consents (expires_at);
