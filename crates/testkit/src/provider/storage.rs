use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use wharf_domain::Metadata;
use wharf_domain::check::CheckReport;
use wharf_domain::error_code::ErrorCode;
use wharf_domain::plan::Entry;
use wharf_domain::provider::BucketPath;
use wharf_domain::sync::Cursor;
use wharf_ports::{
    Browse, Browsed, ByteStream, CheckRequest, FetchWish, Fetched, ListingPage, Looked,
    ProviderError, StorageProvider,
};

use super::FakeSource;
use super::source::{Failure, Inner, Mishap, Vice};

/// How many bytes one item of a file's stream holds.
const CHUNK: usize = 64 * 1024;

/// A [`FakeSource`] seen through the port.
#[derive(Debug, Clone)]
pub struct FakeProvider(FakeSource);

impl FakeProvider {
    /// Opens a source.
    pub fn new(source: FakeSource) -> Self {
        Self(source)
    }
}

/// Where a listing goes on: the epoch of its cursors, the number of the next page, the last name of the one before.
struct Place {
    epoch: u64,
    page: usize,
    after: String,
}

impl Place {
    fn read(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.0.splitn(3, ' ');
        let (epoch, page) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self {
            epoch,
            page,
            after: parts.next()?.to_owned(),
        })
    }

    fn cursor(&self) -> Cursor {
        Cursor(format!("{} {} {}", self.epoch, self.page, self.after))
    }
}

#[async_trait]
impl StorageProvider for FakeProvider {
    fn authority(&self) -> String {
        self.0.lock().authority.clone()
    }

    async fn check(&self, request: CheckRequest<'_>) -> CheckReport {
        self.0.about_to_check().await;
        let mut inner = self.0.lock();
        inner.calls.checks += 1;
        inner.calls.checks_of_path += u64::from(request.source_path.is_some());
        inner.report()
    }

    async fn list(
        &self,
        source_path: &str,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<ListingPage, ProviderError> {
        self.0.about_to_list(source_path).await;
        let mut inner = self.0.lock();
        inner.calls.lists += 1;
        let epoch = inner.cursor_epoch;
        let place = match cursor {
            None => None,
            Some(cursor) => {
                let valid = Place::read(cursor).filter(|place| place.epoch == epoch);
                Some(valid.ok_or_else(|| Failure::restart().error())?)
            }
        };
        let page = place.as_ref().map_or(1, |place| place.page);
        if let Some(failure) = inner.page_failure(page) {
            return Err(failure.error());
        }
        let size = inner
            .page_size
            .min(usize::try_from(limit.clamp(1, 1000)).unwrap_or(1000));
        let after = place.as_ref().map(|place| place.after.as_str());
        let mut names = names_after(&inner, source_path, after, size + 1);
        let more = names.len() > size;
        names.truncate(size);
        let next = more.then(|| {
            Place {
                epoch,
                page: page + 1,
                after: names.last().cloned().unwrap_or_default(),
            }
            .cursor()
        });
        let next = match (inner.vice, cursor) {
            (Some(Vice::CutShort), _) if more => {
                return Err(ProviderError::transient(
                    ErrorCode::ProtocolUnexpectedResponse,
                    "the listing is cut short: more follows, but no token to ask for it",
                ));
            }
            (Some(Vice::RepeatsToken), Some(cursor)) => Some(cursor.clone()),
            _ => next,
        };
        let entries = names.iter().map(|name| inner.files[name].entry(name));
        let denied = inner.denied.iter().filter(|_| page == 1);
        Ok(ListingPage {
            entries: entries.collect(),
            next,
            denied: denied.cloned().collect(),
        })
    }

    async fn fetch(&self, entry: &Entry, wish: FetchWish) -> Result<Fetched, ProviderError> {
        self.0.about_to_fetch(&entry.object).await;
        let mut inner = self.0.lock();
        inner.calls.fetches += 1;
        let mishap = inner.mishap(&entry.object);
        if let Some(Mishap::Refused(failure)) = &mishap {
            return Err(failure.error());
        }
        if inner.denies(&entry.object) {
            return Err(denied());
        }
        let file = inner.files.get(&entry.object).ok_or_else(|| {
            ProviderError::permanent(ErrorCode::ResourceNotFound, "the file is gone")
        })?;
        if file.version != entry.version {
            return Err(ProviderError::transient(
                ErrorCode::ResourceChanged,
                "the file has changed",
            ));
        }
        Ok(Fetched {
            bytes: stream_of(file.bytes.clone(), mishap.as_ref()),
            content_type: Some(file.content_type.clone()),
            metadata: file.metadata.clone(),
            tags: if wish.tags {
                file.tags.clone()
            } else {
                Metadata::new()
            },
            version_id: file.version_id.clone(),
        })
    }

    async fn browse(
        &self,
        what: Browse,
        path: &str,
        limit: u32,
    ) -> Result<Vec<Browsed>, ProviderError> {
        self.0.about_to_list(path).await;
        let mut inner = self.0.lock();
        let folder = path.trim_matches('/');
        if let Some(failure) = inner.look_failure(folder) {
            return Err(failure.error());
        }
        let below = inner.files.iter().filter_map(|(object, file)| {
            let rest = match folder {
                "" => object.as_str(),
                folder => object.strip_prefix(folder)?.strip_prefix('/')?,
            };
            Some((rest, file))
        });
        let within = |name: &str| format!("{folder}/{name}").trim_matches('/').to_owned();
        let mut found: Vec<Browsed> = match what {
            Browse::Folders => below
                .filter_map(|(rest, _)| Some(rest.split_once('/')?.0))
                .map(|name| browsed(within(name), name, "folder"))
                .collect(),
            Browse::Files => below
                .filter(|(rest, _)| !rest.contains('/'))
                .map(|(name, file)| Browsed {
                    size_bytes: Some(file.bytes.len() as u64),
                    ..browsed(within(name), name, &file.content_type)
                })
                .collect(),
        };
        found.dedup();
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn look(&self, _: &str, object: &str) -> Result<Option<Looked>, ProviderError> {
        let mut inner = self.0.lock();
        inner.calls.looks += 1;
        if let Some(failure) = inner.look_failure(object) {
            return Err(failure.error());
        }
        if inner.denies(object) {
            return Err(denied());
        }
        Ok(inner.files.get(object).map(|file| Looked {
            entry: file.entry(object),
            content_type: Some(file.content_type.clone()),
            metadata: file.metadata.clone(),
            version_id: file.version_id.clone(),
        }))
    }
}

/// Something at a place, which is its identity, too.
fn browsed(id: String, name: &str, mime_type: &str) -> Browsed {
    Browsed {
        path: format!("/{id}"),
        id,
        name: name.to_owned(),
        mime_type: mime_type.to_owned(),
        size_bytes: None,
        modified_at: None,
        web_view_link: None,
    }
}

fn denied() -> ProviderError {
    ProviderError::permanent(ErrorCode::PermDenied, "the identity may not look there")
}

/// The next names of the files that are listed, in the listing's order.
fn names_after(inner: &Inner, source_path: &str, after: Option<&str>, most: usize) -> Vec<String> {
    let path = BucketPath::parse_scope(source_path, "source_path");
    let listed = |name: &&String| {
        let covered = match &path {
            Ok(path) => path.covers(name),
            Err(_) => name.starts_with(source_path),
        };
        covered && !inner.denies(name)
    };
    if inner.vice != Some(Vice::OutOfOrder) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = inner.files.range::<str, _>((from, Bound::Unbounded));
        let names = rest.map(|(name, _)| name).filter(listed);
        return names.take(most).cloned().collect();
    }
    let mut names: Vec<&String> = inner
        .files
        .keys()
        .filter(listed)
        .filter(|name| after.is_none_or(|after| mixed(name) > mixed(after)))
        .collect();
    names.sort_by_key(|name| mixed(name));
    names.into_iter().take(most).cloned().collect()
}

/// A place in an order of no meaning.
fn mixed(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// The bytes in chunks, with what goes wrong at their end.
fn stream_of(mut bytes: Bytes, mishap: Option<&Mishap>) -> ByteStream {
    let end = match mishap {
        None | Some(Mishap::Refused(_)) => None,
        Some(Mishap::Cut { after }) => {
            bytes.truncate(*after);
            Some(ProviderError::transient(
                ErrorCode::NetworkTimeout,
                "the bytes were cut short",
            ))
        }
        Some(Mishap::Corrupt) => {
            let mut changed = bytes.to_vec();
            if let Some(last) = changed.last_mut() {
                *last ^= 1;
            }
            bytes = changed.into();
            Some(ProviderError::transient(
                ErrorCode::IntegrityMismatch,
                "the bytes do not match their checksum",
            ))
        }
    };
    let mut items = Vec::new();
    while !bytes.is_empty() {
        items.push(Ok(bytes.split_to(CHUNK.min(bytes.len()))));
    }
    stream::iter(items.into_iter().chain(end.map(Err))).boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use wharf_ports::Retry;

    use super::super::Times;
    use super::*;

    async fn names(provider: &FakeProvider, path: &str) -> Result<Vec<String>, ProviderError> {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = provider.list(path, cursor.as_ref(), 1000).await?;
            names.extend(page.entries.into_iter().map(|entry| entry.object));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    async fn read(provider: &FakeProvider, entry: &Entry) -> Result<Vec<u8>, ProviderError> {
        let parts: Vec<Bytes> = provider
            .fetch(entry, FetchWish::default())
            .await?
            .bytes
            .try_collect()
            .await?;
        Ok(parts.concat())
    }

    #[tokio::test]
    async fn pages_cover_exactly_the_files_under_the_path() {
        let source = FakeSource::new();
        for object in ["media/a", "media/b", "media/c", "other/d"] {
            source.put(object, object.to_owned());
        }
        let provider = FakeProvider::new(source.clone());
        for size in 1..=4 {
            source.set_page_size(size);
            assert_eq!(
                names(&provider, "media/").await.unwrap(),
                ["media/a", "media/b", "media/c"],
                "{size}"
            );
        }
        source.set_page_size(1);
        source.forget_calls();
        names(&provider, "media/").await.unwrap();
        assert_eq!(source.calls().lists, 3);
    }

    #[tokio::test]
    async fn pages_fail_and_cursors_expire_when_told_to() {
        let source = FakeSource::new();
        source.put("a", "1");
        source.put("b", "2");
        source.set_page_size(1);
        let provider = FakeProvider::new(source.clone());
        source.fail_page(
            2,
            Failure::transient(ErrorCode::ProviderUnavailable),
            Times::Once,
        );
        assert_eq!(
            names(&provider, "").await.unwrap_err().code,
            ErrorCode::ProviderUnavailable
        );
        assert_eq!(
            names(&provider, "").await.unwrap().len(),
            2,
            "it was to happen once"
        );
        let cursor = provider.list("", None, 1000).await.unwrap().next;
        source.expire_cursors();
        assert_eq!(
            provider
                .list("", cursor.as_ref(), 1000)
                .await
                .unwrap_err()
                .retry,
            Retry::Restart
        );
    }

    #[tokio::test]
    async fn files_are_fetched_in_the_version_that_was_listed() {
        let source = FakeSource::new();
        source.put("a", "first");
        let provider = FakeProvider::new(source.clone());
        let entry = provider
            .list("", None, 1000)
            .await
            .unwrap()
            .entries
            .remove(0);
        assert_eq!(read(&provider, &entry).await.unwrap(), b"first");
        source.cut("a", 2, Times::Once);
        assert_eq!(
            read(&provider, &entry).await.unwrap_err().code,
            ErrorCode::NetworkTimeout
        );
        source.corrupt("a", Times::Once);
        assert_eq!(
            read(&provider, &entry).await.unwrap_err().code,
            ErrorCode::IntegrityMismatch
        );
        source.put("a", "second");
        assert_eq!(
            read(&provider, &entry).await.unwrap_err().code,
            ErrorCode::ResourceChanged
        );
        source.remove("a");
        assert_eq!(
            read(&provider, &entry).await.unwrap_err().code,
            ErrorCode::ResourceNotFound
        );
        assert_eq!(source.calls().fetches, 5);
    }

    fn five() -> (FakeSource, FakeProvider) {
        let source = FakeSource::new();
        for object in ["media/a", "media/b", "media/c/1", "media/c/2", "media/d"] {
            source.put(object, object.to_owned());
        }
        source.set_page_size(2);
        (source.clone(), FakeProvider::new(source))
    }

    #[tokio::test]
    async fn what_is_said_of_a_file_comes_with_it_and_with_a_look() {
        let (source, provider) = five();
        source.set_tags("media/a", &[("berth", "north")]);
        source.set_metadata("media/a", &[("tide", "high")]);
        source.set_content_type("media/a", "text/plain");
        source.set_version_id("media/a", "x1");
        let looked = provider.look("media", "media/a").await.unwrap().unwrap();
        let page = provider.list("media", None, 1000).await.unwrap();
        assert_eq!(looked.entry, page.entries[0]);
        for (tags, told) in [(true, 1), (false, 0)] {
            let wish = FetchWish { tags };
            let fetched = provider.fetch(&looked.entry, wish).await.unwrap();
            assert_eq!(fetched.tags.len(), told);
            assert_eq!(fetched.metadata, looked.metadata);
            assert_eq!(fetched.metadata["tide"], "high");
            assert_eq!(fetched.content_type.as_deref(), Some("text/plain"));
            assert_eq!(fetched.version_id.as_deref(), Some("x1"));
        }
        assert_eq!(provider.look("media", "media/z").await.unwrap(), None);
        assert_eq!(source.calls().looks, 2);
        let outage = Failure::transient(ErrorCode::ProviderUnavailable);
        source.fail_look("media/a", outage, Times::Once);
        assert!(provider.look("media", "media/a").await.is_err());
        assert!(provider.look("media", "media/a").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_denied_is_named_and_not_shown() {
        let (source, provider) = five();
        let hidden = provider.look("media", "media/c/1").await.unwrap().unwrap();
        source.deny_scope("media/c/");
        let first = provider.list("media", None, 1000).await.unwrap();
        assert_eq!(first.denied, ["media/c/"]);
        let second = provider.list("media", first.next.as_ref(), 1000).await;
        assert!(second.unwrap().denied.is_empty());
        assert_eq!(
            names(&provider, "media").await.unwrap(),
            ["media/a", "media/b", "media/d"]
        );
        let looked = provider.look("media", "media/c/1").await.unwrap_err();
        let fetched = read(&provider, &hidden.entry).await.unwrap_err();
        for error in [looked, fetched] {
            assert_eq!(error.code, ErrorCode::PermDenied);
        }
        source.heal();
        assert_eq!(names(&provider, "media").await.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn listings_are_out_of_order_repeat_themselves_and_are_cut_short_when_told_to() {
        let (source, provider) = five();
        let in_order = names(&provider, "media").await.unwrap();
        source.list_out_of_order();
        let mut listed = names(&provider, "media").await.unwrap();
        assert_ne!(listed, in_order);
        assert_eq!(names(&provider, "media").await.unwrap(), listed);
        listed.sort();
        assert_eq!(listed, in_order);

        source.repeat_token();
        let first = provider.list("media", None, 1000).await.unwrap();
        let second = provider.list("media", first.next.as_ref(), 1000).await;
        assert_eq!(second.unwrap().next, first.next);

        source.truncate_without_token();
        let error = names(&provider, "media").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::ProtocolUnexpectedResponse);
        source.set_page_size(5);
        assert_eq!(names(&provider, "media").await.unwrap(), in_order);
    }

    #[tokio::test]
    async fn a_scope_narrows_by_the_beginning_of_names() {
        let (_, provider) = five();
        assert_eq!(
            names(&provider, "media:c").await.unwrap(),
            ["media/c/1", "media/c/2"]
        );
    }

    #[test]
    fn a_share_of_the_files_is_lost_evenly() {
        for (share, lost) in [(0.0, 0), (0.2, 20), (0.6, 60), (1.0, 100)] {
            let source = FakeSource::new();
            for number in 0..100 {
                source.put(&format!("media/{number:02}"), "x");
            }
            assert_eq!(source.lose(share).len(), lost, "{share}");
            assert_eq!(source.files().len(), 100 - lost, "{share}");
        }
    }
}
