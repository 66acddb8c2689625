//! Check reports: what a test of a connection found out, claim by claim.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::error_code::{Counting, ErrorCode};

/// What became of one named check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The claim holds.
    Passed,
    /// The claim does not hold.
    Failed,
    /// Nothing could be said either way.
    Inconclusive,
    /// Not tried, because an earlier check failed or nothing asked for it.
    Skipped,
}

/// One named check. The name is a wire identifier and the claim is true exactly when it passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Such as `configuration`, `connection`, `sign_in`.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What went wrong, when it failed or was inconclusive.
    pub error_code: Option<ErrorCode>,
    /// The provider's action that was tried or is missing, such as `s3:ListBucket on media`.
    pub action: Option<String>,
    /// What a person can do.
    pub remedy: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// Whether it speaks about one source path alone, and not about the connection.
    #[serde(default)]
    pub of_path: bool,
    /// When what was checked runs out by itself, such as a session token or a certificate, where that can be known.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl Check {
    /// A check that passed.
    pub fn passed(name: &str, ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            outcome: Outcome::Passed,
            error_code: None,
            action: None,
            remedy: None,
            ms,
            of_path: false,
            expires_at: None,
        }
    }

    /// A check that failed.
    pub fn failed(
        name: &str,
        code: ErrorCode,
        action: Option<String>,
        remedy: impl Into<String>,
        ms: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            outcome: Outcome::Failed,
            error_code: Some(code),
            action,
            remedy: Some(remedy.into()),
            ms,
            of_path: false,
            expires_at: None,
        }
    }

    /// A check that could not be decided.
    pub fn inconclusive(
        name: &str,
        code: ErrorCode,
        action: Option<String>,
        remedy: impl Into<String>,
        ms: u64,
    ) -> Self {
        Self {
            outcome: Outcome::Inconclusive,
            ..Self::failed(name, code, action, remedy, ms)
        }
    }

    /// A check that was not tried.
    pub fn skipped(name: &str) -> Self {
        Self {
            outcome: Outcome::Skipped,
            ..Self::passed(name, 0)
        }
    }

    /// The same, about something that runs out then.
    #[must_use]
    pub fn until(self, expires_at: Option<Timestamp>) -> Self {
        Self { expires_at, ..self }
    }

    /// The same, about one source path alone.
    #[must_use]
    pub fn of_path(self) -> Self {
        Self {
            of_path: true,
            ..self
        }
    }
}

/// The outcome of one test of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// The checks in the order they were made.
    pub checks: Vec<Check>,
}

impl CheckReport {
    /// Whether no check failed.
    pub fn success(&self) -> bool {
        self.first_failure().is_none()
    }

    /// What the test found out about the connection itself, whatever is wrong with a path.
    #[must_use]
    pub fn of_connection(&self) -> Self {
        let checks = self.checks.iter().filter(|check| !check.of_path);
        Self {
            checks: checks.cloned().collect(),
        }
    }

    /// The first check that failed.
    pub fn first_failure(&self) -> Option<&Check> {
        self.checks
            .iter()
            .find(|check| check.outcome == Outcome::Failed)
    }

    /// The failure's code, if there is one.
    pub fn error_code(&self) -> Option<ErrorCode> {
        self.first_failure()
            .map(|check| check.error_code.unwrap_or(ErrorCode::Internal))
    }

    /// What the failure means for the connection's health, if there is one.
    pub fn counting(&self) -> Option<Counting> {
        self.error_code().map(ErrorCode::counting)
    }

    /// When the first of what was checked runs out.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.checks
            .iter()
            .filter_map(|check| check.expires_at)
            .min()
    }

    fn works(&self) -> String {
        let open = |check: &&Check| check.outcome == Outcome::Inconclusive;
        let open: Vec<&str> = self
            .checks
            .iter()
            .filter(open)
            .map(|check| check.name.as_str())
            .collect();
        if open.is_empty() {
            return "The connection works.".to_owned();
        }
        let told = open.join(", ");
        format!(
            "The connection works as far as could be checked. Left open: {told}; the checks say why."
        )
    }

    /// One sentence for a person, made of our own words only; at most 1000 characters.
    pub fn message(&self) -> String {
        let Some(failure) = self.first_failure() else {
            return self.works();
        };
        let code = failure.error_code.unwrap_or(ErrorCode::Internal);
        let action = failure
            .action
            .as_deref()
            .map(|action| format!(" ({action})"))
            .unwrap_or_default();
        let remedy = failure.remedy.as_deref().unwrap_or_else(|| code.remedy());
        let message = format!("Check {} failed{action}: {code}. {remedy}", failure.name);
        message.chars().take(1000).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_out_first_counts_and_older_reports_know_of_none() {
        let at = |second| Timestamp::from_timestamp(second, 0);
        let checks = vec![
            Check::passed("tls", 1).until(at(20)),
            Check::passed("sign_in", 1).until(at(10)),
            Check::passed("identity", 1),
        ];
        assert_eq!(CheckReport { checks }.expires_at(), at(10));
        let older = r#"{"name": "tls", "outcome": "passed", "error_code": null, "action": null, "remedy": null, "ms": 1}"#;
        let older: Check = serde_json::from_str(older).expect("as it was stored");
        assert_eq!(older, Check::passed("tls", 1));
    }

    #[test]
    fn the_message_hides_neither_a_failure_nor_what_was_left_open() {
        let code = ErrorCode::PermDenied;
        let open = Check::inconclusive("tags", code, None, "Grant it.", 1);
        let failed = Check::failed(
            "read",
            code,
            Some("s3:GetObject on media".to_owned()),
            "Grant it.",
            1,
        );
        let message = |checks: &[&Check]| {
            let checks = checks.iter().copied().cloned().collect();
            CheckReport { checks }.message()
        };
        let passed = Check::passed("sign_in", 1);
        assert_eq!(message(&[&passed]), "The connection works.");
        assert_eq!(
            message(&[&passed, &open]),
            "The connection works as far as could be checked. Left open: tags; the checks say why."
        );
        assert_eq!(
            message(&[&passed, &open, &failed]),
            "Check read failed (s3:GetObject on media): perm.denied. Grant it."
        );
    }
}
