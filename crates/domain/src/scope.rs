//! What the resource scopes of an API key cover.

use crate::access::{Grant, Permission, ResourceScope};
use crate::audit::ResourceType;
use crate::ids::OrganizationId;

/// The kinds of things that a scope can name. Wharf does not have all of them; a scope of one that it lacks covers nothing.
pub const RESOURCE_TYPES: [&str; 15] = [
    "organization",
    "user",
    "api_key",
    "namespace",
    "collection",
    "document",
    "bucket",
    "retriever",
    "cluster",
    "taxonomy",
    "storage_connection",
    "alert",
    "annotation",
    "secret",
    "webhook",
];

/// What a scope can be narrowed to. Those that Wharf has no use for allow nothing.
pub const OPERATIONS: [&str; 13] = [
    "read_data",
    "write_data",
    "delete_data",
    "execute_retriever",
    "create_retriever",
    "delete_retriever",
    "execute_job",
    "cancel_job",
    "create_cluster",
    "delete_cluster",
    "modify_cluster",
    "modify_infrastructure",
    "manage_permissions",
];

/// A thing in an organization, or one that it belongs to, as far as scopes tell things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its kind.
    pub kind: ResourceType,
    /// Its identifier.
    pub id: &'a str,
    /// Its name, if it goes by one.
    pub name: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// A thing with an identifier and a name.
    pub fn named(kind: ResourceType, id: &'a str, name: &'a str) -> Self {
        Self {
            kind,
            id,
            name: Some(name),
        }
    }

    /// A thing that a request names and that is not there, or not yet.
    pub fn as_told(kind: ResourceType, told: &'a str) -> Self {
        Self {
            kind,
            id: told,
            name: None,
        }
    }

    /// All things of a kind at once. As a text, `*` is matched by no other pattern than one of all.
    pub fn all(kind: ResourceType) -> Self {
        Self::as_told(kind, "*")
    }
}

impl ResourceScope {
    fn covers(&self, place: &Place<'_>) -> bool {
        self.resource_type == place.kind.as_str()
            && (matches(&self.resource_id, place.id)
                || place
                    .name
                    .is_some_and(|name| matches(&self.resource_id, name)))
    }

    /// The strongest permission that it leaves.
    fn ceiling(&self) -> Option<Permission> {
        let Some(operations) = &self.operations else {
            return Some(Permission::Admin);
        };
        let levels = operations
            .iter()
            .filter_map(|operation| match operation.as_str() {
                "read_data" => Some(Permission::Read),
                "write_data" => Some(Permission::Write),
                "delete_data" => Some(Permission::Delete),
                "manage_permissions" => Some(Permission::Admin),
                _ => None,
            });
        levels.max()
    }

    /// Whether everything that this scope covers lies within another one, as far as that follows from the two alone.
    fn lies_within(&self, other: &Self, organization: &OrganizationId) -> bool {
        let covered = if other.resource_type == ResourceType::Organization.as_str() {
            matches(&other.resource_id, organization.as_str())
        } else {
            // What a pattern matches as a text, it matches as a pattern: its stars stand for the other's.
            self.resource_type == other.resource_type
                && matches(&other.resource_id, &self.resource_id)
        };
        covered && self.ceiling() <= other.ceiling()
    }
}

/// Whether every origin of one pattern is one of another: a leading star stands for any names below.
fn origin_lies_within(own: &str, other: &str) -> bool {
    own == other
        || other.split_once('*').is_some_and(|(scheme, suffix)| {
            own.strip_prefix(scheme)
                .and_then(|rest| rest.strip_suffix(suffix))
                .is_some_and(|below| !below.is_empty())
        })
}

impl Grant {
    /// The strongest permission at a thing that stands at these places, its own and those around it; `None` when no scope
    /// covers it.
    pub fn permission_at(&self, places: &[Place<'_>]) -> Option<Permission> {
        if self.scopes.is_empty() {
            return Some(self.permission());
        }
        let covering = self
            .scopes
            .iter()
            .filter(|scope| places.iter().any(|place| scope.covers(place)));
        let ceiling = covering.filter_map(ResourceScope::ceiling).max()?;
        Some(ceiling.min(self.permission()))
    }

    /// Whether it allows nothing that another grant of the same organization does not: no stronger permission, nothing
    /// beyond its scopes, no more often, from no other origins, and no longer.
    pub fn lies_within(&self, other: &Self, organization: &OrganizationId) -> bool {
        let outside = |scope: &ResourceScope| {
            let mut others = other.scopes.iter();
            !others.any(|other| scope.lies_within(other, organization))
        };
        let scoped = other.scopes.is_empty()
            || (!self.scopes.is_empty() && !self.scopes.iter().any(outside));
        let lasts = match (self.expires_at, other.expires_at) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own <= other,
        };
        let paced = match (self.rate_limit_override, other.rate_limit_override) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(other)) => own <= other,
        };
        let from_there = match (&self.allowed_origins, &other.allowed_origins) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(others)) => own
                .iter()
                .all(|own| others.iter().any(|other| origin_lies_within(own, other))),
        };
        scoped && lasts && paced && from_there && self.permission() <= other.permission()
    }

    /// What is left of it under a ceiling; at least the weakest permission.
    #[must_use]
    pub fn under(mut self, ceiling: Permission) -> Self {
        if self.permission() > ceiling {
            self.permissions.retain(|permission| *permission < ceiling);
            self.permissions.push(ceiling);
        }
        self
    }
}

/// Whether a text is what a pattern describes, where `*` is any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how far the text was when it had taken as little as it has so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(kind: &str, id: &str, operations: Option<&[&str]>) -> ResourceScope {
        ResourceScope {
            resource_type: kind.to_owned(),
            resource_id: id.to_owned(),
            operations: operations.map(|words| words.iter().map(|w| (*w).to_owned()).collect()),
        }
    }

    fn grant(permission: Permission, scopes: &[ResourceScope]) -> Grant {
        Grant {
            scopes: scopes.to_vec(),
            ..Grant::of(permission)
        }
    }

    fn organization() -> OrganizationId {
        "int_abcdefghijklmnopqrstuvwx".parse().expect("well formed")
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything"),
            ("a*", "a"),
            ("a*c", "abbc"),
            ("*b*", "abc"),
            ("a*b*c", "aXbYbZc"),
            ("é*", "éa"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "ab"),
            ("a*c", "abd"),
            ("*b", "ba"),
            ("A", "a"),
            ("a*", "*"),
            ("?", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_scope_covers_what_lies_within_what_it_names() {
        let bucket = [
            Place::named(ResourceType::Bucket, "bkt_1", "files"),
            Place::named(ResourceType::Namespace, "ns_1", "team-a"),
        ];
        let all = grant(Permission::Write, &[]);
        assert_eq!(all.permission_at(&bucket), Some(Permission::Write));
        for (kind, id, covered) in [
            ("bucket", "bkt_1", true),
            ("bucket", "fil*", true),
            ("namespace", "team-*", true),
            ("bucket", "bkt_2", false),
            ("namespace", "files", false),
            ("retriever", "*", false),
            ("user", "*", false),
        ] {
            let grant = grant(Permission::Write, &[scope(kind, id, None)]);
            let expected = covered.then_some(Permission::Write);
            assert_eq!(grant.permission_at(&bucket), expected, "{kind} {id}");
        }
        let one = grant(Permission::Write, &[scope("bucket", "bkt_*", None)]);
        let every = [Place::all(ResourceType::Bucket)];
        assert_eq!(one.permission_at(&every), None);
    }

    #[test]
    fn operations_lower_the_permission_within_a_scope() {
        let place = [Place::as_told(ResourceType::Bucket, "bkt_1")];
        for (operations, left) in [
            (Some(&["read_data"][..]), Some(Permission::Read)),
            (
                Some(&["read_data", "delete_data"]),
                Some(Permission::Delete),
            ),
            (Some(&["manage_permissions"]), Some(Permission::Delete)),
            (Some(&["create_cluster"]), None),
            (Some(&[]), None),
            (None, Some(Permission::Delete)),
        ] {
            let grant = grant(Permission::Delete, &[scope("bucket", "*", operations)]);
            assert_eq!(grant.permission_at(&place), left, "{operations:?}");
        }
    }

    #[test]
    fn nothing_is_granted_beyond_the_grant_it_comes_from() {
        let own = grant(
            Permission::Delete,
            &[
                scope("bucket", "team-*", Some(&["write_data"])),
                scope("user", "*", None),
            ],
        );
        let within = |other: &Grant| other.lies_within(&own, &organization());
        assert!(within(&own));
        let good = scope("bucket", "team-a*", Some(&["read_data"]));
        assert!(within(&grant(
            Permission::Read,
            std::slice::from_ref(&good)
        )));
        for scopes in [
            vec![],
            vec![scope("bucket", "*", Some(&["read_data"]))],
            vec![scope("bucket", "team-a", None)],
            vec![scope("namespace", "team-a", None)],
            vec![good.clone(), scope("organization", "*", None)],
        ] {
            assert!(!within(&grant(Permission::Read, &scopes)), "{scopes:?}");
        }
        assert!(!within(&grant(
            Permission::Admin,
            std::slice::from_ref(&good)
        )));
        let whole = grant(Permission::Admin, &[scope("organization", "*", None)]);
        assert!(own.lies_within(&whole, &organization()));
        let mut ending = whole.clone();
        ending.expires_at = crate::Timestamp::from_timestamp(1_900_000_000, 0);
        assert!(!own.lies_within(&ending, &organization()));
        assert!(ending.lies_within(&whole, &organization()));
    }

    #[test]
    fn neither_more_requests_nor_other_origins_are_granted() {
        let limits = |limit: Option<u32>, origins: Option<&[&str]>| {
            let mut grant = Grant::of(Permission::Read);
            grant.rate_limit_override = limit;
            grant.allowed_origins =
                origins.map(|list| list.iter().map(ToString::to_string).collect());
            grant
        };
        let own = limits(Some(10), Some(&["https://*.example.com", "https://a.test"]));
        let within = |limit, origins| limits(limit, origins).lies_within(&own, &organization());
        let good: Option<&[&str]> = Some(&["https://a.test", "https://x.example.com"]);
        assert!(within(Some(10), good));
        assert!(within(Some(1), Some(&["https://*.b.example.com"])));
        for limit in [None, Some(11)] {
            assert!(!within(limit, good), "{limit:?}");
        }
        for origins in [
            None,
            Some(&["https://*.test"][..]),
            Some(&["http://x.example.com"]),
            Some(&["https://example.com"]),
            Some(&["https://a.test", "https://b.test"]),
        ] {
            assert!(!within(Some(1), origins), "{origins:?}");
        }
        assert!(own.lies_within(&limits(None, None), &organization()));
    }

    #[test]
    fn a_ceiling_leaves_what_lies_below_it() {
        let mut grant = Grant::of(Permission::Read);
        grant.permissions = vec![Permission::Read, Permission::Delete, Permission::Admin];
        let left = |ceiling| grant.clone().under(ceiling).permissions;
        assert_eq!(left(Permission::Admin), grant.permissions);
        assert_eq!(
            left(Permission::Delete),
            [Permission::Read, Permission::Delete]
        );
        assert_eq!(left(Permission::Read), [Permission::Read]);
    }
}
