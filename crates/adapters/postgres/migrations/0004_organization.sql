-- What an organization and its members can change of themselves.
ALTER TABLE organizations ADD COLUMN logo_url            TEXT COLLATE "C";
ALTER TABLE organizations ADD COLUMN billing_email       TEXT COLLATE "C";
ALTER TABLE organizations ADD COLUMN notifications_email TEXT COLLATE "C";
ALTER TABLE organizations ADD COLUMN metadata            TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE organizations ADD COLUMN rate_limits         TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE organizations ADD COLUMN read_auditing       BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE organizations ADD COLUMN updated_at          TIMESTAMPTZ;
UPDATE organizations SET updated_at = created_at;
ALTER TABLE organizations ALTER COLUMN updated_at SET NOT NULL;

ALTER TABLE users ADD COLUMN name       TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN avatar_url TEXT COLLATE "C";
ALTER TABLE users ADD COLUMN status     TEXT COLLATE "C" NOT NULL DEFAULT 'active';
ALTER TABLE users ADD COLUMN metadata   TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE users ADD COLUMN updated_at TIMESTAMPTZ;
-- Removed users stay as rows, so that what they made and did can be told.
ALTER TABLE users ADD COLUMN removed_at TIMESTAMPTZ;
UPDATE users SET name = email, updated_at = created_at;
ALTER TABLE users ALTER COLUMN updated_at SET NOT NULL;
DROP INDEX users_email;
CREATE UNIQUE INDEX users_email ON users (organization, email) WHERE removed_at IS NULL;

ALTER TABLE api_keys ADD COLUMN description         TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN permissions         TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN scopes              TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN rate_limit_override BIGINT;
ALTER TABLE api_keys ADD COLUMN allowed_origins     TEXT COLLATE "C";
ALTER TABLE api_keys ADD COLUMN principal_id        TEXT COLLATE "C";
ALTER TABLE api_keys ADD COLUMN created_by          TEXT COLLATE "C" NOT NULL DEFAULT 'operator';
ALTER TABLE api_keys ADD COLUMN revoked_by          TEXT COLLATE "C";
ALTER TABLE api_keys ADD COLUMN last_used_at        TIMESTAMPTZ;
UPDATE api_keys SET permissions = '["' || permission || '"]';
ALTER TABLE api_keys DROP COLUMN permission;

-- The health watch: when a connection is checked next and by whom; when its credentials run out, as far as is known.
ALTER TABLE connections ADD COLUMN next_check_at          TIMESTAMPTZ;
ALTER TABLE connections ADD COLUMN check_fence            BIGINT  NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN check_lease_expires_at TIMESTAMPTZ;
ALTER TABLE connections ADD COLUMN expires_at             TIMESTAMPTZ;
ALTER TABLE connections ADD COLUMN expiry_warned          BOOLEAN NOT NULL DEFAULT FALSE;
-- Another sign-in with a password that failed before could lock its account: that waits for a person.
UPDATE connections SET next_check_at = clock_timestamp()
    WHERE status = 'ACTIVE' OR status = 'FAILED' AND credential_type <> 'username_password';
CREATE INDEX connections_to_check ON connections (next_check_at)
    WHERE next_check_at IS NOT NULL AND status IN ('ACTIVE', 'FAILED');

CREATE TABLE connection_checks (
    organization TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    connection   TEXT COLLATE "C" NOT NULL,
    cause        TEXT COLLATE "C" NOT NULL,
    started_at   TIMESTAMPTZ      NOT NULL,
    ms           BIGINT           NOT NULL,
    -- passed, failed (and counted) or undecided.
    outcome      TEXT COLLATE "C" NOT NULL,
    report       TEXT COLLATE "C" NOT NULL,
    status       TEXT COLLATE "C" NOT NULL,
    at           TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, connection) REFERENCES connections (organization, id) ON DELETE CASCADE
);

CREATE INDEX connection_checks_by_age ON connection_checks (organization, connection, at, id) INCLUDE (outcome);
CREATE INDEX connection_checks_old ON connection_checks (at);

-- Audit rows are chained. Rows from before have no place until the server adopts them, in the order of their times.
ALTER TABLE audit_rows ADD COLUMN position BIGINT;
ALTER TABLE audit_rows ADD COLUMN link     BYTEA;
CREATE UNIQUE INDEX audit_rows_position ON audit_rows (organization, position) WHERE position IS NOT NULL;
CREATE INDEX audit_rows_unchained ON audit_rows (organization, at, id) WHERE position IS NULL;
CREATE INDEX audit_rows_resource ON audit_rows (organization, resource_id, position);

CREATE TABLE audit_heads (
    organization TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES organizations (id),
    position     BIGINT           NOT NULL,
    link         BYTEA            NOT NULL,
    -- The time of the newest row: no later place has an earlier one, whenever its transaction began.
    at           TIMESTAMPTZ,
    -- The newest place whose event was removed from the outbox.
    pruned       BIGINT           NOT NULL DEFAULT 0
);

-- Only organizations of this moment have rows to be adopted: their heads stand at the start. Every later one gets its head together
-- with its first row.
INSERT INTO audit_heads (organization, position, link) SELECT id, 0, decode(repeat('00', 32), 'hex') FROM organizations;

-- The outbox: what an organization's subscribers are to be told, in the order of the audit chain.
CREATE TABLE events (
    organization  TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    position      BIGINT           NOT NULL,
    link          BYTEA            NOT NULL,
    audit         TEXT COLLATE "C" NOT NULL,
    at            TIMESTAMPTZ      NOT NULL,
    resource_type TEXT COLLATE "C" NOT NULL,
    resource_id   TEXT COLLATE "C" NOT NULL,
    announcement  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (organization, position)
);

CREATE UNIQUE INDEX events_audit ON events (organization, audit);
CREATE INDEX events_old ON events (at);

-- How far each organization's events were published to the stream, if there is one.
CREATE TABLE event_streams (
    organization     TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES organizations (id),
    position         BIGINT           NOT NULL,
    item             BIGINT           NOT NULL,
    next_attempt_at  TIMESTAMPTZ,
    fence            BIGINT           NOT NULL,
    lease_expires_at TIMESTAMPTZ,
    -- A column of its own: row-level security lets no such expression into the condition of an index.
    due_at           TIMESTAMPTZ      GENERATED ALWAYS AS (COALESCE(lease_expires_at, next_attempt_at)) STORED
);

CREATE INDEX event_streams_due ON event_streams (due_at, organization);

CREATE TABLE webhooks (
    organization     TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id               TEXT COLLATE "C" NOT NULL,
    name             TEXT COLLATE "C" NOT NULL,
    event_types      TEXT COLLATE "C" NOT NULL,
    all_types        BOOLEAN          NOT NULL,
    resource_types   TEXT COLLATE "C" NOT NULL,
    channels         TEXT COLLATE "C" NOT NULL,
    sealed           BYTEA            NOT NULL,
    secret_version   BIGINT           NOT NULL,
    is_active        BOOLEAN          NOT NULL,
    health           TEXT COLLATE "C" NOT NULL,
    position         BIGINT           NOT NULL,
    item             BIGINT           NOT NULL,
    attempts         BIGINT           NOT NULL,
    next_attempt_at  TIMESTAMPTZ,
    redeliver_at     TIMESTAMPTZ,
    fence            BIGINT           NOT NULL,
    lease_expires_at TIMESTAMPTZ,
    due_at           TIMESTAMPTZ      GENERATED ALWAYS AS (COALESCE(lease_expires_at, LEAST(next_attempt_at, redeliver_at))) STORED,
    created_at       TIMESTAMPTZ      NOT NULL,
    updated_at       TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id)
);

CREATE INDEX webhooks_by_age ON webhooks (organization, created_at, id);
CREATE INDEX webhooks_due ON webhooks (due_at, organization, id);
CREATE INDEX webhooks_held ON webhooks (organization, lease_expires_at) WHERE lease_expires_at IS NOT NULL;

CREATE TABLE webhook_redeliveries (
    organization TEXT COLLATE "C" NOT NULL,
    webhook      TEXT COLLATE "C" NOT NULL,
    event        TEXT COLLATE "C" NOT NULL,
    requested_at TIMESTAMPTZ      NOT NULL,
    fence        BIGINT           NOT NULL,
    PRIMARY KEY (organization, webhook, event),
    FOREIGN KEY (organization, webhook) REFERENCES webhooks (organization, id) ON DELETE CASCADE
);

CREATE TABLE webhook_deliveries (
    organization TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    webhook      TEXT COLLATE "C" NOT NULL,
    event        TEXT COLLATE "C" NOT NULL,
    event_type   TEXT COLLATE "C" NOT NULL,
    attempt      BIGINT           NOT NULL,
    redelivery   BOOLEAN          NOT NULL,
    http_status  BIGINT,
    error        TEXT COLLATE "C",
    ms           BIGINT           NOT NULL,
    at           TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id),
    FOREIGN KEY (organization, webhook) REFERENCES webhooks (organization, id) ON DELETE CASCADE
);

CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (organization, webhook, at, id);
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (at);

-- Requests that may be sent again: what was claimed by which key, and what came of it.
CREATE TABLE idempotency_claims (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL,
    fingerprint  TEXT COLLATE "C" NOT NULL,
    attempt      BIGINT           NOT NULL,
    claimed_at   TIMESTAMPTZ      NOT NULL,
    effect_type  TEXT COLLATE "C",
    effect_id    TEXT COLLATE "C",
    status       BIGINT,
    body         TEXT COLLATE "C",
    PRIMARY KEY (organization, id),
    CHECK ((effect_type IS NULL) = (effect_id IS NULL)),
    CHECK ((status IS NULL) = (body IS NULL))
);

CREATE INDEX idempotency_claims_old ON idempotency_claims (claimed_at);

-- The second wall between organizations: whatever a statement asks for, a transaction sees and writes the rows of the
-- organization alone that it has named (wharf.organization), or of all where it has said so (wharf.across); one that has said
-- nothing sees none. FORCE binds the tables' owner, too. The settings are read once per statement, not per row. A later migration
-- that changes rows needs nothing of its own: migrations run with wharf.across on.
DO $$
DECLARE
    name  TEXT;
    owner TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'organizations', 'organization_keys', 'external_ids', 'users', 'api_keys', 'audit_rows', 'audit_heads', 'events',
        'event_streams', 'webhooks', 'webhook_redeliveries', 'webhook_deliveries', 'idempotency_claims', 'namespaces', 'buckets',
        'connections', 'connection_checks', 'syncs', 'jobs', 'objects', 'catalogue', 'dead_letters'
    ] LOOP
        owner := CASE name WHEN 'organizations' THEN 'id' ELSE 'organization' END;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY of_organization ON %I '
            'USING (%I = (SELECT current_setting(''wharf.organization'', true)) '
            'OR (SELECT current_setting(''wharf.across'', true)) = ''on'') '
            'WITH CHECK (%I = (SELECT current_setting(''wharf.organization'', true)) '
            'OR (SELECT current_setting(''wharf.across'', true)) = ''on'')',
            name, owner, owner
        );
    END LOOP;
END
$$;

-- Beneath row-level security the planner looks up in an index only what cannot leak rows, which COALESCE is not known to be.
DROP INDEX syncs_due;
DROP INDEX syncs_due_of_organization;
CREATE INDEX syncs_due ON syncs ((CASE WHEN lease_expires_at IS NULL THEN next_run_at ELSE lease_expires_at END))
    WHERE CASE WHEN lease_expires_at IS NULL THEN next_run_at ELSE lease_expires_at END IS NOT NULL AND paused_at IS NULL;
CREATE INDEX syncs_due_of_organization
    ON syncs (organization, (CASE WHEN lease_expires_at IS NULL THEN next_run_at ELSE lease_expires_at END), id)
    WHERE CASE WHEN lease_expires_at IS NULL THEN next_run_at ELSE lease_expires_at END IS NOT NULL AND paused_at IS NULL;
