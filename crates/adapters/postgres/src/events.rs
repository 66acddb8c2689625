use async_trait::async_trait;
use wharf_ports::EventRepository;

use crate::store::Store;

#[async_trait]
impl EventRepository for Store {}
