//! What goes wrong in a simulated world besides crashes. Nothing, unless asked for.

/// Faults of one world.
#[derive(Clone, Debug, Default)]
pub struct SimFaults {
    /// Bytes that files may take, in whole pages; ENOSPC beyond. `None`: as many as there are.
    pub disk_bytes_max: Option<u64>,
}
