//! Files that an answer told of a moment ago, so that whoever copies them need not ask for each again.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::remote::RemoteFile;

/// How many, some 2 KB each.
const MOST: usize = 2000;

/// How long what was told counts.
const MOMENT: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(super) struct Recent {
    files: HashMap<String, (Instant, RemoteFile)>,
    /// Oldest first; an id that was told of again stands there again.
    order: VecDeque<(Instant, String)>,
}

impl Recent {
    pub(super) fn note(&mut self, file: &RemoteFile) {
        let now = Instant::now();
        self.order.push_back((now, file.id.clone()));
        self.files.insert(file.id.clone(), (now, file.clone()));
        while self.order.len() > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((then, id)) = self.order.pop_front() else {
            return;
        };
        if self.files.get(&id).is_some_and(|(told, _)| *told == then) {
            self.files.remove(&id);
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&RemoteFile> {
        let (told, file) = self.files.get(id)?;
        (told.elapsed() < MOMENT).then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: usize) -> RemoteFile {
        RemoteFile {
            id: id.to_string(),
            ..RemoteFile::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_remembered_and_for_a_moment() {
        let mut recent = Recent::default();
        for id in 0..MOST + 10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            recent.note(&file(id));
        }
        assert_eq!(recent.files.len(), MOST);
        assert!(recent.get("9").is_none());
        assert!(recent.get("10").is_some());
        for _ in 0..5 {
            tokio::time::advance(Duration::from_millis(1)).await;
            recent.note(&file(10));
        }
        assert!(recent.get("10").is_some());
        assert!(recent.order.len() <= MOST);
        tokio::time::advance(MOMENT).await;
        assert!(recent.get("10").is_none());
    }
}
