use async_trait::async_trait;
use wharf_ports::WebhookRepository;

use crate::MemoryStore;

#[async_trait]
impl WebhookRepository for MemoryStore {}
