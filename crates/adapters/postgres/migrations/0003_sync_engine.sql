-- Pauses, wishes for a full run, held deletes and how runs went.
ALTER TABLE syncs ADD COLUMN paused_at TIMESTAMPTZ;
ALTER TABLE syncs ADD COLUMN paused_by TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN pause_reason TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN pending_full BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE syncs ADD COLUMN held_deletes TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN stats TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- A paused sync is never due. Whether anything is due is asked over all organizations, what is due longest of each.
DROP INDEX syncs_due;
CREATE INDEX syncs_due ON syncs (COALESCE(lease_expires_at, next_run_at))
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL AND paused_at IS NULL;
CREATE INDEX syncs_due_of_organization ON syncs (organization, COALESCE(lease_expires_at, next_run_at), id)
    WHERE COALESCE(lease_expires_at, next_run_at) IS NOT NULL AND paused_at IS NULL;
-- The few that somebody holds: how many of an organization, and whose lease has expired.
CREATE INDEX syncs_held ON syncs (lease_expires_at, organization) WHERE lease_expires_at IS NOT NULL;

-- What the source said beside metadata, what a mapping made of it, who copied it, and whether its bytes are still there.
ALTER TABLE objects ADD COLUMN version_id TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN tags TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN mapped TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE objects ADD COLUMN copied_by_sync TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN copied_by_job TEXT COLLATE "C";
ALTER TABLE objects ADD COLUMN purged_at TIMESTAMPTZ;

CREATE INDEX objects_tombstones ON objects (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

-- The catalogue: what a sync knows of its source, in the order of the source's identities, so that a sorted listing can be
-- merged with it. A row may point at an object (the sync holds on to it), remember a version that was left out and the rule,
-- carry the pass that saw it (written only by passes that mark), and be missing: found so by a pass, and by a complete one
-- since.
CREATE TABLE catalogue (
    organization     TEXT COLLATE "C" NOT NULL,
    sync             TEXT COLLATE "C" NOT NULL,
    authority        TEXT COLLATE "C" NOT NULL,
    source_object    TEXT COLLATE "C" NOT NULL,
    object           TEXT COLLATE "C",
    left_out_version TEXT COLLATE "C",
    left_out_rule    TEXT COLLATE "C",
    seen_pass        BIGINT           NOT NULL,
    missing_pass     BIGINT,
    missing_since    BIGINT,
    PRIMARY KEY (organization, sync, authority, source_object),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE,
    FOREIGN KEY (organization, object) REFERENCES objects (organization, id) ON DELETE CASCADE,
    CHECK ((left_out_version IS NULL) = (left_out_rule IS NULL))
);

-- Were a connection's provider ever changed by hand, one source could be there twice: the one seen last stays.
INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass)
SELECT DISTINCT ON (e.organization, e.sync, o.authority, o.source_object)
    e.organization, e.sync, o.authority, o.source_object, e.object, e.seen_pass
FROM sync_entries e JOIN objects o ON o.organization = e.organization AND o.id = e.object
ORDER BY e.organization, e.sync, o.authority, o.source_object, e.seen_pass DESC;

DROP TABLE sync_entries;

CREATE INDEX catalogue_object ON catalogue (organization, object) WHERE object IS NOT NULL;
CREATE INDEX catalogue_missing ON catalogue (organization, sync, missing_pass, missing_since)
    WHERE missing_pass IS NOT NULL;
CREATE INDEX catalogue_left_out ON catalogue (organization, sync) WHERE left_out_version IS NOT NULL;

-- Files that could not be copied. At most one per sync and source object is open.
CREATE TABLE dead_letters (
    organization      TEXT COLLATE "C" NOT NULL,
    id                TEXT COLLATE "C" NOT NULL,
    sync              TEXT COLLATE "C" NOT NULL,
    bucket            TEXT COLLATE "C" NOT NULL,
    namespace         TEXT COLLATE "C" NOT NULL,
    job               TEXT COLLATE "C" NOT NULL,
    source_object     TEXT COLLATE "C" NOT NULL,
    path              TEXT COLLATE "C" NOT NULL,
    version           TEXT COLLATE "C" NOT NULL,
    error_type        TEXT COLLATE "C" NOT NULL,
    error_message     TEXT COLLATE "C" NOT NULL,
    tries             BIGINT           NOT NULL,
    exhausted         BOOLEAN          NOT NULL,
    first_seen_at     TIMESTAMPTZ      NOT NULL,
    last_seen_at      TIMESTAMPTZ      NOT NULL,
    last_reattempt_at TIMESTAMPTZ,
    requeued_at       TIMESTAMPTZ,
    resolved_at       TIMESTAMPTZ,
    disposal_reason   TEXT COLLATE "C",
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, sync) REFERENCES syncs (organization, id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX dead_letters_open ON dead_letters (organization, sync, source_object) WHERE resolved_at IS NULL;
CREATE INDEX dead_letters_by_age ON dead_letters (organization, sync, first_seen_at, id) WHERE resolved_at IS NULL;
-- By their last try.
CREATE INDEX dead_letters_exhausted ON dead_letters (GREATEST(last_seen_at, last_reattempt_at))
    WHERE resolved_at IS NULL AND exhausted;
-- They go with their sync.
CREATE INDEX dead_letters_sync ON dead_letters (organization, sync);
