use async_trait::async_trait;
use wharf_ports::IdempotencyRepository;

use crate::MemoryStore;

#[async_trait]
impl IdempotencyRepository for MemoryStore {}
