//! What [`StorageProvider`](wharf_ports::StorageProvider) promises: of any honest provider, and of one that misbehaves.

pub mod honest;
pub mod misbehaving;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use wharf_domain::plan::Entry;
use wharf_ports::{FetchWish, Looked, OpenProvider, ProviderError};

use crate::Place;

/// A listing that has not ended by then never ends.
const MANY_PAGES: usize = 5000;

/// A file without a pattern.
fn content(seed: usize, size: usize) -> Vec<u8> {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

async fn put<P: Place + ?Sized>(place: &P, name: &str, bytes: &[u8]) {
    assert!(place.put(name, bytes).await, "{name:?} was not taken");
}

/// `file-0000`, `file-0001`, …
async fn put_many<P: Place + ?Sized>(place: &P, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count)
        .map(|number| format!("file-{number:04}"))
        .collect();
    let puts = names.chunks(8).map(|names| async move {
        let puts = names.iter().map(|name| put(place, name, name.as_bytes()));
        futures::future::join_all(puts).await;
    });
    for puts in puts {
        puts.await;
    }
    names
}

/// Every entry of all pages, from the start.
async fn list_all(
    provider: &OpenProvider,
    scope: &str,
    limit: u32,
) -> Result<Vec<Entry>, ProviderError> {
    let (mut entries, mut cursor) = (Vec::new(), None);
    for _ in 0..MANY_PAGES {
        let page = provider.list(scope, cursor.as_ref(), limit).await?;
        assert!(
            page.entries.len() <= limit as usize,
            "{} entries in a page of {limit}",
            page.entries.len()
        );
        entries.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return Ok(entries);
        }
    }
    panic!("the listing does not end")
}

async fn listed<P: Place + ?Sized>(place: &P) -> BTreeMap<String, Entry> {
    let entries = list_all(&place.open(), &place.scope(), 1000).await.unwrap();
    let count = entries.len();
    let by_path: BTreeMap<_, _> = entries
        .into_iter()
        .map(|entry| (entry.path.clone(), entry))
        .collect();
    assert_eq!(by_path.len(), count, "two entries of one path");
    by_path
}

async fn entry_of<P: Place + ?Sized>(place: &P, name: &str) -> Entry {
    let mut listed = listed(place).await;
    let path = place.path_of(name);
    listed
        .remove(&path)
        .unwrap_or_else(|| panic!("{path:?} is not in {:?}", listed.keys()))
}

/// Paths of files with these names, in order.
fn paths<'a, P: Place + ?Sized>(
    place: &P,
    names: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let mut paths: Vec<String> = names.into_iter().map(|name| place.path_of(name)).collect();
    paths.sort();
    paths
}

fn paths_in(entries: &[Entry]) -> Vec<String> {
    let mut paths: Vec<String> = entries.iter().map(|entry| entry.path.clone()).collect();
    paths.sort();
    paths
}

async fn look<P: Place + ?Sized>(
    place: &P,
    provider: &OpenProvider,
    object: &str,
) -> Result<Option<Looked>, ProviderError> {
    provider.look(&place.scope(), object).await
}

async fn read(provider: &OpenProvider, entry: &Entry) -> Result<Vec<u8>, ProviderError> {
    let fetched = provider.fetch(entry, FetchWish::default()).await?;
    let parts: Vec<Bytes> = fetched.bytes.try_collect().await?;
    Ok(parts.concat())
}
