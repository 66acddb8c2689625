use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use wharf_domain::event::Event;
use wharf_ports::{EventStream, PublishError};

/// An event stream that keeps what it is given, and that can be told to fail.
#[derive(Debug, Default)]
pub struct RecordingStream(Mutex<Recording>);

#[derive(Debug, Default)]
struct Recording {
    events: Vec<Event>,
    fails: bool,
}

impl RecordingStream {
    /// A stream that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on it takes nothing, or everything again.
    pub fn fail(&self, fails: bool) {
        self.lock().fails = fails;
    }

    /// What it has taken, in order, repetitions included.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventStream for RecordingStream {
    async fn publish(&self, events: &[Event]) -> Result<(), PublishError> {
        let mut recording = self.lock();
        if recording.fails {
            return Err(PublishError("the stream was told to fail".into()));
        }
        recording.events.extend_from_slice(events);
        Ok(())
    }
}
