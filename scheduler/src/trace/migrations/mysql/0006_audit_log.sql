-- Who changed what, from where. `actor` NULL means that nobody was asked who they are.
CREATE TABLE audit_log (
    epoch BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor VARCHAR(255),
    role VARCHAR(32),
    door VARCHAR(32) NOT NULL,
    origin VARCHAR(64),
    action VARCHAR(32) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    name VARCHAR(1024) NOT NULL,
    app VARCHAR(255),
    before_state MEDIUMTEXT,
    after_state MEDIUMTEXT,
    PRIMARY KEY (epoch, sequence)
) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE INDEX audit_log_by_time ON audit_log (at_ms);
