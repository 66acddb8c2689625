use async_trait::async_trait;
use wharf_ports::WebhookRepository;

use crate::store::Store;

#[async_trait]
impl WebhookRepository for Store {}
