use async_trait::async_trait;
use wharf_ports::IdempotencyRepository;

use crate::store::Store;

#[async_trait]
impl IdempotencyRepository for Store {}
