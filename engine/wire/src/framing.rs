//! What stands before the body of a record in Kafka's own logs.
//!
//! `__cluster_metadata`: frame version, record type and version as unsigned varints
//! (`AbstractApiMessageSerde`). Coordinators' topics: the key starts with the record type, the
//! value with its version, 16 bits each (`CoordinatorRecordSerde`).

use crate::error::DecodeError;
use crate::reader::Reader;
use crate::writer::Writer;

/// The only frame version of metadata records.
pub const METADATA_FRAME_VERSION: u32 = 1;

/// Reads a metadata record's frame: its type and version.
pub(crate) fn read_metadata_frame(r: &mut Reader<'_>) -> Result<(i32, i16), DecodeError> {
    let version = r.uvarint()?;
    if version != METADATA_FRAME_VERSION {
        return Err(DecodeError::FrameVersion { version });
    }
    Ok((
        narrow(r, "record type")?.into(),
        narrow(r, "record version")?,
    ))
}

fn narrow(r: &mut Reader<'_>, field: &'static str) -> Result<i16, DecodeError> {
    let position = r.position();
    let value = r.uvarint()?;
    i16::try_from(value).map_err(|_| DecodeError::Length {
        field,
        position,
        length: value.into(),
    })
}

/// Writes a metadata record's frame.
pub(crate) fn write_metadata_frame(w: &mut Writer, record_type: i16, version: i16) {
    w.uvarint(METADATA_FRAME_VERSION);
    w.uvarint(record_type as u32);
    w.uvarint(version as u32);
}
