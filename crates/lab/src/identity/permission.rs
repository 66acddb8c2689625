//! What a key may not do, and how the refusal is worded.

use serde::Deserialize;

/// Something a key or the sessions of a role may not do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Denial {
    action: String,
    resource: String,
    #[serde(default)]
    because: Because,
}

/// Which policy stands in the way; AWS names it in the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// No policy of the identity allows it.
    #[default]
    NoIdentityPolicy,
    /// A policy of the identity denies it.
    IdentityPolicy,
    /// The bucket policy denies it.
    ResourcePolicy,
    /// A service control policy of the organization denies it.
    ServiceControlPolicy,
    /// The policy of a VPC endpoint denies it.
    VpcEndpointPolicy,
    /// Not said: `Access Denied` and no more, as many compatible stores answer.
    Unsaid,
}

impl Denial {
    pub(crate) fn new(
        action: impl Into<String>,
        resource: impl Into<String>,
        because: Because,
    ) -> Self {
        Self {
            action: action.into(),
            resource: resource.into(),
            because,
        }
    }

    /// Whether it is about this permission on this `bucket` or `bucket/key`.
    pub(crate) fn is_about(&self, action: &str, resource: &str) -> bool {
        matches(&self.action, action) && matches(&self.resource, resource)
    }

    /// What AWS says to whoever asked.
    pub(crate) fn says(&self, arn: &str, action: &str, resource: &str) -> String {
        let policy = match self.because {
            Because::Unsaid => return "Access Denied".to_owned(),
            Because::NoIdentityPolicy => {
                format!("because no identity-based policy allows the {action} action")
            }
            Because::IdentityPolicy => {
                "with an explicit deny in an identity-based policy".to_owned()
            }
            Because::ResourcePolicy => {
                "with an explicit deny in a resource-based policy".to_owned()
            }
            Because::ServiceControlPolicy => {
                "with an explicit deny in a service control policy".to_owned()
            }
            Because::VpcEndpointPolicy => {
                "with an explicit deny in a VPC endpoint policy".to_owned()
            }
        };
        format!(
            "User: {arn} is not authorized to perform: {action} on resource: \
             \"arn:aws:s3:::{resource}\" {policy}"
        )
    }
}

/// Patterns hold `*` for any text, as policies write them.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    rest.is_empty()
        || text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("media", "media", true),
            ("media", "media/a", false),
            ("media/*", "media/a/b", true),
            ("media/*", "media", false),
            ("*", "", true),
            ("m*/p*/x", "media/private/deep/x", true),
            ("s3:Get*", "s3:GetObject", true),
            ("s3:Get*", "s3:PutObject", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
