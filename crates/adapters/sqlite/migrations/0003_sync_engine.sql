-- Pauses, wishes for a full run, held deletes and how runs went.
ALTER TABLE syncs ADD COLUMN paused_at INTEGER;
ALTER TABLE syncs ADD COLUMN paused_by TEXT;
ALTER TABLE syncs ADD COLUMN pause_reason TEXT;
ALTER TABLE syncs ADD COLUMN pending_full INTEGER NOT NULL DEFAULT 0;
ALTER TABLE syncs ADD COLUMN held_deletes TEXT;
ALTER TABLE syncs ADD COLUMN stats TEXT NOT NULL DEFAULT '{}';

-- A paused sync is never due. The few syncs that somebody holds are found by themselves.
DROP INDEX syncs_due;
CREATE INDEX syncs_due ON syncs (COALESCE(lease_expires_at, next_run_at), organization, id)
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL AND paused_at IS NULL;
CREATE INDEX syncs_held ON syncs (organization, lease_expires_at) WHERE lease_expires_at IS NOT NULL;

-- What the source said beside metadata, what a mapping made of it, who copied it, and whether its bytes are still there.
ALTER TABLE objects ADD COLUMN version_id TEXT;
ALTER TABLE objects ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN mapped TEXT NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN copied_by_sync TEXT;
ALTER TABLE objects ADD COLUMN copied_by_job TEXT;
ALTER TABLE objects ADD COLUMN purged_at INTEGER;

CREATE INDEX objects_tombstones ON objects (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- The catalogue: what a sync knows of its source, in the order of the source's identities, so that a sorted listing can be
-- merged with it. A row may point at an object (the sync holds on to it), remember a version that was left out and the rule,
-- carry the pass that saw it (written only by passes that mark), and be missing: found so by a pass, and by a complete one
-- since.
CREATE TABLE catalogue (
    organization     TEXT    NOT NULL,
    sync             TEXT    NOT NULL,
    authority        TEXT    NOT NULL,
    source_object    TEXT    NOT NULL,
    object           TEXT,
    left_out_version TEXT,
    left_out_rule    TEXT,
    seen_pass        INTEGER NOT NULL,
    missing_pass     INTEGER,
    missing_since    INTEGER,
    -- The sync comes first: were it the organization, an object's rows would be looked for among all of the organization's
    -- when the object goes.
    PRIMARY KEY (sync, organization, authority, source_object),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, object) REFERENCES objects (organization, id) ON DELETE CASCADE,
    CHECK ((left_out_version IS NULL) = (left_out_rule IS NULL))
) STRICT, WITHOUT ROWID;

-- A sync whose connection went over to another provider may hold on to two objects of one name; the row is that of the
-- provider it reads from now.
INSERT OR IGNORE INTO catalogue (organization, sync, authority, source_object, object, seen_pass)
SELECT e.organization, e.sync, o.authority, o.source_object, e.object, e.seen_pass
FROM sync_entries e
JOIN objects o ON o.organization = e.organization AND o.id = e.object
JOIN syncs s ON s.organization = e.organization AND s.id = e.sync
JOIN connections c ON c.organization = s.organization AND c.id = s.connection
ORDER BY o.provider <> c.provider;

DROP TABLE sync_entries;

CREATE INDEX catalogue_object ON catalogue (organization, object);
CREATE INDEX catalogue_missing ON catalogue (organization, sync, missing_pass, missing_since)
    WHERE missing_pass IS NOT NULL;

-- Files that could not be copied. At most one per sync and source object is open.
CREATE TABLE dead_letters (
    organization      TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    sync              TEXT    NOT NULL,
    bucket            TEXT    NOT NULL,
    namespace         TEXT    NOT NULL,
    job               TEXT    NOT NULL,
    source_object     TEXT    NOT NULL,
    path              TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    error_type        TEXT    NOT NULL,
    error_message     TEXT    NOT NULL,
    tries             INTEGER NOT NULL,
    exhausted         INTEGER NOT NULL,
    first_seen_at     INTEGER NOT NULL,
    last_seen_at      INTEGER NOT NULL,
    last_reattempt_at INTEGER,
    requeued_at       INTEGER,
    resolved_at       INTEGER,
    disposal_reason   TEXT,
    -- The sync comes first, so that a sync's dead letters are found when it goes.
    PRIMARY KEY (organization, sync, id),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE
) STRICT;

CREATE UNIQUE INDEX dead_letters_open ON dead_letters (organization, sync, source_object) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_by_age ON dead_letters (organization, sync, first_seen_at, id) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_exhausted ON dead_letters (organization, sync, error_type)
    WHERE resolved_at IS NULL AND exhausted;
