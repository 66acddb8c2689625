-- External ids for role assumption, issued by Wharf to an organization.
CREATE TABLE external_ids (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    id           TEXT COLLATE "C" NOT NULL,
    issued_at    TIMESTAMPTZ      NOT NULL,
    PRIMARY KEY (organization, id)
);

-- An id is one organization's alone.
CREATE UNIQUE INDEX external_ids_id ON external_ids (id);
