use async_trait::async_trait;
use wharf_ports::CheckRepository;

use crate::MemoryStore;

#[async_trait]
impl CheckRepository for MemoryStore {}
