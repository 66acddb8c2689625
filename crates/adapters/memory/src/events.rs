use async_trait::async_trait;
use wharf_ports::EventRepository;

use crate::MemoryStore;

#[async_trait]
impl EventRepository for MemoryStore {}
