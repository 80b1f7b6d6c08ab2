//! Schemas resolved into what is to be generated: Rust names, types, defaults and the versions
//! in which each structure can be met.
//!
//! A field that no valid version has is dropped.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::schema::{CommonStruct, Field, Schema, Versions};

/// A field's type. Nullability is beside it, in [`Member::nullable`].
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// A number, bool or UUID: its Rust type, and the name of its reader and writer method.
    Fixed(&'static str, &'static str),
    Str,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

/// A field of a structure.
#[derive(Debug, Clone)]
pub struct Member {
    /// The Rust name.
    pub name: String,
    /// Names the field in errors.
    pub label: String,
    pub ty: Type,
    /// Versions with the field, among those of the structure.
    pub versions: Versions,
    pub nullable: Versions,
    pub tagged: Versions,
    pub tag: Option<u32>,
    pub flexible: Versions,
    pub ignorable: bool,
    /// Kafka's text of the default, empty where there is none.
    pub default: String,
}

impl Member {
    /// Whether null is a value in some version.
    pub fn is_option(&self) -> bool {
        self.ty != Type::Records && !self.nullable.is_empty()
    }

    /// Whether null is the default.
    pub fn defaults_to_null(&self) -> bool {
        self.default == "null"
    }
}

/// A message, or a structure inside one.
#[derive(Debug, Clone)]
pub struct Structure {
    pub name: String,
    pub versions: Versions,
    pub flexible: Versions,
    pub members: Vec<Member>,
    /// Whether it borrows from the input.
    pub borrows: bool,
}

/// A message with its structures, itself first.
#[derive(Debug, Clone)]
pub struct Message {
    pub schema: Schema,
    pub structures: Vec<Structure>,
}

impl Message {
    pub fn root(&self) -> &Structure {
        &self.structures[0]
    }

    /// The message's name for use as a type: with its lifetime where it borrows.
    pub fn type_with(&self, lifetime: &str) -> String {
        let root = self.root();
        if root.borrows {
            format!("{}<{lifetime}>", root.name)
        } else {
            root.name.clone()
        }
    }
}

/// Resolves a schema. `rename` maps structures whose names are taken to other names.
pub fn resolve(schema: &Schema, rename: &BTreeMap<String, String>) -> Result<Message> {
    let mut resolver = Resolver {
        schema,
        rename,
        structures: Vec::new(),
    };
    let context = || schema.name.clone();
    resolver
        .structure(&schema.name, &schema.fields, schema.valid_versions)
        .with_context(context)?;
    for CommonStruct {
        name,
        versions,
        fields,
    } in &schema.common_structs
    {
        let versions = versions.intersect(schema.valid_versions);
        if !versions.is_empty() {
            resolver
                .structure(name, fields, versions)
                .with_context(context)?;
        }
    }
    let mut structures = resolver.structures;
    drop_unused(&mut structures);
    mark_borrowing(&mut structures);
    Ok(Message {
        schema: schema.clone(),
        structures,
    })
}

/// The names of all structures inside a schema.
pub fn inner_names(schema: &Schema) -> Vec<String> {
    fn collect(fields: &[Field], names: &mut Vec<String>) {
        for field in fields {
            if !field.fields.is_empty() {
                names.push(field.type_name.trim_start_matches("[]").to_string());
                collect(&field.fields, names);
            }
        }
    }
    let mut names = Vec::new();
    collect(&schema.fields, &mut names);
    for common in &schema.common_structs {
        names.push(common.name.clone());
        collect(&common.fields, &mut names);
    }
    names
}

struct Resolver<'a> {
    schema: &'a Schema,
    rename: &'a BTreeMap<String, String>,
    structures: Vec<Structure>,
}

impl Resolver<'_> {
    fn rust_name(&self, name: &str) -> String {
        self.rename
            .get(name)
            .cloned()
            .unwrap_or_else(|| name.to_string())
    }

    fn structure(&mut self, name: &str, fields: &[Field], versions: Versions) -> Result<()> {
        let name = self.rust_name(name);
        let index = self.structures.len();
        let schema_flexible = self.schema.flexible_versions.intersect(versions);
        self.structures.push(Structure {
            name: name.clone(),
            versions,
            flexible: schema_flexible,
            members: Vec::new(),
            borrows: false,
        });
        let mut members = Vec::new();
        for field in fields {
            let present = field.versions().intersect(versions);
            if present.is_empty() {
                continue;
            }
            let snake = snake_case(&field.name);
            members.push(Member {
                label: format!("{name}.{snake}"),
                name: identifier(&snake),
                ty: self.ty(&field.type_name)?,
                versions: present,
                nullable: field.nullable_versions.intersect(present),
                tagged: field.tagged_versions.intersect(present),
                tag: field.tag,
                flexible: match field.flexible_versions {
                    Some(flexible) => flexible.intersect(versions),
                    None => schema_flexible,
                },
                ignorable: field.ignorable,
                default: field.default_text(),
            });
            if !field.fields.is_empty() {
                let inner = field.type_name.trim_start_matches("[]");
                self.structure(inner, &field.fields, present)?;
            }
        }
        self.structures[index].members = members;
        Ok(())
    }

    fn ty(&self, name: &str) -> Result<Type> {
        Ok(match name {
            "bool" => Type::Fixed("bool", "bool"),
            "int8" => Type::Fixed("i8", "i8"),
            "int16" => Type::Fixed("i16", "i16"),
            "uint16" => Type::Fixed("u16", "u16"),
            "int32" => Type::Fixed("i32", "i32"),
            "uint32" => Type::Fixed("u32", "u32"),
            "int64" => Type::Fixed("i64", "i64"),
            "float64" => Type::Fixed("f64", "f64"),
            "uuid" => Type::Fixed("Uuid", "uuid"),
            "string" => Type::Str,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            _ => match name.strip_prefix("[]") {
                Some(element) => {
                    let element = self.ty(element)?;
                    ensure!(!matches!(element, Type::Array(_)), "array of arrays {name}");
                    Type::Array(Box::new(element))
                }
                None if name.starts_with(char::is_uppercase) => Type::Struct(self.rust_name(name)),
                None => bail!("unknown type {name}"),
            },
        })
    }
}

/// The structure that a type is or holds.
pub fn inner_struct(ty: &Type) -> Option<&str> {
    match ty {
        Type::Struct(name) => Some(name),
        Type::Array(element) => inner_struct(element),
        _ => None,
    }
}

/// Drops structures that only dropped fields had.
fn drop_unused(structures: &mut Vec<Structure>) {
    loop {
        let used: Vec<String> = structures
            .iter()
            .flat_map(|structure| &structure.members)
            .filter_map(|member| inner_struct(&member.ty).map(str::to_string))
            .collect();
        let before = structures.len();
        let mut first = true;
        structures.retain(|s| std::mem::take(&mut first) || used.contains(&s.name));
        if structures.len() == before {
            return;
        }
    }
}

fn mark_borrowing(structures: &mut [Structure]) {
    loop {
        let borrowing: Vec<String> = structures
            .iter()
            .filter(|structure| structure.borrows)
            .map(|structure| structure.name.clone())
            .collect();
        let mut changed = false;
        for structure in structures.iter_mut().filter(|structure| !structure.borrows) {
            structure.borrows = structure.members.iter().any(|m| borrows(&m.ty, &borrowing));
            changed |= structure.borrows;
        }
        if !changed {
            return;
        }
    }
}

fn borrows(ty: &Type, borrowing: &[String]) -> bool {
    match ty {
        Type::Fixed(..) => false,
        Type::Str | Type::Bytes | Type::Records => true,
        Type::Struct(name) => borrowing.contains(name),
        Type::Array(element) => borrows(element, borrowing),
    }
}

/// `PartitionMaxBytes` as `partition_max_bytes`.
pub fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.replace("KRaft", "Kraft").chars().collect();
    let mut snake = String::new();
    for (i, &character) in characters.iter().enumerate() {
        let after_lower = i > 0 && !characters[i - 1].is_uppercase();
        let before_lower = characters
            .get(i + 1)
            .is_some_and(|next| next.is_lowercase());
        if character.is_uppercase() && i > 0 && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// A name that Rust keeps for itself is written raw.
fn identifier(snake: &str) -> String {
    match snake {
        "type" | "match" | "ref" | "move" | "in" | "use" | "where" | "static" | "final" => {
            format!("r#{snake}")
        }
        _ => snake.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names() {
        assert_eq!(snake_case("PartitionMaxBytes"), "partition_max_bytes");
        assert_eq!(snake_case("topicId"), "topic_id");
        assert_eq!(snake_case("IPAddress"), "ip_address");
        assert_eq!(snake_case("ISR"), "isr");
        assert_eq!(snake_case("KRaftVersionRecord"), "kraft_version_record");
    }
}
