//! A record as text.
//!
//! Plain is the bytes as they are. Json has a string where the bytes are UTF-8, an object
//! `{"hex": ...}` where they are not, and null for null. Hex is one line of four columns, `-` for
//! null.

use std::io::{self, Write};

use odradek_engine::record::Headers;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::Format;

/// A record and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// Writes records in one format.
#[derive(Debug, Clone)]
pub struct Formatter {
    format: Format,
    key_separator: Option<Vec<u8>>,
}

impl Formatter {
    /// `key_separator` has a meaning in [`Format::Plain`] alone.
    pub fn new(format: Format, key_separator: Option<&str>) -> Self {
        Self {
            format,
            key_separator: key_separator.map(|text| text.replace("\\t", "\t").into_bytes()),
        }
    }

    /// Writes a record and a line feed.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
        match self.format {
            Format::Plain => {
                if let Some(separator) = &self.key_separator {
                    out.write_all(row.key.unwrap_or_default())?;
                    out.write_all(separator)?;
                }
                out.write_all(row.value.unwrap_or_default())?;
            }
            Format::Json => serde_json::to_writer(&mut *out, &json(row))?,
            Format::Hex => {
                write!(out, "{} {} ", row.partition, row.offset)?;
                write_hex(out, row.key)?;
                out.write_all(b" ")?;
                write_hex(out, row.value)?;
            }
        }
        out.write_all(b"\n")
    }
}

fn write_hex(out: &mut impl Write, bytes: Option<&[u8]>) -> io::Result<()> {
    match bytes {
        None => out.write_all(b"-"),
        Some(bytes) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
    }
}

#[derive(Serialize)]
struct Json<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Text<'a>>,
    value: Option<Text<'a>>,
    #[serde(skip_serializing_if = "JsonHeaders::is_empty")]
    headers: JsonHeaders<'a>,
}

fn json<'a>(row: &Row<'a>) -> Json<'a> {
    Json {
        topic: row.topic,
        partition: row.partition,
        offset: row.offset,
        timestamp: row.timestamp,
        key: row.key.map(Text),
        value: row.value.map(Text),
        headers: JsonHeaders(row.headers),
    }
}

struct Text<'a>(&'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("hex", &hex)?;
                map.end()
            }
        }
    }
}

struct JsonHeaders<'a>(Headers<'a>);

impl JsonHeaders<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for JsonHeaders<'_> {
    /// A list: keys may repeat, and their order counts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Header<'a> {
            key: Text<'a>,
            value: Option<Text<'a>>,
        }
        let mut list = serializer.serialize_seq(Some(self.0.count()))?;
        for (key, value) in self.0 {
            list.serialize_element(&Header {
                key: Text(key),
                value: value.map(Text),
            })?;
        }
        list.end()
    }
}
