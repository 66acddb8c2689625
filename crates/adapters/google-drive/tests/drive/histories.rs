//! Whatever happens in a drive: who listed it once and followed the feed knows what whoever lists it now does.

use std::collections::BTreeMap;

use wharf_domain::plan::Entry;
use wharf_domain::run::feed::Absent;
use wharf_lab::google::{Mutation, NewItem, Role};

use crate::account::{ADA, SERVICE};
use crate::source::Source;

/// Chance that is the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count as u64).unwrap()
    }

    fn pick<'a>(&mut self, of: &'a [String]) -> &'a str {
        &of[self.below(of.len())]
    }
}

/// What somebody knows who follows.
#[derive(Default)]
struct Catalogue(BTreeMap<String, Entry>);

impl Catalogue {
    fn miss(&mut self, absent: &Absent) {
        let in_it = format!("/{}/", absent.id);
        self.0
            .retain(|id, entry| *id != absent.id && !entry.lineage.contains(&in_it));
    }

    fn note(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            self.0.insert(entry.object.clone(), entry);
        }
    }
}

/// A drive in which much happens.
struct History {
    source: Source,
    dice: Dice,
    /// Folders in the source and beside it.
    folders: Vec<String>,
    files: Vec<String>,
    count: usize,
}

impl History {
    fn new(source: Source, outside: &str, seed: u64) -> Self {
        let folders = vec![source.top.clone(), outside.to_owned()];
        let mut history = Self {
            source,
            dice: Dice(seed),
            folders,
            files: Vec::new(),
            count: 0,
        };
        for _ in 0..40 {
            history.make();
        }
        history
    }

    fn name(&mut self) -> String {
        self.count += 1;
        // Some repeat.
        format!("n{}", self.dice.below(self.count))
    }

    fn make(&mut self) {
        let name = self.name();
        let folder = self.dice.pick(&self.folders).to_owned();
        let made = if self.dice.below(3) == 0 {
            NewItem::folder(name)
        } else {
            let bytes = format!("{}", self.count);
            NewItem::blob(name, bytes)
        };
        let is_folder = matches!(made.holding, wharf_lab::google::Holding::Folder(_));
        // The folder may be gone for good.
        if let Ok(id) = self.source.google().add(made.inside(folder)) {
            if is_folder {
                self.folders.push(id);
            } else {
                self.files.push(id);
            }
        }
    }

    /// A folder, but for the source's own and the one beside it; or a file.
    fn any(&mut self) -> String {
        if self.dice.below(2) == 0 && self.folders.len() > 2 {
            return self.dice.pick(&self.folders[2..]).to_owned();
        }
        self.dice.pick(&self.files).to_owned()
    }

    fn happen(&mut self) {
        let file = self.any();
        let mutation = match self.dice.below(8) {
            0 | 1 => return self.make(),
            2 => Mutation::rename(file, self.name()),
            3 => Mutation::trash(file),
            4 => Mutation::untrash(file),
            5 if self.dice.below(4) == 0 => Mutation::delete(file),
            6 => Mutation::modify(self.dice.pick(&self.files), format!("{}", self.count)),
            _ => Mutation::relocate(file, self.dice.pick(&self.folders)),
        };
        // What cannot happen does not: a folder goes into itself, or what is gone is renamed.
        let _ = self.source.google().mutate(mutation);
    }

    /// Something happens while the drive is listed, which the feed tells whatever the listing makes of it. The last page's files stay:
    /// a page that begins behind one that is gone may skip another, and only the next listing sees it.
    fn happen_meanwhile(&mut self, last: &[String]) {
        let file = self.dice.pick(&self.files).to_owned();
        if last.contains(&file) {
            return self.make();
        }
        let mutation = match self.dice.below(5) {
            0 => Mutation::rename(file, self.name()),
            1 => Mutation::modify(file, "meanwhile"),
            2 => Mutation::trash(file),
            _ => Mutation::relocate(file, self.dice.pick(&self.folders)),
        };
        // A shortcut has nothing to change.
        let _ = self.source.google().mutate(mutation);
    }

    async fn follow(mut self, what: &str) {
        let mut known = Catalogue::default();
        let mut place = self.source.feed().await;
        let limit = u32::try_from(1 + self.dice.below(40)).unwrap();
        let (mut provider, mut cursor) = (self.source.open(), None);
        loop {
            let page = provider.list(&self.source.scope, cursor.as_ref(), limit);
            let page = page.await.unwrap();
            let last: Vec<_> = page
                .entries
                .iter()
                .map(|entry| entry.object.clone())
                .collect();
            known.note(page.entries);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            self.happen_meanwhile(&last);
            if self.dice.below(3) == 0 {
                provider = self.source.open();
            }
        }
        provider = self.source.open();
        for round in 0..8 {
            for _ in 0..=self.dice.below(12) {
                self.happen();
            }
            let limit = u32::try_from(1 + self.dice.below(40)).unwrap();
            loop {
                // Now and then somebody else takes over.
                if self.dice.below(3) == 0 {
                    provider = self.source.open();
                }
                let page = provider.changes(&self.source.scope, &place, limit).await;
                let page = page.unwrap();
                place = page.next;
                page.absent.iter().for_each(|absent| known.miss(absent));
                known.note(page.entries);
                if page.caught_up {
                    break;
                }
            }
            let mut listed = Catalogue::default();
            listed.note(self.source.listed().await);
            for (id, entry) in &listed.0 {
                let here = format!("{what}, round {round}, pages of {limit}");
                assert_eq!(known.0.get(id), Some(entry), "{here}");
            }
            let more: Vec<_> = known
                .0
                .keys()
                .filter(|id| !listed.0.contains_key(*id))
                .collect();
            assert!(more.is_empty(), "{what}, round {round}: {more:?}");
        }
    }
}

#[tokio::test]
async fn the_feed_and_a_listing_agree_on_a_shared_drive() {
    for seed in 1..=5 {
        let source = Source::folder_of_drive(Role::Organizer).await;
        let outside = source.folder("outside", &source.drive_id());
        let history = History::new(source, &outside, seed * 77);
        history.follow(&format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn the_feed_and_a_listing_agree_on_a_whole_shared_drive() {
    for seed in 1..=5 {
        let source = Source::drive(Role::Reader).await;
        let outside = source.folder("inside, too", &source.top);
        let history = History::new(source, &outside, seed * 101);
        history.follow(&format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn the_feed_and_a_listing_agree_on_a_person_s_folder() {
    for seed in 1..=5 {
        let source = Source::mine().await;
        let root = source.top.clone();
        let top = source.folder("Top", &root);
        let history = History::new(source.with_top(&top), &root, seed * 1009);
        history.follow(&format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn the_feed_and_a_listing_agree_where_shortcuts_lead_out_of_the_source() {
    for seed in 1..=5 {
        let source = Source::mine().await;
        let root = source.google().root_of(SERVICE).unwrap();
        let elsewhere = NewItem::folder("Elsewhere").shared_with(ADA, Role::Reader);
        let elsewhere = source.add(elsewhere, &root);
        let deep = source.folder("deep", &elsewhere);
        source.file("far", &deep);
        let lone = NewItem::blob("lone", "lone").shared_with(ADA, Role::Reader);
        let lone = source.add(lone, &root);
        let mine = source.top.clone();
        let top = source.folder("Top", &mine);
        let mut history = History::new(source.with_top(&top), &mine, seed * 31);
        for target in [&elsewhere, &lone] {
            let folder = history.dice.pick(&history.folders).to_owned();
            let shortcut = history
                .source
                .add(NewItem::shortcut("link", target), &folder);
            history.files.push(shortcut);
        }
        history.follow(&format!("seed {seed}")).await;
    }
}
