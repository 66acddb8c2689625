use async_trait::async_trait;
use wharf_ports::CheckRepository;

use crate::store::Store;

#[async_trait]
impl CheckRepository for Store {}
