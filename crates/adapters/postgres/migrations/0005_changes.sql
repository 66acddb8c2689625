-- Feeds of changes: where a file lies in its source, whether what is missing may only be hidden from us, how far a sync has read,
-- and the channel through which its provider tells that there is more.
ALTER TABLE catalogue ADD COLUMN lineage TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE catalogue ADD COLUMN hidden  BOOLEAN          NOT NULL DEFAULT FALSE;
-- A lineage can be longer than an index takes. Were two lineages ever one number, the second one's absence would be noticed by the
-- next complete listing.
ALTER TABLE catalogue ADD COLUMN folder  BIGINT GENERATED ALWAYS AS (hashtextextended(lineage, 0)) STORED;
CREATE INDEX catalogue_lineage ON catalogue (organization, sync, authority, folder) WHERE lineage <> '';
CREATE INDEX catalogue_to_trace ON catalogue (organization, sync, authority, missing_pass, source_object)
    WHERE missing_pass IS NOT NULL;

ALTER TABLE syncs ADD COLUMN feed         TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN push         TEXT COLLATE "C";
ALTER TABLE syncs ADD COLUMN push_channel TEXT COLLATE "C";
-- Whether the channel rang while a worker held the sync.
ALTER TABLE syncs ADD COLUMN rung         BOOLEAN NOT NULL DEFAULT FALSE;
-- From when on its channel may make it due.
ALTER TABLE syncs ADD COLUMN rings_from   TIMESTAMPTZ;
CREATE UNIQUE INDEX syncs_push_channel ON syncs (push_channel) WHERE push_channel IS NOT NULL;

-- Open dead letters by their last try.
CREATE INDEX dead_letters_due ON dead_letters (organization, sync, exhausted, GREATEST(last_seen_at, last_reattempt_at), id)
    WHERE resolved_at IS NULL;

-- The access token of a connection's present credentials, sealed, and who may ask for the next one. What earlier credentials brought
-- is cleared when they change; the counters go on.
CREATE TABLE sessions (
    organization  TEXT COLLATE "C" NOT NULL,
    connection    TEXT COLLATE "C" NOT NULL,
    sealed        BYTEA,
    renew_at      TIMESTAMPTZ,
    serial        BIGINT           NOT NULL,
    fence         BIGINT           NOT NULL,
    right_ends_at TIMESTAMPTZ,
    PRIMARY KEY (organization, connection),
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id) ON DELETE CASCADE,
    CHECK ((sealed IS NULL) = (renew_at IS NULL))
);

-- Consents that people have begun in a browser and not finished.
CREATE TABLE consents (
    state_sha256 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id      TEXT COLLATE "C" NOT NULL,
    api_key      TEXT COLLATE "C" NOT NULL,
    sealed       BYTEA            NOT NULL,
    expires_at   TIMESTAMPTZ      NOT NULL
);

CREATE INDEX consents_under_way ON consents (organization, expires_at);
CREATE INDEX consents_expired ON consents (expires_at);

-- The second wall between organizations, for the new tables.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['sessions', 'consents'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_organization ON %I '
            'USING (organization = (SELECT current_setting(''wharf.organization'', true)) '
            'OR (SELECT current_setting(''wharf.across'', true)) = ''on'') '
            'WITH CHECK (organization = (SELECT current_setting(''wharf.organization'', true)) '
            'OR (SELECT current_setting(''wharf.across'', true)) = ''on'')',
            name
        );
    END LOOP;
END
$$;
