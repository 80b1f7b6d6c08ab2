//! The modules that hold records, with the enums that tell one record from another.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::files::Module;
use crate::model::Message;

/// The `mod.rs` of a folder of records.
pub fn folder(name: &str, modules: &[&Module]) -> Result<String> {
    let mut enums = String::new();
    match name {
        "metadata_records" => metadata(&mut enums, modules)?,
        "group_records" => coordinator(&mut enums, "GroupRecord", "group", modules)?,
        "share_records" => coordinator(&mut enums, "ShareRecord", "share", modules)?,
        "transaction_records" => {
            coordinator(&mut enums, "TransactionRecord", "transaction", modules)?;
        }
        _ => {}
    }
    let mut text = String::new();
    if name == "metadata_records" {
        text += "use crate::framing::{read_metadata_frame, write_metadata_frame};\n";
    }
    if !enums.is_empty() {
        text += "use crate::{DecodeError, EncodeError, Message, Reader, Writer};\n\n";
    }
    for module in modules {
        writeln!(text, "pub mod {};", module.name)?;
    }
    text.push('\n');
    for module in modules {
        let names: Vec<&str> = module
            .messages
            .iter()
            .map(|m| m.schema.name.as_str())
            .collect();
        writeln!(text, "pub use {}::{{{}}};", module.name, names.join(", "))?;
    }
    text.push('\n');
    Ok(text + &enums)
}

fn record_type(message: &Message) -> Result<i16> {
    let schema = &message.schema;
    schema
        .api_key
        .with_context(|| format!("{} has no record type", schema.name))
}

fn variant<'a>(message: &'a Message, suffix: &str) -> &'a str {
    let name = &message.schema.name;
    name.strip_suffix(suffix).unwrap_or(name)
}

/// The parameter of an enum of these messages; none where none borrows.
fn lifetime(messages: &[&Message], name: &str) -> String {
    if messages.iter().any(|message| message.root().borrows) {
        format!("<{name}>")
    } else {
        String::new()
    }
}

fn enumeration(
    text: &mut String,
    name: &str,
    suffix: &str,
    messages: &[&Message],
    document: &str,
) -> Result<()> {
    writeln!(text, "/// {document}")?;
    writeln!(text, "#[derive(Debug, Clone, PartialEq)]")?;
    writeln!(
        text,
        "#[allow(clippy::large_enum_variant, reason = \"short-lived, never stored in bulk\")]"
    )?;
    writeln!(text, "pub enum {name}{} {{", lifetime(messages, "'a"))?;
    for message in messages {
        writeln!(
            text,
            "{}({}),",
            variant(message, suffix),
            message.type_with("'a")
        )?;
    }
    writeln!(text, "}}\n")?;
    Ok(())
}

fn each_arm(
    text: &mut String,
    name: &str,
    suffix: &str,
    messages: &[&Message],
    arm: impl Fn(&Message) -> String,
) -> Result<()> {
    for message in messages {
        writeln!(
            text,
            "{name}::{}({}",
            variant(message, suffix),
            arm(message)
        )?;
    }
    Ok(())
}

fn metadata(text: &mut String, modules: &[&Module]) -> Result<()> {
    let mut messages: Vec<&Message> = modules.iter().flat_map(|m| &m.messages).collect();
    messages.sort_by_key(|message| message.schema.api_key);
    let name = "MetadataRecord";
    enumeration(
        text,
        name,
        "Record",
        &messages,
        "A record of `__cluster_metadata`.",
    )?;
    *text += "impl<'a> MetadataRecord<'a> {
        /// Reads a record's value, frame and all, to its end; and the record's version.
        pub fn decode(r: &mut Reader<'a>) -> Result<(Self, i16), DecodeError> {
            let (record_type, version) = read_metadata_frame(r)?;
            let record = match record_type {\n";
    for message in &messages {
        writeln!(
            text,
            "{} => {name}::{}({}::decode(r, version)?),",
            record_type(message)?,
            variant(message, "Record"),
            message.schema.name,
        )?;
    }
    *text += "_ => return Err(DecodeError::RecordType { log: \"metadata\", record_type }),
            };
            r.finish()?;
            Ok((record, version))
        }

        /// Appends a record's value, frame and all.
        pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
            write_metadata_frame(w, self.record_type(), version);
            match self {\n";
    each_arm(text, name, "Record", &messages, |_| {
        "record) => record.encode(w, version),".into()
    })?;
    *text += "}\n}\n\n/// The record's type, in Kafka's words its API key.
        pub const fn record_type(&self) -> i16 { match self {\n";
    each_arm(text, name, "Record", &messages, |m| {
        format!("_) => {},", m.schema.api_key.unwrap_or(-1))
    })?;
    *text += "}\n}\n\n/// The last version of the record.
        pub const fn max_version(&self) -> i16 { match self {\n";
    each_arm(text, name, "Record", &messages, |m| {
        format!("_) => {}::MAX_VERSION,", m.schema.name)
    })?;
    *text += "} } }\n\n";
    for message in &messages {
        writeln!(
            text,
            "impl<'a> From<{}> for {name}<'a> {{ fn from(record: {}) -> Self {{ {name}::{}(record) }} }}\n",
            message.type_with("'a"),
            message.type_with("'a"),
            variant(message, "Record"),
        )?;
    }
    Ok(())
}

fn coordinator(text: &mut String, prefix: &str, log: &str, modules: &[&Module]) -> Result<()> {
    let of_kind = |kind: &str| {
        let all = modules.iter().flat_map(|module| &module.messages);
        let mut messages: Vec<&Message> = all.filter(|m| m.schema.kind == kind).collect();
        messages.sort_by_key(|message| message.schema.api_key);
        messages
    };
    let keys = of_kind("coordinator-key");
    let values = of_kind("coordinator-value");
    let (key, value) = (format!("{prefix}Key"), format!("{prefix}Value"));
    let (key_lifetime, value_lifetime) = (lifetime(&keys, "'a"), lifetime(&values, "'a"));
    let input = |lifetime: &str| if lifetime.is_empty() { "<'_>" } else { "<'a>" };
    let (key_input, value_input) = (input(&key_lifetime), input(&value_lifetime));
    let document = format!("The key of a record in the {log} coordinator's topic.");
    enumeration(text, &key, "Key", &keys, &document)?;
    writeln!(
        text,
        "impl{key_lifetime} {key}{key_lifetime} {{
        /// Reads a record's key, its type first, to its end.
        pub fn decode(r: &mut Reader{key_input}) -> Result<Self, DecodeError> {{
            let record_type = r.i16()?;
            let key = match record_type {{"
    )?;
    for message in &keys {
        writeln!(
            text,
            "{} => {key}::{}({}::decode(r, 0)?),",
            record_type(message)?,
            variant(message, "Key"),
            message.schema.name,
        )?;
    }
    writeln!(
        text,
        "_ => return Err(DecodeError::RecordType {{ log: \"{log}\", record_type: record_type.into() }}),
            }};
            r.finish()?;
            Ok(key)
        }}

        /// Appends a record's key, its type first.
        pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {{
            w.i16(self.record_type());
            match self {{"
    )?;
    each_arm(text, &key, "Key", &keys, |_| {
        "key) => key.encode(w, 0),".into()
    })?;
    *text += "}\n}\n\n/// The record's type, which the key starts with.
        pub const fn record_type(&self) -> i16 { match self {\n";
    each_arm(text, &key, "Key", &keys, |m| {
        format!("_) => {},", m.schema.api_key.unwrap_or(-1))
    })?;
    *text += "} } }\n\n";

    let document = format!("The value of a record in the {log} coordinator's topic.");
    enumeration(text, &value, "Value", &values, &document)?;
    writeln!(
        text,
        "impl{value_lifetime} {value}{value_lifetime} {{
        /// Reads the value of a record whose key has `record_type`, its version first, to its
        /// end; and that version.
        pub fn decode(record_type: i16, r: &mut Reader{value_input}) -> Result<(Self, i16), DecodeError> {{
            let version = r.i16()?;
            let value = match record_type {{"
    )?;
    for message in &values {
        writeln!(
            text,
            "{} => {value}::{}({}::decode(r, version)?),",
            record_type(message)?,
            variant(message, "Value"),
            message.schema.name,
        )?;
    }
    writeln!(
        text,
        "_ => return Err(DecodeError::RecordType {{ log: \"{log}\", record_type: record_type.into() }}),
            }};
            r.finish()?;
            Ok((value, version))
        }}

        /// Appends a record's value, its version first.
        pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{
            w.i16(version);
            match self {{"
    )?;
    each_arm(text, &value, "Value", &values, |_| {
        "value) => value.encode(w, version),".into()
    })?;
    *text += "}\n}\n\n/// The last version of the value.
        pub const fn max_version(&self) -> i16 { match self {\n";
    each_arm(text, &value, "Value", &values, |m| {
        format!("_) => {}::MAX_VERSION,", m.schema.name)
    })?;
    *text += "} } }\n\n";
    Ok(())
}
