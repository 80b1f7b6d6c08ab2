//! The instrument: floors, drivers, reports.
