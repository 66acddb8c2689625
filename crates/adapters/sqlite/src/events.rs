use wharf_ports::EventRepository;

use crate::store::Store;

impl EventRepository for Store {}
