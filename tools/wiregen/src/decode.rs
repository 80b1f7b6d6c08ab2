//! The `decode` function of a structure.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::code::{Generator, When, untagged, when};
use crate::model::{Member, Type};
use crate::schema::Versions;

impl Generator<'_> {
    pub(crate) fn decode(&self, code: &mut String, is_root: bool) -> Result<()> {
        let mut body = String::new();
        if is_root {
            body += &self.check_version("DecodeError");
        }
        let mut tagged = Vec::new();
        for member in &self.structure.members {
            let local = local(member);
            let mutable = if member.tagged.is_empty() { "" } else { "mut " };
            let untagged = untagged(member);
            let read = self.read_nullable(member, member.versions)?;
            match when(untagged, self.all()) {
                When::Always => writeln!(body, "let {local} = {read};")?,
                When::Never => writeln!(body, "let {mutable}{local} = {};", self.default(member)?)?,
                When::If(condition) => writeln!(
                    body,
                    "let {mutable}{local} = if {condition} {{ {read} }} else {{ {} }};",
                    self.default(member)?
                )?,
            }
            if !member.tagged.is_empty() {
                tagged.push(member);
            }
        }
        let mut tags = String::new();
        if tagged.is_empty() {
            tags += "r.skip_tagged_fields()?;\n";
        } else {
            tagged.sort_by_key(|member| member.tag);
            tags += "r.tagged_fields(|r, tag| { match tag {\n";
            for member in tagged {
                let guard = match when(member.tagged, self.structure.flexible) {
                    When::If(condition) => format!(" if {condition}"),
                    _ => String::new(),
                };
                let tag = member.tag.context("a tagged field without a tag")?;
                let read = self.read_tagged(member)?;
                writeln!(tags, "{tag}{guard} => {} = {read},", local(member))?;
            }
            tags += "_ => return Ok(false), } Ok(true) })?;\n";
        }
        match when(self.structure.flexible, self.all()) {
            When::Always => body += &tags,
            When::Never => {}
            When::If(_) => writeln!(body, "if flexible {{ {tags} }}")?,
        }
        body += "Ok(Self {\n";
        for member in &self.structure.members {
            let local = local(member);
            if local == member.name {
                writeln!(body, "{local},")?;
            } else {
                writeln!(body, "{}: {local},", member.name)?;
            }
        }
        body += "})\n";
        let lifetime = if self.structure.borrows { "'a" } else { "'_" };
        let reader = if body.contains("r.") || body.contains("(r,") {
            "r"
        } else {
            "_r"
        };
        self.signature(
            code,
            &body,
            &format!("pub fn decode({reader}: &mut Reader<{lifetime}>, "),
            ") -> Result<Self, DecodeError>",
        )
    }

    /// Reads an untagged field; `present` are the versions in which it is read.
    fn read_nullable(&self, member: &Member, present: Versions) -> Result<String> {
        let flexible = self.flexible(member);
        if !member.is_option() && member.ty != Type::Records {
            return self.read(member, flexible, false);
        }
        let plain = self.read(member, flexible, false)?;
        let nullable = self.read(member, flexible, true)?;
        let plain = if member.ty == Type::Records {
            plain
        } else {
            format!("Some({plain})")
        };
        Ok(match when(member.nullable, present) {
            When::Always => nullable,
            When::Never => plain,
            When::If(condition) => format!("if {condition} {{ {nullable} }} else {{ {plain} }}"),
        })
    }

    fn read_tagged(&self, member: &Member) -> Result<String> {
        let nullable = !member.nullable.intersect(member.tagged).is_empty();
        match (&member.ty, nullable) {
            // A tagged structure is told from null by an unsigned varint, not by a byte.
            (Type::Struct(name), true) => Ok(format!(
                "if r.uvarint()? == 0 {{ None }} else {{ Some({name}::decode(r, §)?) }}"
            )),
            (_, false) if member.is_option() => {
                Ok(format!("Some({})", self.read(member, "true", false)?))
            }
            _ => self.read(member, "true", nullable),
        }
    }

    fn read(&self, member: &Member, flexible: &str, nullable: bool) -> Result<String> {
        let label = &member.label;
        let opt = if nullable { "_opt" } else { "" };
        Ok(match &member.ty {
            Type::Fixed(_, method) => {
                ensure!(!nullable, "{label} cannot be null");
                format!("r.{method}()?")
            }
            Type::Str => format!("r.str{opt}({flexible}, \"{label}\")?"),
            Type::Bytes => format!("r.bytes{opt}({flexible}, \"{label}\")?"),
            Type::Records => format!("r.records{opt}({flexible}, \"{label}\")?"),
            Type::Struct(name) if nullable => {
                format!("if r.i8()? < 0 {{ None }} else {{ Some({name}::decode(r, §)?) }}")
            }
            Type::Struct(name) => format!("{name}::decode(r, §)?"),
            Type::Array(element) => {
                let element = match &**element {
                    Type::Fixed(_, method) => format!("Reader::{method}"),
                    Type::Str => format!("|r| r.str({flexible}, \"{label}\")"),
                    Type::Bytes => format!("|r| r.bytes({flexible}, \"{label}\")"),
                    Type::Struct(name) => format!("|r| {name}::decode(r, §)"),
                    other => anyhow::bail!("{label}: array of {other:?}"),
                };
                format!("r.array{opt}({flexible}, \"{label}\", {element})?")
            }
        })
    }
}

/// The field's name as a variable, where no parameter has it.
fn local(member: &Member) -> String {
    match member.name.as_str() {
        name @ ("version" | "r" | "tag" | "flexible") => format!("{name}_value"),
        name => name.to_string(),
    }
}
