//! All rules of a sync as one decision about a file.

use std::fmt;

use super::metadata::{MetadataFilter, look_up};
use super::{FileFilters, ProviderFilters, content_type, file_name};
use crate::{Metadata, Timestamp, time_text};

/// A rule that can keep a file out, named as the setting it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// `provider_filters.prefix`.
    ProviderPrefix,
    /// `sync_from`.
    SyncFrom,
    /// `include_patterns`.
    IncludePatterns,
    /// `exclude_patterns`.
    ExcludePatterns,
    /// `extensions`.
    Extensions,
    /// `min_size_bytes`.
    MinSizeBytes,
    /// `max_size_bytes`.
    MaxSizeBytes,
    /// `modified_after`.
    ModifiedAfter,
    /// `modified_before`.
    ModifiedBefore,
    /// `mime_types`.
    MimeTypes,
    /// `metadata_filters`.
    MetadataFilters,
}

impl Rule {
    /// Every rule, in the order in which they are asked.
    pub const ALL: [Self; 11] = [
        Self::ProviderPrefix,
        Self::SyncFrom,
        Self::IncludePatterns,
        Self::ExcludePatterns,
        Self::Extensions,
        Self::MinSizeBytes,
        Self::MaxSizeBytes,
        Self::ModifiedAfter,
        Self::ModifiedBefore,
        Self::MimeTypes,
        Self::MetadataFilters,
    ];

    /// The name of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderPrefix => "provider_filters.prefix",
            Self::SyncFrom => "sync_from",
            Self::IncludePatterns => "include_patterns",
            Self::ExcludePatterns => "exclude_patterns",
            Self::Extensions => "extensions",
            Self::MinSizeBytes => "min_size_bytes",
            Self::MaxSizeBytes => "max_size_bytes",
            Self::ModifiedAfter => "modified_after",
            Self::ModifiedBefore => "modified_before",
            Self::MimeTypes => "mime_types",
            Self::MetadataFilters => "metadata_filters",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No rule that was asked keeps it out.
    Keep,
    /// The first rule that keeps it out.
    Filtered(Rule),
}

/// What a listing tells of a file. What it does not tell lets the file through.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its path from the sync's source root.
    pub relative_path: &'a str,
    /// Its size.
    pub size_bytes: Option<u64>,
    /// When it was last modified.
    pub modified_at: Option<Timestamp>,
}

/// What only the file itself tells.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Its path from the sync's source root.
    pub relative_path: &'a str,
    /// Its content type, as the provider tells it.
    pub content_type: Option<&'a str>,
    /// Its metadata.
    pub metadata: &'a Metadata,
    /// Its tags.
    pub tags: &'a Metadata,
}

impl<'a> Facts<'a> {
    fn effective_type(&self) -> Option<&'a str> {
        content_type(self.content_type, file_name(self.relative_path))
    }
}

/// All rules of a sync. A file is taken if every one lets it through.
#[derive(Debug, Clone)]
pub struct Rules {
    filters: FileFilters,
    provider_prefix: Option<String>,
    sync_from: Option<Timestamp>,
}

impl Rules {
    /// The rules that these settings make together.
    pub fn new(
        filters: &FileFilters,
        provider: &ProviderFilters,
        sync_from: Option<Timestamp>,
    ) -> Self {
        Self {
            filters: filters.clone(),
            provider_prefix: provider.prefix.clone(),
            sync_from,
        }
    }

    /// The first stage: what a listing can decide.
    pub fn by_listing(&self, listed: &Listed<'_>) -> Verdict {
        let filters = &self.filters;
        let path = listed.relative_path;
        let passes = |rule| match rule {
            Rule::ProviderPrefix => self
                .provider_prefix
                .as_ref()
                .is_none_or(|prefix| path.starts_with(prefix)),
            Rule::SyncFrom => both(self.sync_from, listed.modified_at, |from, at| at > from),
            Rule::IncludePatterns => {
                any_or_none(&filters.include_patterns, |glob| glob.matches(path))
            }
            Rule::ExcludePatterns => !filters
                .exclude_patterns
                .iter()
                .any(|glob| glob.matches(path)),
            Rule::Extensions => {
                any_or_none(&filters.extensions, |extension| extension.matches(path))
            }
            Rule::MinSizeBytes => both(filters.min_size_bytes, listed.size_bytes, |min, size| {
                size >= min
            }),
            Rule::MaxSizeBytes => both(filters.max_size_bytes, listed.size_bytes, |max, size| {
                size <= max
            }),
            Rule::ModifiedAfter => both(filters.modified_after, listed.modified_at, |after, at| {
                at > after
            }),
            Rule::ModifiedBefore => {
                both(filters.modified_before, listed.modified_at, |before, at| {
                    at < before
                })
            }
            Rule::MimeTypes | Rule::MetadataFilters => true,
        };
        first_failing(passes)
    }

    /// Whether there is a second stage to ask: rules that need what only the file itself tells.
    pub fn needs_facts(&self) -> bool {
        !self.filters.mime_types.is_empty() || self.needs_tags()
    }

    /// Whether that includes its tags.
    pub fn needs_tags(&self) -> bool {
        !self.filters.metadata_filters.is_empty()
    }

    /// The second stage: content type, metadata and tags. A file whose type nobody knows satisfies no `mime_types`.
    pub fn by_facts(&self, facts: &Facts<'_>) -> Verdict {
        let filters = &self.filters;
        let passes = |rule| match rule {
            Rule::MimeTypes => any_or_none(&filters.mime_types, |pattern| {
                facts
                    .effective_type()
                    .is_some_and(|found| pattern.matches(found))
            }),
            Rule::MetadataFilters => filters
                .metadata_filters
                .iter()
                .all(|filter| filter.holds(facts.metadata, facts.tags)),
            _ => true,
        };
        first_failing(passes)
    }

    /// The second stage for a version that was copied before, by what was kept of it. Its tags may not have been asked for
    /// then: a metadata filter that might find its field in them lets the file through.
    pub fn by_remembered(&self, facts: &Facts<'_>) -> Verdict {
        match self.by_facts(facts) {
            Verdict::Filtered(Rule::MetadataFilters) if facts.tags.is_empty() => {
                let told =
                    |filter: &MetadataFilter| look_up(facts.metadata, &filter.field).is_some();
                let fails = |filter: &MetadataFilter| !filter.holds(facts.metadata, facts.tags);
                let mut filters = self.filters.metadata_filters.iter();
                if filters.any(|filter| told(filter) && fails(filter)) {
                    Verdict::Filtered(Rule::MetadataFilters)
                } else {
                    Verdict::Keep
                }
            }
            verdict => verdict,
        }
    }

    /// Says to a person why `rule` keeps a file out, as far as what is known of the file tells.
    pub fn describe(&self, rule: Rule, listed: &Listed<'_>, facts: Option<&Facts<'_>>) -> String {
        self.reason(rule, listed, facts)
            .unwrap_or_else(|| format!("{rule} does not let the file through"))
    }

    fn reason(&self, rule: Rule, listed: &Listed<'_>, facts: Option<&Facts<'_>>) -> Option<String> {
        let filters = &self.filters;
        let size = |bound: Option<u64>| {
            Some(format!(
                "the file is {} bytes, {rule} is {}",
                listed.size_bytes?, bound?
            ))
        };
        let time = |bound: Option<Timestamp>| {
            let modified = time_text(&listed.modified_at?);
            Some(format!(
                "the file was modified at {modified}, {rule} is {}",
                time_text(&bound?)
            ))
        };
        match rule {
            Rule::ProviderPrefix => {
                let prefix = self.provider_prefix.as_ref()?;
                Some(format!("the path does not start with {prefix}, the {rule}"))
            }
            Rule::SyncFrom => time(self.sync_from),
            Rule::IncludePatterns => Some(format!("the path matches none of the {rule}")),
            Rule::ExcludePatterns => {
                let mut globs = filters.exclude_patterns.iter();
                let glob = globs.find(|glob| glob.matches(listed.relative_path))?;
                Some(format!(
                    "the path matches {}, one of the {rule}",
                    glob.as_str()
                ))
            }
            Rule::Extensions => Some(format!("the file name ends with none of the {rule}")),
            Rule::MinSizeBytes => size(filters.min_size_bytes),
            Rule::MaxSizeBytes => size(filters.max_size_bytes),
            Rule::ModifiedAfter => time(filters.modified_after),
            Rule::ModifiedBefore => time(filters.modified_before),
            Rule::MimeTypes => Some(match facts?.effective_type() {
                Some(found) => format!("the content type is {found}, none of the {rule}"),
                None => format!("the content type is not known, and {rule} asks for one"),
            }),
            Rule::MetadataFilters => {
                let facts = facts?;
                let mut all = filters.metadata_filters.iter();
                let failing = all.find(|filter| !filter.holds(facts.metadata, facts.tags))?;
                Some(format!(
                    "the metadata does not satisfy \"{failing}\", one of the {rule}"
                ))
            }
        }
    }
}

fn first_failing(passes: impl Fn(Rule) -> bool) -> Verdict {
    Rule::ALL
        .into_iter()
        .find(|&rule| !passes(rule))
        .map_or(Verdict::Keep, Verdict::Filtered)
}

/// Whether `holds` of a bound and what was found; without either there is nothing to fail.
fn both<T>(bound: Option<T>, found: Option<T>, holds: fn(T, T) -> bool) -> bool {
    match (bound, found) {
        (Some(bound), Some(found)) => holds(bound, found),
        _ => true,
    }
}

fn any_or_none<T>(items: &[T], holds: impl Fn(&T) -> bool) -> bool {
    items.is_empty() || items.iter().any(holds)
}
